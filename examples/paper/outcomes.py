"""What the models came to: accuracies of each replica, from the files alone."""

from __future__ import annotations

import csv
import pathlib
from typing import NamedTuple

import curves
import numpy as np
from cells import Cell, all_cells
from settings import Settings
from wanted import Job, Look, Main, main_cells


class Validation(NamedTuple):
    """One evaluated round of a training."""

    round: int
    initial: float
    personalized: float


class Outcomes:
    """Reads a folder of the harness; what is missing is left out.

    Attributes:
        settings: of the harness.
        cells: all models by name.
        main: names of those that figures and claims are about.
    """

    def __init__(self, settings: Settings, out: pathlib.Path) -> None:
        self.settings, self._out = settings, out
        self.cells: dict[str, Cell] = all_cells(settings)
        self.main: Main = main_cells(settings)

    def curves(
        self,
        cell: str,
        adapter: str | None = None,
        role: str = "test",
        epochs: int | None = None,
    ) -> dict[int, np.ndarray]:
        """By replica: float32 [clients, epochs + 1].

        Args:
            cell: the model's name.
            adapter: how clients personalize; that of the tables unless given.
            role: "test", or "train" for seen clients.
            epochs: local ones; those of the tables unless given.
        """
        wanted = self.settings.local_epochs if epochs is None else epochs
        look = Look(role, self.settings.adapter(adapter), wanted)
        found = {}
        for replica in range(self.cells[cell].replicas):
            path = curves.path_of(self._out, Job(self.cells[cell], replica, ()), look)
            read = curves.read(path, curves.asked(self.settings, look), wanted)
            if read is not None:
                found[replica] = read.accuracies
        return found

    def initial(self, cell: str, role: str = "test") -> dict[int, float]:
        """Mean over clients before any local step, by replica."""
        found = self.curves(cell, role=role)
        return {replica: float(c[:, 0].mean()) for replica, c in found.items()}

    def personalized(
        self, cell: str, role: str = "test", adapter: str | None = None
    ) -> dict[int, float]:
        """Mean over clients after the tables' local epochs, by replica."""
        found = self.curves(cell, adapter, role)
        return {replica: float(c[:, -1].mean()) for replica, c in found.items()}

    def validations(self, cell: str, replica: int) -> list[Validation]:
        """The evaluated rounds of a training that has begun."""
        path = self._out / "runs" / cell / str(replica) / "metrics.csv"
        if not path.exists():
            return []
        with open(path, newline="") as file:
            return [
                Validation(
                    int(line["round"]),
                    float(line["initial_accuracy"]),
                    float(line["personalized_accuracy"]),
                )
                for line in csv.DictReader(file)
                if line["initial_accuracy"]
            ]

    def rounds_to(self, cell: str, which: str) -> list[int | None]:
        """By replica: the first evaluated round at the threshold; None for never.

        Args:
            cell: the model's name.
            which: "initial" or "personalized".
        """
        first: list[int | None] = []
        for replica in self.curves(cell):
            reached = [
                each.round
                for each in self.validations(cell, replica)
                if getattr(each, which) >= self.settings.threshold
            ]
            first.append(reached[0] if reached else None)
        return first
