"""From records to the table of policies, and from the table to the choice.

Accuracies are means over clients, on the part that their device never sees. A client is
hurt where its accuracy there is below the initial model's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate
from fedp.device_runtime.guards import decide
from fedp.training.evaluation.intervals import share
from fedp.training.tuning.grid import EPOCHS, Grid
from fedp.training.tuning.records import ClientRecord

_DIGITS = 9  # beyond, means of equal accuracies differ by the order they are added in
_FEW_CLIENTS = 20


@dataclasses.dataclass(frozen=True)
class Row:
    """What one policy does to the clients.

    Attributes:
        policy: all of its fields.
        clients: how many.
        initial: mean accuracy of the initial model, 0..1.
        personalized: of the adapted models, whatever the guard decides.
        deployed: of what is live after the guard's decision.
        hurt_before: clients that the adapted model hurts.
        hurt_after: clients that are hurt after the guard's decision.
        kept: clients whose adapted model the guard keeps.
    """

    policy: Policy
    clients: int
    initial: float
    personalized: float
    deployed: float
    hurt_before: int
    hurt_after: int
    kept: int

    @property
    def gain(self) -> float:
        """Deployed minus initial accuracy."""
        return self.deployed - self.initial


@dataclasses.dataclass(frozen=True)
class Choice:
    """The chosen policy.

    Attributes:
        row: what it does to the clients.
        met: whether no more clients are hurt than allowed.
        remarks: what to know about it, a sentence each.
    """

    row: Row
    met: bool
    remarks: tuple[str, ...] = ()


def judge(records: Sequence[ClientRecord], policy: Policy) -> Row:
    """What a policy does to clients, from their records of its adaptation."""
    personalized = deployed = 0.0
    before = after = kept = 0
    for record in records:
        initial = record.initial
        adapted = record.after[Candidate(policy.epochs, 1.0)]
        decision = decide(record.evidence(policy), policy)
        live = initial
        if decision.keep:
            chosen = record.after[Candidate(decision.epochs, decision.blend)]
            live = chosen if chosen.finite else initial
        personalized += adapted.accuracy
        deployed += live.accuracy
        before += adapted.accuracy < initial.accuracy
        after += live.accuracy < initial.accuracy
        kept += live is not initial
    count = len(records)
    start = sum(record.initial.accuracy for record in records)
    means = (start / count, personalized / count, deployed / count)
    return Row(policy, count, *means, before, after, kept)


def tabulate(
    grid: Grid, records_of: Callable[[Policy], Sequence[ClientRecord]]
) -> list[Row]:
    """One row a policy of the grid.

    Args:
        grid: the policies.
        records_of: the records of all clients of an adaptation.
    """
    return [
        judge(records, policy)
        for adaptation in grid.adaptations()
        for records in [records_of(adaptation)]
        for policy in grid.after(adaptation)
    ]


def choose(rows: Sequence[Row], max_hurt: float, sizes: Mapping[str, int]) -> Choice:
    """The best deployed accuracy among policies that hurt few enough clients.

    Of equals: fewer epochs, then the smaller part trained, then fewer clients hurt,
    then the first. If all hurt too many: the one that hurts fewest, likewise.

    Args:
        rows: one a policy.
        max_hurt: largest share of clients hurt after the guard, 0..1.
        sizes: numbers that train, by `Policy.trainable`.
    """

    def rank(row: Row) -> tuple[float, ...]:
        policy = row.policy
        accuracy = -round(row.deployed, _DIGITS)
        return (accuracy, policy.epochs, sizes[policy.trainable], row.hurt_after)

    allowed = [row for row in rows if row.hurt_after <= max_hurt * row.clients + 1e-9]
    if allowed:
        return Choice(min(allowed, key=rank), True)
    return Choice(min(rows, key=lambda row: (row.hurt_after, *rank(row))), False)


def with_remarks(choice: Choice, grid: Grid, max_hurt: float) -> Choice:
    """Adds what a reader of the choice should know."""
    row = choice.row
    found = list(_edges(row.policy, grid.values))
    if not choice.met:
        found.insert(
            0,
            f"no policy of the grid hurts at most {max_hurt:.0%} of the clients: this "
            f"one hurts fewest, {row.hurt_after} of {row.clients}; try larger margins",
        )
    if row.gain <= 0:
        found.insert(0, "no policy within the limit is better than the initial model")
    if row.clients < _FEW_CLIENTS:
        interval = share(row.hurt_after, row.clients)
        found.append(
            f"{row.clients} clients are few: the share of hurt ones is between "
            f"{interval.low:.0%} and {interval.high:.0%} (95 %)"
        )
    return dataclasses.replace(choice, remarks=tuple(found))


def _edges(policy: Policy, values: Mapping[str, Sequence[Any]]) -> Iterable[str]:
    for name in ("learning_rate", EPOCHS):
        tried, chosen = values[name], getattr(policy, name)
        if len(tried) > 1 and chosen in (min(tried), max(tried)):
            which, other = (
                ("smallest", "smaller")
                if chosen == min(tried)
                else ("largest", "larger")
            )
            if (name, which) != (EPOCHS, "smallest"):
                yield (
                    f"{name.replace('_', ' ')} {chosen:g} is the {which} of the grid: "
                    f"try {other} ones as well"
                )


def best_by(
    rows: Sequence[Row],
    names: Sequence[str],
    max_hurt: float,
    sizes: Mapping[str, int],
) -> list[Choice]:
    """The choice among all rows that agree in some fields, for each of their values."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple(getattr(row.policy, name) for name in names)
        groups.setdefault(key, []).append(row)
    return [choose(group, max_hurt, sizes) for group in groups.values()]
