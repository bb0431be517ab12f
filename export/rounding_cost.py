"""What rounding the initial weights costs in accuracy, on validation clients."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from fedp.device_runtime.errors import FedpError
from fedp.device_runtime.examples import as_model_input
from fedp.export.rounding import rounded
from fedp.training.data.federated import Examples
from fedp.training.loading import load_examples, open_training_data
from fedp.training.models import accuracy_fn, takes_tokens
from fedp.training.run_directory import Run

_CLIENTS = 20
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class RoundingCost:
    """Accuracy of the initial model before and after rounding, 0..1.

    Attributes:
        exact: with float32 weights.
        rounded: with float16 weights.
        examples: of validation clients, on which both are measured.
    """

    exact: float
    rounded: float
    examples: int

    def __str__(self) -> str:
        """One sentence."""
        return (
            f"float16 initial weights change the accuracy from {self.exact:.4f} to "
            f"{self.rounded:.4f} on {self.examples} examples of validation clients"
        )


def rounding_cost(model: tf.keras.Model, run: Run) -> RoundingCost:
    """Measures it on the run's own data.

    Raises:
        FedpError: the data set cannot be opened here, or has no validation client.
    """
    parts = _validation_examples(run)
    exact = _accuracy(model, parts)
    with rounded(model, "float16"):
        after = _accuracy(model, parts)
    return RoundingCost(exact, after, sum(len(part.y) for part in parts))


def _validation_examples(run: Run) -> list[Examples]:
    with contextlib.closing(open_training_data(run.config)) as data:
        names = run.record.split.iterate(data.clients(), "validation")
        chosen = itertools.islice(names, _CLIENTS)
        parts = [load_examples(data, name) for name in chosen]
    if not any(len(part.y) for part in parts):
        raise FedpError(
            f"{run.record.data_name} has no validation client with examples"
        )
    return parts


def _accuracy(model: tf.keras.Model, parts: list[Examples]) -> float:
    accuracy, hits = accuracy_fn(model), []
    for x, y in parts:
        if not takes_tokens(model):
            x = as_model_input(x, tuple(model.input_shape[1:]))
        for at in range(0, len(y), _BATCH):
            output = model(x[at : at + _BATCH], training=False)
            hits.append(accuracy(y[at : at + _BATCH], output).numpy())
    return float(np.concatenate(hits).mean(dtype=np.float64))
