"""Evaluates a run's model on clients and writes each client's curve."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import curves
import numpy as np
from settings import Settings
from wanted import Look

from fedp.training.client_optimizers import optimizer_of
from fedp.training.data.federated import FederatedData
from fedp.training.evaluation_rounds import (
    Evaluation,
    EvaluationClient,
    build_evaluation,
)
from fedp.training.loading import (
    client_type,
    evaluation_clients,
    open_training_data,
)
from fedp.training.models import build_model
from fedp.training.run_directory import Run
from fedp.training.threads import one_thread_an_operator


class Looker:
    """Keeps one built evaluation for each way to personalize; close it in the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._evaluations: dict[tuple[str, int], Evaluation] = {}

    def look(self, run: Run, look: Look, path: pathlib.Path) -> None:
        """Writes the accuracies of every client after 0, 1, ... local epochs."""
        with contextlib.closing(open_training_data(run.config)) as data:
            most, seed = self._settings.test_clients, self._settings.split_seed
            random = np.random.default_rng(seed)
            chosen = run.record.split.sample_up_to(
                data.clients(), look.role, most, random
            )
            names = sorted(chosen)
            evaluation = self._evaluation(run, data, look)
            seen: list[str] = []
            clients = self._clients(data, names, seen)
            accuracies = evaluation.curves(run.weights(), clients)
        curves.write(path, accuracies, seen, curves.asked(self._settings, look))

    def _clients(
        self, data: FederatedData, names: list[str], seen: list[str]
    ) -> Iterator[EvaluationClient]:
        settings = self._settings
        for name in names:
            for client in evaluation_clients(
                data, [name], settings.split_seed, settings.client_test
            ):
                seen.append(name)
                yield client

    def _evaluation(self, run: Run, data: FederatedData, look: Look) -> Evaluation:
        key = look.adapter.name, look.epochs
        if key not in self._evaluations:
            one_thread_an_operator()
            record, adapter = run.record, look.adapter
            model = build_model(
                run.config.model,
                record.input_shape,
                len(record.classes),
                label_shape=record.label_shape,
            )
            function = build_evaluation(
                model,
                client_type(data, data.clients()[0]),
                adapter.batch_size,
                optimizer_of(adapter.optimizer, adapter.learning_rate, 0.9),
                range(look.epochs + 1),
            )
            self._evaluations[key] = Evaluation(function)
        return self._evaluations[key]

    def close(self) -> None:
        """Ends all threads."""
        for evaluation in self._evaluations.values():
            evaluation.close()
