"""All clients in a few numbers: means uniformly over clients, and who was hurt.

Metrics of Jiang et al., "Improving Federated Learning Personalization via Model
Agnostic Meta Learning", 2019: every client counts the same, whatever its data size.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.training.evaluation.calibration import Calibration
from fedp.training.evaluation.columns import Columns, lost
from fedp.training.evaluation.files import replace_text
from fedp.training.evaluation.groups import Group, bands, tenths
from fedp.training.evaluation.intervals import Mean, Share, mean, share
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.tally import Tally

ONE_POINT = 0.01


@dataclasses.dataclass(frozen=True)
class Reason:
    """What the guard said of some clients, and whether it was right.

    Attributes:
        reason: its sentence, with the numbers taken out.
        kept: whether it let their personalized models live.
        clients: how many, at least 1.
        personalized_gain: mean of personalized - initial.
        hurt_before_guard: clients with personalized < initial.
        hurt_after_guard: clients with deployed < initial.
    """

    reason: str
    kept: bool
    clients: int
    personalized_gain: Mean
    hurt_before_guard: Share
    hurt_after_guard: Share


@dataclasses.dataclass(frozen=True)
class Summary:
    """What personalization did to a group of clients; accuracies are 0..1.

    Attributes:
        clients: evaluated clients.
        initial: mean accuracy of the initial model.
        personalized: mean accuracy after the last local epoch, without the guard.
        deployed: mean accuracy after the guard.
        personalized_gain: mean of personalized - initial.
        deployed_gain: mean of deployed - initial.
        hurt_before_guard: clients with personalized < initial.
        hurt_after_guard: clients with deployed < initial.
        hurt_a_point_before_guard: the same, by more than one point.
        hurt_a_point_after_guard: the same, by more than one point.
        kept: clients whose personalized model the guard kept.
        gain_kept: deployed gain / personalized gain; None where there was no gain.
        curve: mean accuracy after 0, 1, 2, ... local epochs; a client that stopped
            earlier counts with its last model.
        bands: by examples given to the device, smallest first, empty ones left out.
        tenths: of the clients, by the initial model's accuracy, worst first.
        personalized_deciles: gains that 0, 10, ..., 100 % of clients do not exceed.
        deployed_deciles: the same of the deployed gains.
        reasons: of the guard, the most frequent first.
        initial_calibration: of the initial model.
        deployed_calibration: of the live models.
    """

    clients: int
    initial: Mean
    personalized: Mean
    deployed: Mean
    personalized_gain: Mean
    deployed_gain: Mean
    hurt_before_guard: Share
    hurt_after_guard: Share
    hurt_a_point_before_guard: Share
    hurt_a_point_after_guard: Share
    kept: Share
    gain_kept: float | None
    curve: tuple[Mean, ...]
    bands: tuple[Group, ...]
    tenths: tuple[Group, ...]
    personalized_deciles: tuple[float, ...]
    deployed_deciles: tuple[float, ...]
    reasons: tuple[Reason, ...]
    initial_calibration: Calibration
    deployed_calibration: Calibration


def summarize(results: Iterable[ClientResult]) -> Summary:
    """Summarizes at least one client's result.

    Raises:
        DataError: there is no result.
    """
    return summary_of(Tally(results))


def summary_of(tally: Tally) -> Summary:
    """Summarizes results that were read already.

    Raises:
        DataError: there was none.
    """
    clients = tally.columns
    if not len(clients):
        raise DataError("no client was evaluated: choose at least one")
    personalized, deployed = clients.personalized_gain, clients.deployed_gain
    gain, gain_deployed = mean(personalized), mean(deployed)
    return Summary(
        clients=len(clients),
        initial=mean(clients.initial),
        personalized=mean(clients.personalized),
        deployed=mean(clients.deployed),
        personalized_gain=gain,
        deployed_gain=gain_deployed,
        hurt_before_guard=_hurt(personalized),
        hurt_after_guard=_hurt(deployed),
        hurt_a_point_before_guard=_hurt(personalized, ONE_POINT),
        hurt_a_point_after_guard=_hurt(deployed, ONE_POINT),
        kept=share(int(clients.kept.sum()), len(clients)),
        gain_kept=gain_deployed.value / gain.value if gain.value > 0 else None,
        curve=tally.curve,
        bands=bands(clients),
        tenths=tenths(clients),
        personalized_deciles=_deciles(personalized),
        deployed_deciles=_deciles(deployed),
        reasons=_reasons(tally.reasons, clients),
        initial_calibration=tally.initial,
        deployed_calibration=tally.deployed,
    )


def write_summary_json(
    path: pathlib.Path, summary: Summary, facts: Mapping[str, object]
) -> None:
    """Writes every field of the summary, and the facts as "run", as indented JSON.

    Raises:
        FedpError: the file cannot be written; an older one is left as it was.
    """
    fields = {**dataclasses.asdict(summary), "run": facts}
    replace_text(path, json.dumps(fields, indent=2) + "\n")


def _hurt(gains: np.ndarray, more_than: float = 0.0) -> Share:
    return share(lost(gains, more_than), len(gains))


def _deciles(gains: np.ndarray) -> tuple[float, ...]:
    return tuple(np.quantile(gains, np.linspace(0, 1, 11)).tolist())


def _reasons(texts: tuple[str, ...], clients: Columns) -> tuple[Reason, ...]:
    found = []
    for number, text in enumerate(texts):
        for kept in (True, False):
            some = clients.of((clients.reason == number) & (clients.kept == kept))
            if len(some):
                found.append(
                    Reason(
                        text,
                        kept,
                        len(some),
                        mean(some.personalized_gain),
                        _hurt(some.personalized_gain),
                        _hurt(some.deployed_gain),
                    )
                )
    return tuple(sorted(found, key=lambda reason: -reason.clients))
