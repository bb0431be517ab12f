"""All clients in a few numbers: means uniformly over clients, and who was hurt.

Metrics of Jiang et al., "Improving Federated Learning Personalization via Model
Agnostic Meta Learning", 2019: every client counts the same, whatever its data size.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from fedp.device_runtime.errors import DataError
from fedp.training.evaluation.files import replace_text
from fedp.training.evaluation.intervals import Mean, Share, mean, share
from fedp.training.evaluation.results import ClientResult

# Lower ends of the data-size bands, in examples given to the device.
BAND_STARTS = (0, 10, 30, 100, 300)
ONE_POINT = 0.01


@dataclasses.dataclass(frozen=True)
class Band:
    """The clients of about one data size.

    Attributes:
        fewest: fewest examples given to the device.
        most: most examples given to the device; None for no limit.
        clients: how many clients are in the band, at least 1.
        initial: mean accuracy of the initial model.
        personalized_gain: mean of personalized - initial.
        deployed_gain: mean of deployed - initial.
        hurt_before_guard: clients with personalized < initial.
        hurt_after_guard: clients with deployed < initial.
    """

    fewest: int
    most: int | None
    clients: int
    initial: Mean
    personalized_gain: Mean
    deployed_gain: Mean
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
        bands: by data size, smallest first, empty ones left out.
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
    bands: tuple[Band, ...]


def summarize(results: Sequence[ClientResult]) -> Summary:
    """Summarizes at least one client's result.

    Raises:
        DataError: there is no result.
    """
    if not results:
        raise DataError("no client was evaluated: choose at least one")
    personalized = [r.personalized - r.initial for r in results]
    deployed = [r.deployed - r.initial for r in results]
    gain, gain_deployed = mean(personalized), mean(deployed)
    return Summary(
        clients=len(results),
        initial=mean([r.initial for r in results]),
        personalized=mean([r.personalized for r in results]),
        deployed=mean([r.deployed for r in results]),
        personalized_gain=gain,
        deployed_gain=gain_deployed,
        hurt_before_guard=_lost(personalized),
        hurt_after_guard=_lost(deployed),
        hurt_a_point_before_guard=_lost(personalized, ONE_POINT),
        hurt_a_point_after_guard=_lost(deployed, ONE_POINT),
        kept=share(sum(r.kept for r in results), len(results)),
        gain_kept=gain_deployed.value / gain.value if gain.value > 0 else None,
        curve=_mean_curve([r.curve for r in results]),
        bands=_bands(results),
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


def _lost(gains: Sequence[float], more_than: float = 0.0) -> Share:
    # Rounded, or 0.50 - 0.49 would count as more than one point.
    return share(sum(round(-gain, 9) > more_than for gain in gains), len(gains))


def _mean_curve(curves: Sequence[tuple[float, ...]]) -> tuple[Mean, ...]:
    epochs = range(max(map(len, curves)))
    return tuple(
        mean([curve[min(epoch, len(curve) - 1)] for curve in curves])
        for epoch in epochs
    )


def _bands(results: Sequence[ClientResult]) -> tuple[Band, ...]:
    bands = []
    for fewest, beyond in zip(BAND_STARTS, (*BAND_STARTS[1:], None), strict=True):
        inside = [
            r
            for r in results
            if fewest <= r.adapt_examples and (not beyond or r.adapt_examples < beyond)
        ]
        if inside:
            bands.append(_band(fewest, beyond - 1 if beyond else None, inside))
    return tuple(bands)


def _band(fewest: int, most: int | None, results: Sequence[ClientResult]) -> Band:
    personalized = [r.personalized - r.initial for r in results]
    deployed = [r.deployed - r.initial for r in results]
    return Band(
        fewest=fewest,
        most=most,
        clients=len(results),
        initial=mean([r.initial for r in results]),
        personalized_gain=mean(personalized),
        deployed_gain=mean(deployed),
        hurt_before_guard=_lost(personalized),
        hurt_after_guard=_lost(deployed),
    )
