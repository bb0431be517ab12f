"""The paper's claims, each as a difference of two models of the same replica.

Verdicts rest on a 95 % t-interval of the paired difference over replicas. The test
clients are the same in all of them, so it says nothing about other clients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from outcomes import Outcomes

HOLDS, NOT, OPEN = "holds", "does not hold", "not decided"


class Paired(NamedTuple):
    """A difference over replicas.

    Attributes:
        first: mean of the first model's numbers.
        second: likewise.
        difference: mean of first - second.
        low: lower end of the interval; None with fewer than two replicas.
        high: upper end.
        replicas: that have both numbers.
    """

    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    replicas: int


class Claim(NamedTuple):
    """One claim and what was found.

    Attributes:
        text: the claim.
        first: what the first number is.
        second: what the second one is.
        found: None where a model is missing.
        verdict: HOLDS, NOT or OPEN.
    """

    text: str
    first: str
    second: str
    found: Paired | None
    verdict: str


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> Paired | None:
    """Compares the replicas that both have.

    >>> paired({0: 0.6, 1: 0.8}, {0: 0.5, 1: 0.7}).replicas
    2
    """
    both = sorted(set(first) & set(second))
    if not both:
        return None
    a = np.array([[first[r], second[r]] for r in both], np.float64)
    difference, n = a[:, 0] - a[:, 1], len(both)
    mean = float(difference.mean())
    low = high = None
    if n > 1:
        from scipy import stats

        half = stats.t.ppf(0.975, n - 1) * difference.std(ddof=1) / math.sqrt(n)
        low, high = float(mean - half), float(mean + half)
    return Paired(*(float(m) for m in a.mean(axis=0)), mean, low, high, n)


def verdict(found: Paired | None, sign: int, margin: float = 0.0) -> str:
    """Whether sign * difference is above -margin, as far as the interval tells."""
    if found is None or found.low is None or found.high is None:
        return OPEN
    ends = sorted((sign * found.low, sign * found.high))
    if ends[0] > -margin:
        return HOLDS
    return NOT if ends[1] < -margin else OPEN


def all_claims(outcomes: Outcomes) -> list[Claim]:
    """The claims of sections 3.1 and 3.2."""
    main, cells, kept = outcomes.main, outcomes.cells, outcomes.settings.kept_within
    initial, personalized = outcomes.initial, outcomes.personalized
    few, base, r1, rk = main.few_epochs, *main.federated
    e_few, e_many = cells[few].label, cells[base].label
    k1, kk = (cells[name].label.partition(" + ")[2] for name in (r1, rk))
    claims = []

    def claim(text, kind, first, second, sign, margin=0.0):
        found = paired(kind(first), kind(second))
        word = "initial" if kind == initial else "personalized"
        names = [f"{cells[name].label}, {word}" for name in (first, second)]
        claims.append(Claim(text, *names, found, verdict(found, sign, margin)))

    claim(f"{e_many} personalizes better than {e_few}", personalized, base, few, 1)
    claim(f"{kk} raises the initial accuracy", initial, rk, base, 1)
    text = f"{kk} keeps the personalized accuracy (to within {100 * kept:g} points)"
    claim(text, personalized, rk, base, 1, kept)
    claim(f"{k1} raises the initial accuracy", initial, r1, base, 1)
    claim(f"{k1} lowers the personalized accuracy", personalized, r1, base, -1)
    for name in main.centralized:
        claims.append(_centralized_is_worse(outcomes, name, rk))
    for name in (base, rk):
        claims.append(_equal_initial(outcomes, name))
    return claims


def _centralized_is_worse(outcomes: Outcomes, name: str, federated: str) -> Claim:
    adapter = best_adapter(outcomes, name)
    label = outcomes.settings.adapter(adapter).label
    found = paired(
        outcomes.personalized(name, adapter=adapter), outcomes.personalized(federated)
    )
    return Claim(
        f"{outcomes.cells[name].label} personalizes worse",
        f"it, personalized with its best optimizer ({label})",
        f"{outcomes.cells[federated].label}, personalized",
        found,
        verdict(found, -1),
    )


def best_adapter(outcomes: Outcomes, cell: str) -> str:
    """What personalizes a centralized model best: chosen on the test clients.

    That is in its favour, and so against the paper's claim.
    """
    names = outcomes.settings.figure2_centralized
    accuracy = {n: list(outcomes.personalized(cell, adapter=n).values()) for n in names}
    return max(names, key=lambda n: np.mean(accuracy[n]) if accuracy[n] else 0.0)


def _equal_initial(outcomes: Outcomes, federated: str) -> Claim:
    """Compares with a centralized model of the same initial accuracy."""
    initial, personalized = (
        outcomes.initial(federated),
        outcomes.personalized(federated),
    )
    matched = {}
    for replica, accuracy in initial.items():
        found = matched_centralized(outcomes, replica, accuracy)
        if found is not None:
            matched[replica] = found
    found = paired(personalized, {r: m.personalized for r, m in matched.items()})
    gap = max((abs(m.initial - initial[r]) for r, m in matched.items()), default=0.0)
    label = outcomes.cells[federated].label
    decided = verdict(found, 1)
    return Claim(
        f"at the initial accuracy of {label}, a centralized model has less capacity to "
        "personalize",
        f"{label}, personalized",
        "centralized, personalized with its best optimizer, at an initial accuracy "
        f"within {100 * gap:.1f} points",
        found,
        decided,
    )


class Matched(NamedTuple):
    """A centralized model, or one between two snapshots."""

    initial: float
    personalized: float


def matched_centralized(
    outcomes: Outcomes, replica: int, accuracy: float
) -> Matched | None:
    """The centralized model of a replica with a given initial accuracy."""
    points = []
    for name in outcomes.main.centralized:
        initial = outcomes.initial(name).get(replica)
        adapted = outcomes.personalized(name, adapter=best_adapter(outcomes, name))
        if initial is not None and replica in adapted:
            points.append(Matched(initial, adapted[replica]))
    return between(points, accuracy)


def between(points: Sequence[Matched], accuracy: float) -> Matched | None:
    """The model between two snapshots, or the nearest one.

    Linearly between the first two, in the order of training, that have the accuracy
    between them.

    >>> between([Matched(0.5, 0.6), Matched(0.7, 0.7)], 0.4)
    Matched(initial=0.5, personalized=0.6)
    """
    for a, b in zip(points, points[1:], strict=False):
        rise = b.initial - a.initial
        if rise and min(a, b).initial <= accuracy <= max(a, b).initial:
            part = (accuracy - a.initial) / rise
            return Matched(
                accuracy, a.personalized + part * (b.personalized - a.personalized)
            )
    return min(points, key=lambda p: abs(p.initial - accuracy), default=None)


def claims_page(outcomes: Outcomes) -> str:
    """All claims as Markdown."""
    settings = outcomes.settings
    lines = [
        f"The paper's claims on {settings.name}: personalized with "
        f"{settings.local_epochs} local epochs of {settings.adapter().label} unless "
        "said otherwise. Difference: paired by replica, with its 95 % t-interval over "
        "replicas, in points; the test clients are the same in all of them. A "
        "centralized model of equal initial accuracy is interpolated between two "
        "snapshots of one training, or the nearest snapshot.",
        "",
        "| claim | first | second | first | second | difference | replicas | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(claim) for claim in all_claims(outcomes)]
    return "\n".join(lines) + "\n"


def _line(claim: Claim) -> str:
    cells = [claim.text, claim.first, claim.second]
    if claim.found is None:
        cells += ["-"] * 3 + ["0"]
    else:
        found, difference = claim.found, f"{100 * claim.found.difference:+.2f}"
        if found.low is not None and found.high is not None:
            difference += f" ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
        cells += [f"{found.first:.4f}", f"{found.second:.4f}", difference]
        cells.append(str(found.replicas))
    return f"| {' | '.join([*cells, claim.verdict])} |"
