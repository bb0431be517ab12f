"""Tables 1 to 3 as Markdown and CSV; the paper's numbers beside, on EMNIST-62 only."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import published
from cells import fedavg_name, reptile_name
from outcomes import Outcomes

_MISSING = "-"


class Table(NamedTuple):
    """A table, ready to be written.

    Attributes:
        title: says what was measured.
        head: of the columns.
        rows: as many cells each.
    """

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        lines = [self.head, tuple("---" for _ in self.head), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{self.title}\n\n{table}\n"

    def csv(self) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.head, *self.rows])
        return text.getvalue()


def table1(outcomes: Outcomes) -> Table:
    """FedAvg(E) with few and many clients a round."""
    settings = outcomes.settings
    rows = []
    for block, e in settings.trained:
        cell = fedavg_name(block.clients_per_round, e)
        paper = published.TABLE1.get((block.clients_per_round, e), (_MISSING,) * 3)
        rows.append(
            (
                f"{block.clients_per_round} clients, E={e}, {block.rounds} rounds",
                *_accuracies(outcomes, cell),
                _rounds(outcomes.rounds_to(cell, "initial")),
                _rounds(outcomes.rounds_to(cell, "personalized")),
                *(paper if settings.emnist62 else ()),
            )
        )
    threshold = f"rounds to {100 * settings.threshold:g} %"
    every = ", ".join(
        f"{b.eval_every} ({b.clients_per_round} clients)" for b in settings.fedavg
    )
    return _table(
        outcomes,
        f"Table 1: FedAvg(E) on {settings.name}. Rounds to the threshold are on "
        f"validation clients, looked at every so many rounds: {every}",
        (f"{threshold}, initial", f"{threshold}, personalized"),
        rows,
        (f"{threshold}, initial / personalized",),
    )


def table2(outcomes: Outcomes) -> Table:
    """Fine-tuned models on unseen and on seen clients."""
    settings, rows = outcomes.settings, []
    tuning = settings.fine_tuning
    for k in dict.fromkeys((tuning.local_steps[0], tuning.local_steps[-1])):
        for role in ("test", "train"):
            cell = reptile_name(k, tuning.servers[0])
            paper = published.TABLE2.get((k, role), (_MISSING,) * 2)
            rows.append(
                (
                    f"Reptile({k}), {role} clients",
                    *_accuracies(outcomes, cell, role),
                    *(paper if settings.emnist62 else ()),
                )
            )
    title = (
        f"Table 2: fine-tuned models on unseen and on seen clients of {settings.name}; "
        "seen clients are tested on examples of theirs that no round trained on"
    )
    return _table(outcomes, title, (), rows)


def table3(outcomes: Outcomes) -> Table:
    """Fine-tuning with several server optimizers."""
    settings = outcomes.settings
    tuning, base = settings.fine_tuning, outcomes.main.base
    rows = [
        (
            f"{outcomes.cells[base].label}, not fine-tuned",
            *_accuracies(outcomes, base),
            *(published.BASE if settings.emnist62 else ()),
        )
    ]
    for server in tuning.servers:
        for k in tuning.local_steps:
            paper = published.TABLE3.get((k, server.optimizer), (_MISSING,) * 2)
            rows.append(
                (
                    f"Reptile({k}), {server.label}",
                    *_accuracies(outcomes, reptile_name(k, server)),
                    *(paper if settings.emnist62 else ()),
                )
            )
    title = (
        f"Table 3: {tuning.rounds} rounds of fine-tuning on {settings.name}, each "
        "replica from its own FedAvg model"
    )
    return _table(outcomes, title, (), rows)


def _table(
    outcomes: Outcomes,
    title: str,
    more: tuple[str, ...],
    rows: list[tuple[str, ...]],
    more_paper: tuple[str, ...] = (),
) -> Table:
    settings = outcomes.settings
    head = ("model", "replicas", "initial", "personalized", *more)
    if settings.emnist62:
        paper = ("initial", "personalized", *more_paper)
        head += tuple(f"paper (EMNIST-62): {column}" for column in paper)
    title += (
        f". Mean (standard deviation over replicas) of accuracies averaged uniformly "
        f"over clients; personalized with {settings.local_epochs} local epochs of "
        f"{settings.adapter().label}, batch {settings.adapter().batch_size}."
    )
    return Table(title, head, rows)


def _accuracies(
    outcomes: Outcomes, cell: str, role: str = "test"
) -> tuple[str, str, str]:
    initial = list(outcomes.initial(cell, role).values())
    personalized = list(outcomes.personalized(cell, role).values())
    return str(len(initial)), mean_and_std(initial), mean_and_std(personalized)


def mean_and_std(values: Sequence[float]) -> str:
    """As the paper writes it; without a deviation where there is one replica."""
    if not values:
        return _MISSING
    mean = f"{np.mean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} ({np.std(values, ddof=1):.4f})"


def _rounds(first: Sequence[int | None]) -> str:
    reached = [number for number in first if number is not None]
    if not reached:
        return "never" if first else _MISSING
    mean = f"{np.mean(reached):.1f}"
    some = f" ({len(reached)} of {len(first)} replicas)"
    return mean if len(reached) == len(first) else mean + some
