"""Which models, evaluated how, each table and figure needs, and the order of the work.

The claims' models come first, replica by replica, so that a harness that is stopped
early leaves whole comparisons; the cells that only Table 1 shows come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cells import (
    Cell,
    all_cells,
    base_name,
    centralized_name,
    fedavg_name,
    reptile_name,
)
from settings import Adapter, Settings

OUTPUTS = (
    *("table1", "table2", "table3"),
    *("figure1", "figure2", "figure3", "figure4"),
    "claims",
)


class Look(NamedTuple):
    """One evaluation of a model.

    Attributes:
        role: "test", or "train" for seen clients.
        adapter: how clients personalize.
        epochs: local epochs, the curve's last point.
    """

    role: str
    adapter: Adapter
    epochs: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.role}_{self.adapter.name}"


class Job(NamedTuple):
    """A model of one replica, with all evaluations that are wanted of it."""

    cell: Cell
    replica: int
    looks: tuple[Look, ...]

    @property
    def name(self) -> str:
        """Of its folders."""
        return f"{self.cell.name}/{self.replica}"


class Main(NamedTuple):
    """Names of the cells that figures and claims are about."""

    few_epochs: str
    base: str
    reptile_few: str
    reptile_many: str
    centralized: tuple[str, ...]

    @property
    def federated(self) -> tuple[str, str, str]:
        """Figure 2, left."""
        return self.base, self.reptile_few, self.reptile_many


def main_cells(settings: Settings) -> Main:
    tuning = settings.fine_tuning
    few = min(
        e
        for b, e in settings.trained
        if b.clients_per_round == tuning.clients_per_round
    )
    return Main(
        fedavg_name(tuning.clients_per_round, few),
        base_name(settings),
        reptile_name(tuning.local_steps[0], tuning.servers[0]),
        reptile_name(tuning.local_steps[-1], tuning.servers[0]),
        tuple(centralized_name(e) for e in sorted(settings.centralized.epochs)),
    )


def fine_tuned_names(settings: Settings) -> list[str]:
    """The cells of Table 3, in its order."""
    tuning = settings.fine_tuning
    return [reptile_name(k, s) for s in tuning.servers for k in tuning.local_steps]


def jobs(settings: Settings, outputs: Sequence[str] = OUTPUTS) -> list[Job]:
    """All that the outputs need, in the order of the work."""
    cells, looks = all_cells(settings), _looks(settings, outputs)
    for name in list(looks):  # a base is trained, though nobody may look at it
        base = cells[name].base
        while base is not None:
            looks.setdefault(base.name, {})
            base = base.base
    main = main_cells(settings)
    claims = (main.few_epochs, *main.federated, *main.centralized)
    fine_tuned = fine_tuned_names(settings)
    groups: list[list[str]] = [list(claims)]
    groups.append([name for name in fine_tuned if name not in claims])
    groups.append([n for n in cells if n not in claims and n not in fine_tuned])
    ordered = []
    for group in groups:
        names = [name for name in dict.fromkeys(group) if name in looks]
        most = max((cells[name].replicas for name in names), default=0)
        for replica in range(most):
            for name in names:
                if replica < cells[name].replicas:
                    wanted = tuple(looks[name].values())
                    ordered.append(Job(cells[name], replica, wanted))
    return ordered


def _looks(settings: Settings, outputs: Sequence[str]) -> dict[str, dict[str, Look]]:
    """Evaluations of each cell by their names, the longest curve that is wanted."""
    main = main_cells(settings)
    looks: dict[str, dict[str, Look]] = {}

    def want(cell: str, adapter: str | None = None, role: str = "test") -> None:
        whole = adapter is not None
        epochs = settings.curve_epochs if whole else settings.local_epochs
        look = Look(role, settings.adapter(adapter), epochs)
        had = looks.setdefault(cell, {}).get(look.name)
        if had is None or had.epochs < epochs:
            looks[cell][look.name] = look

    for output in outputs:
        if output == "table1":
            for block, e in settings.trained:
                want(fedavg_name(block.clients_per_round, e))
        if output == "table2":
            for name in (main.reptile_few, main.reptile_many):
                want(name)
                want(name, role="train")
        if output == "table3":
            for name in (main.base, *fine_tuned_names(settings)):
                want(name)
        if output == "figure1":
            for name in (main.few_epochs, main.base):
                looks.setdefault(name, {})
        if output in ("figure2", "claims"):
            for name in main.federated:
                for adapter in settings.figure2_federated:
                    want(name, adapter)
            for name in main.centralized:
                for adapter in settings.figure2_centralized:
                    want(name, adapter)
        if output in ("figure3", "figure4", "claims"):
            for name in (*main.federated, main.few_epochs):
                want(name)
    return looks
