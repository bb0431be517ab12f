"""Several evaluations side by side: each for itself, and in pairs on common clients."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.training.evaluation.bootstrap import bootstrap_means
from fedp.training.evaluation.columns import lost
from fedp.training.evaluation.intervals import Mean, Share, share
from fedp.training.evaluation.results import ClientResult, read_clients_csv
from fedp.training.evaluation.summary import Summary, summarize

MODELS = ("initial", "personalized", "deployed")


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluated:
    """One evaluation, read from its report directory.

    Attributes:
        name: the directory's, or its path where another has the same name.
        results: of its clients.
        summary: of them.
        facts: how it was measured.
    """

    name: str
    results: list[ClientResult]
    summary: Summary
    facts: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Difference:
    """A model of another run against the same model of the first run.

    Attributes:
        model: "initial", "personalized" or "deployed".
        accuracy: mean over common clients of other - first, with a bootstrap interval.
        better: common clients on which the other is better.
        worse: common clients on which it is worse.
    """

    model: str
    accuracy: Mean
    better: int
    worse: int


@dataclasses.dataclass(frozen=True)
class Pair:
    """Another run against the first one, on the clients that both have.

    Attributes:
        first: name of the first run.
        other: name of the other one.
        clients: how many they have in common.
        same_parts: whether these were split and capped in the same way, as far as
            their sizes and the seeds tell; else the test parts are others.
        differences: one a model; nothing where no client is common.
        first_hurt: common clients that the first run's deployed model hurts; None
            where no client is common; so is the next.
        other_hurt: likewise of the other run.
        hurt: other - first share of hurt clients, with a bootstrap interval.
    """

    first: str
    other: str
    clients: int
    same_parts: bool
    differences: tuple[Difference, ...]
    first_hurt: Share | None
    other_hurt: Share | None
    hurt: Mean | None


def read_evaluations(folders: Sequence[pathlib.Path]) -> list[Evaluated]:
    """Reads what `fedp evaluate` wrote into at least two directories.

    Raises:
        DataError: fewer, the same one twice, or one that is no report directory.
    """
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < len(places) or len(places) < 2:
        given = ", ".join(map(str, folders)) or "none"
        raise DataError(
            f"nothing to compare in {given}: give two or more different directories "
            "(a single one has its report.html)"
        )
    names = [place.name for place in places]
    return [
        _read(folder, name if names.count(name) == 1 else str(folder))
        for folder, name in zip(folders, names, strict=True)
    ]


def _read(folder: pathlib.Path, name: str) -> Evaluated:
    results = read_clients_csv(folder / "clients.csv")
    path = folder / "summary.json"
    try:
        facts = dict(json.loads(path.read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} cannot be read as a summary ({type(error).__name__}: {error}): "
            "give a directory that `fedp evaluate` wrote"
        ) from error
    return Evaluated(name, results, summarize(results), facts)


def pairs_with_first(runs: Sequence[Evaluated], seed: int = 0) -> tuple[Pair, ...]:
    """Compares every run with the first one; `seed` is the bootstrap's."""
    return tuple(_pair(runs[0], other, seed) for other in runs[1:])


def _pair(first: Evaluated, other: Evaluated, seed: int) -> Pair:
    mine = {result.client: result for result in first.results}
    both = [(mine[r.client], r) for r in other.results if r.client in mine]
    if not both:
        return Pair(first.name, other.name, 0, False, (), None, None, None)
    gaps = np.array([[getattr(b, m) - getattr(a, m) for m in MODELS] for a, b in both])
    worse = np.array([[_is_hurt(r) for r in pair] for pair in both], np.float64)
    *means, hurt = bootstrap_means(np.c_[gaps, worse[:, 1] - worse[:, 0]], seed)
    return Pair(
        first=first.name,
        other=other.name,
        clients=len(both),
        same_parts=first.facts.get("seed") == other.facts.get("seed")
        and all(_sizes(a) == _sizes(b) for a, b in both),
        differences=tuple(
            Difference(model, mean, better=lost(-gap), worse=lost(gap))
            for model, mean, gap in zip(MODELS, means, gaps.T, strict=True)
        ),
        first_hurt=share(int(worse[:, 0].sum()), len(both)),
        other_hurt=share(int(worse[:, 1].sum()), len(both)),
        hurt=hurt,
    )


def _sizes(result: ClientResult) -> tuple[int, int]:
    return result.adapt_examples, result.test_examples


def _is_hurt(result: ClientResult) -> bool:
    return lost(np.array([result.deployed - result.initial])) > 0
