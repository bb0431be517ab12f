"""A federated data set: examples (x, y) that belong to named clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Examples(NamedTuple):
    """One client's examples.

    Attributes:
        x: inputs, uint8 or float32 [n, ...].
        y: class numbers, int32 [n].
    """

    x: np.ndarray
    y: np.ndarray


class FederatedData(Protocol):
    """Where clients' examples are read from, one client at a time.

    Attributes:
        name: what people call it, such as "synthetic" or a file's name.
        classes: label of each class.
        input_shape: one example's shape.
    """

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        """Short hex id of its clients and how much each of them has."""

    def clients(self) -> Sequence[str]:
        """Names of all clients, sorted."""

    def count(self, client: str) -> int:
        """How many examples a client has, without reading them."""

    def load(self, client: str) -> Examples:
        """Reads one client's examples."""

    def close(self) -> None:
        """Lets go of files."""
