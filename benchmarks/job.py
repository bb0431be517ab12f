"""What a row of a benchmark is asked to run, and what it answers: JSON both ways."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

DATA = pathlib.Path(__file__).parents[2] / "shared/data/unipen62/unipen62.npz"


@dataclasses.dataclass(frozen=True)
class Job:
    """The work that all rows of one table share.

    Attributes:
        data: what `open_data` takes.
        clients: writers in a round, or in an evaluation.
        rounds: timed ones; an evaluation has none.
        epochs: E, or the local epochs of personalization.
        least: writers with fewer images do not take part.
        most: images taken of one writer at most.
        model: a name that `build_model` knows.
        batch_size: of the clients.
        client_learning_rate: of their SGD.
        seed: of the weights, of who takes part, and of the shuffling.
        weights: .npz of the weights to start from; None for fresh ones.
    """

    data: str
    clients: int
    rounds: int
    epochs: int
    least: int
    most: int
    model: str = "emnist_cnn"
    batch_size: int = 20
    client_learning_rate: float = 0.02
    seed: int = 0
    weights: str | None = None


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one row measured.

    Attributes:
        units: examples trained on, repeats counted; or clients evaluated.
        seconds: wall time from a warm start to the end of the last unit.
        check: what must agree between rows: the mean training loss of each round, or
            the mean accuracy before and after.
        parts: seconds of `seconds` by where they went, if the row can tell.
    """

    units: int
    seconds: float
    check: list[float]
    parts: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units in a second."""
        return self.units / self.seconds


def write(path: pathlib.Path, value: Job | Measured) -> None:
    path.write_text(json.dumps(dataclasses.asdict(value)))


def read(path: pathlib.Path, kind: Any) -> Any:
    return kind(**json.loads(path.read_text()))
