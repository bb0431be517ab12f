"""A run's numbers: one line of metrics.csv a round, and the same for TensorBoard."""

from __future__ import annotations

import csv
import os
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import tensorflow as tf

_PARTICIPANT = ("round", "client")


class RoundLog(NamedTuple):
    """What a round has to say.

    Attributes:
        round: counted from 1 over all stages.
        stage: its name.
        train_loss: mean loss over the examples trained on, while training.
        clients: that took part.
        left_out: of those, how many failed or left the finite numbers, and count for
            nothing.
        examples: that they have.
        processed: that they trained on, repeats counted.
        steps: batches.
        seconds: the round took, repeated attempts included.
        repeated: how often it was repeated, since too few clients came through.
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
    repeated: int = 0
    initial_accuracy: float | None = None
    personalized_accuracy: float | None = None

    @property
    def examples_per_second(self) -> float:
        """Examples trained on in a second."""
        return self.processed / self.seconds if self.seconds else 0.0


class MetricsWriter:
    """Appends to metrics.csv, participants.csv and tensorboard/ of a run.

    Example:
        >>> with MetricsWriter(run.path, after=0) as metrics:  # doctest: +SKIP
        ...     metrics.write(log, ["writer 7"])
    """

    def __init__(self, folder: pathlib.Path, after: int) -> None:
        """Opens the files.

        Args:
            folder: the run directory.
            after: the round that the run continues from; later lines are dropped.
        """
        self._csv = _open_csv(folder / "metrics.csv", RoundLog._fields, after)
        self._lines = csv.DictWriter(self._csv, RoundLog._fields)
        self._who = _open_csv(folder / "participants.csv", _PARTICIPANT, after)
        self._events: Any = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def __enter__(self) -> MetricsWriter:
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the files."""
        self._csv.close()
        self._who.close()
        self._events.close()

    def write(self, log: RoundLog, participants: Sequence[str]) -> None:
        """Writes one round and the names of its clients."""
        csv.writer(self._who).writerows((log.round, name) for name in participants)
        self._lines.writerow(log._asdict())
        for file in (self._who, self._csv):
            file.flush()
            # Before the checkpoint: it must not know of rounds that are not here.
            os.fsync(file.fileno())
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


def read_attempts(folder: pathlib.Path) -> Counter[str]:
    """How many rounds each stage has taken, repeated attempts included."""
    attempts: Counter[str] = Counter()
    with open(folder / "metrics.csv", newline="") as file:
        for line in csv.DictReader(file):
            attempts[line["stage"]] += 1 + int(line["repeated"])
    return attempts


def read_participants(folder: pathlib.Path) -> set[str]:
    """Names of all clients that a round has trained on."""
    with open(folder / "participants.csv", newline="") as file:
        return {line["client"] for line in csv.DictReader(file)}


def _open_csv(path: pathlib.Path, fields: Sequence[str], after: int) -> IO[str]:
    """Opens a table for its next lines, without those of later rounds."""
    part = path.with_name(f".{path.name}.part")
    with open(part, "w", newline="") as file:
        lines = csv.DictWriter(file, fields)
        lines.writeheader()
        lines.writerows(_lines_up_to(path, after))
    os.replace(part, path)
    return open(path, "a", newline="")


def _lines_up_to(path: pathlib.Path, after: int) -> Iterator[dict[str, str]]:
    if not path.exists():
        return
    with open(path, newline="") as file:
        for line in csv.DictReader(file):
            # A crash may have cut the last line short: that one lacks fields.
            whole = None not in line.values() and None not in line
            if whole and line["round"].isdecimal() and int(line["round"]) <= after:
                yield line
