"""A data set whose clients are found by an index and read from a source, one by one."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.training.data.client_index import ClientIndex, Part
from fedp.training.data.federated import Examples
from fedp.training.data.seeds import client_generator


class Source(Protocol):
    """Files of one format; all but `parts` holds once that was read to its end.

    Attributes:
        classes: label of each class.
        input_shape: one example's shape.
        label_shape: shape of one example's labels.
    """

    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    label_shape: tuple[int, ...]

    def parts(self) -> Iterator[Part]:
        """Where all clients' examples are, in one pass over the files."""

    def read(self, parts: Sequence[Part]) -> Examples:
        """Reads parts of one client, one after the other.

        Raises:
            DataError: they cannot be read, or are not what the first pass found.
        """

    def close(self) -> None:
        """Gives files back; harmless when repeated."""


class IndexedData:
    """A `FederatedData` set over a source; memory does not grow with its clients.

    Attributes:
        name: the file's or folder's name.
        classes: label of each class.
        input_shape: one example's shape.
        label_shape: shape of one example's labels.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        source: Source,
        max_examples: int | None = None,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        """Indexes the source.

        Args:
            path: what errors name.
            source: where the examples are.
            max_examples: most examples a client, drawn by `seed`; None for all. Where
                the client has a training and a test part, both shrink in proportion.
            seed: which examples a capped client keeps.
            name: other than the path's last part.

        Raises:
            DataError: a cap out of range, or files that cannot be used.
        """
        if max_examples is not None and max_examples < 1:
            raise DataError(f"max_examples is {max_examples}; allowed are 1 and more")
        self._path = pathlib.Path(path)
        self._source = source
        self._max_examples = max_examples
        self._seed = seed
        self.name = name or self._path.name or self._path.resolve().name
        try:
            self._index = ClientIndex(source.parts())
        except BaseException as error:
            source.close()
            if isinstance(error, DataError):
                raise DataError(f"{path}: {error}") from error
            raise
        self.classes = source.classes
        self.input_shape = source.input_shape
        self.label_shape = source.label_shape

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for equal clients with equally many examples."""
        return self._index.fingerprint

    def clients(self) -> Sequence[str]:
        """Names of all clients, sorted; fetched when they are asked for."""
        return self._index.names

    def count(self, client: str) -> int:
        """How many examples a client has, with the cap."""
        everything = sum(self._counts(client))
        return min(everything, self._max_examples or everything)

    def train_count(self, client: str) -> int | None:
        """How many of them, the first ones, are the client's own training part."""
        if not self._index.has_split:
            return None
        train, test = self._counts(client)
        return self._kept(train, test)[0]

    def load(self, client: str) -> Examples:
        """Reads one client's examples: its training part, then its test part.

        Raises:
            DataError: no such client, NaN or Inf in x, a label out of range, or files
                that have changed.
        """
        train, test = self._counts(client)
        try:
            x, y = self._source.read(self._index.parts(client))
            self._check(x, y, train + test)
        except DataError as error:
            raise DataError(f"{self._path}: client {client!r}: {error}") from error
        rows = self._kept_rows(client, train, test)
        return Examples(x, y) if rows is None else Examples(x[rows], y[rows])

    def _counts(self, client: str) -> tuple[int, int]:
        if client not in self._index.names:
            names = self._index.names
            raise DataError(
                f"{self._path} has no client {client!r}; it has {len(names)}, such as "
                f"{', '.join(names[:3])}"
            )
        return self._index.counts(client)

    def _kept(self, train: int, test: int) -> tuple[int, int]:
        """How many examples the cap leaves of a training and a test part."""
        most = self._max_examples
        if most is None or train + test <= most:
            return train, test
        if not train or not test:
            return min(train, most), min(test, most)
        kept = min(max(round(most * train / (train + test)), 1), max(most - 1, 1))
        return kept, most - kept

    def _kept_rows(self, client: str, train: int, test: int) -> np.ndarray | None:
        """Row numbers that the cap keeps, ascending; None for all."""
        kept = self._kept(train, test)
        if kept == (train, test):
            return None
        random = client_generator("cap", self._seed, client)
        firsts = random.permutation(train)[: kept[0]]
        seconds = train + random.permutation(test)[: kept[1]]
        return np.sort(np.concatenate([firsts, seconds]))

    def _check(self, x: np.ndarray, y: np.ndarray, count: int) -> None:
        """Raises DataError unless a client's arrays are what the index promises."""
        if x.shape != (count, *self.input_shape):
            raise DataError(
                f"x has shape {list(x.shape)}; {[count, *self.input_shape]} is needed, "
                "as the first client has it and the file promises"
            )
        if y.shape != (count, *self.label_shape):
            raise DataError(
                f"y has shape {list(y.shape)}; {[count, *self.label_shape]} is needed"
            )
        least = -1 if self.label_shape else 0
        wrong = (y < least) | (y >= len(self.classes))
        if wrong.any():
            raise DataError(
                f"label {y[wrong][0]} is out of range; allowed are "
                f"{least}..{len(self.classes) - 1}"
            )
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            bad = int((~np.isfinite(x.reshape(count, -1)).all(axis=1)).argmax())
            raise DataError(
                f"x holds NaN or Inf, first in its example {bad}: replace it"
            )

    def close(self) -> None:
        """Gives files back; harmless when repeated."""
        self._source.close()
        self._index.close()

    def __enter__(self) -> IndexedData:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()
