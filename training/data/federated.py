"""A federated data set: examples (x, y) that belong to named clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Examples(NamedTuple):
    """One client's examples.

    Attributes:
        x: inputs [n, ...]: uint8 (scaled to 0..1 where a model takes them), float32, or
            int32 for tokens, which nothing scales.
        y: class numbers, int32 [n, *label_shape]; in a sequence -1 says that there is
            no label at this place, and neither loss nor accuracy counts it.
    """

    x: np.ndarray
    y: np.ndarray


class FederatedData(Protocol):
    """Where clients' examples are read from, one client at a time.

    Attributes:
        name: what people call it, such as "synthetic" or a file's name.
        classes: label of each class.
        input_shape: one example's shape.
        label_shape: shape of one example's labels: () for one, (80,) for a sequence.
    """

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    label_shape: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        """Short hex id of its clients and how much each of them has."""

    def clients(self) -> Sequence[str]:
        """Names of all clients, sorted."""

    def count(self, client: str) -> int:
        """How many examples a client has, without reading them."""

    def train_count(self, client: str) -> int | None:
        """How many of a client's examples, the first ones, are its own training part.

        None where the data set comes without such a split.
        """

    def load(self, client: str) -> Examples:
        """Reads one client's examples: its training part, then its test part."""

    def close(self) -> None:
        """Lets go of files."""
