"""A run's numbers: one line of metrics.csv a round, and the same for TensorBoard."""

from __future__ import annotations

import csv
import pathlib
from typing import IO, Any, NamedTuple

import tensorflow as tf


class RoundLog(NamedTuple):
    """What a round has to say.

    Attributes:
        round: counted from 1 over all stages.
        stage: its name.
        train_loss: mean loss over the examples trained on, while training.
        clients: that took part.
        left_out: of those, how many left the finite numbers and count for nothing.
        examples: that they have.
        processed: that they trained on, repeats counted.
        steps: batches.
        seconds: the round took.
        initial_accuracy: on validation clients, 0..1; None in rounds without.
        personalized_accuracy: likewise.
    """

    round: int
    stage: str
    train_loss: float
    clients: int
    left_out: int
    examples: int
    processed: int
    steps: int
    seconds: float
    initial_accuracy: float | None = None
    personalized_accuracy: float | None = None

    @property
    def examples_per_second(self) -> float:
        """Examples trained on in a second."""
        return self.processed / self.seconds if self.seconds else 0.0


class MetricsWriter:
    """Appends to metrics.csv and tensorboard/ of a run.

    Example:
        >>> with MetricsWriter(run.path, after=0) as metrics:  # doctest: +SKIP
        ...     metrics.write(log)
    """

    def __init__(self, folder: pathlib.Path, after: int) -> None:
        """Opens the files.

        Args:
            folder: the run directory.
            after: the round that the run continues from; later lines are dropped.
        """
        self._csv = _open_csv(folder / "metrics.csv", after)
        self._lines = csv.DictWriter(self._csv, RoundLog._fields)
        self._events: Any = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def __enter__(self) -> MetricsWriter:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the files."""
        self._csv.close()
        self._events.close()

    def write(self, log: RoundLog) -> None:
        """Writes one round."""
        self._lines.writerow(log._asdict())
        self._csv.flush()
        scalars = {
            "train/loss": log.train_loss,
            "train/examples_per_second": log.examples_per_second,
            "train/left_out": log.left_out,
            "validation/initial_accuracy": log.initial_accuracy,
            "validation/personalized_accuracy": log.personalized_accuracy,
        }
        with self._events.as_default():
            for name, value in scalars.items():
                if value is not None:
                    tf.summary.scalar(name, value, step=log.round)
        self._events.flush()


def _open_csv(path: pathlib.Path, after: int) -> IO[str]:
    kept = []
    if path.exists():
        with open(path, newline="") as file:
            # A crash may have cut the last line short: that one lacks fields.
            kept = [
                line
                for line in csv.DictReader(file)
                if None not in line.values() and int(line["round"]) <= after
            ]
    file = open(path, "w", newline="")
    lines = csv.DictWriter(file, RoundLog._fields)
    lines.writeheader()
    lines.writerows(kept)
    file.flush()
    return file
