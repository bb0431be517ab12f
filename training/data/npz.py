"""A federated data set in one .npz file: arrays x, y and client, optionally classes."""

from __future__ import annotations

import bisect
import hashlib
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np

from fedp.device_runtime.errors import DataError
from fedp.device_runtime.examples import as_labels
from fedp.training.data.federated import Examples
from fedp.training.data.rows import RowFile, numpy_format, read_header
from fedp.training.data.seeds import client_generator

_NEEDED = ("x", "y", "client")
_X_DTYPES = ("uint8", "float16", "float32", "float64")
_TOKEN_DTYPES = ("int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_MOST_UNNAMED_CLASSES = 100_000
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,  # how zipfile reports an encrypted or unknown member
    zipfile.BadZipFile,
    zlib.error,
)


class NpzData:
    """A `FederatedData` set whose examples stay in the file until a client is read.

    Labels and the index of clients are held in memory (about 12 bytes an example);
    memory does not grow with the number of clients read.

    Attributes:
        name: the file's name.
        classes: label of each class, from `classes` or "0", "1", ...
        input_shape: one example's shape.
        label_shape: shape of one example's labels, () or [L].
        fingerprint: short hex id of the data set, from its clients and their counts.

    Example:
        >>> with NpzData("digits.npz", max_examples=400) as data:  # doctest: +SKIP
        ...     x, y = data.load(data.clients()[0])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_examples: int | None = None,
        seed: int = 0,
    ) -> None:
        """Opens and checks the file.

        Args:
            path: an .npz of x uint8, float, or other integers for tokens [N, ...], y
                integers [N], or [N, L] with -1 for no label where x is [N, L, ...],
                client unicode [N] and optionally classes unicode [C].
            max_examples: most examples a client, drawn by `seed`; None for all.
            seed: which examples a capped client keeps.

        Raises:
            DataError: not such a file, or arrays that do not fit each other.
        """
        if max_examples is not None and max_examples < 1:
            raise DataError(f"max_examples is {max_examples}; allowed are 1 and more")
        self._path = pathlib.Path(path)
        self._max_examples = max_examples
        self._seed = seed
        self.name = self._path.name
        try:
            with self._path.open("rb") as file, zipfile.ZipFile(file) as archive:
                self._open(file, archive)
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such file; give an existing .npz") from error
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        except _DAMAGE as error:
            raise DataError(
                f"{path} cannot be read as an .npz file ({error}): write it with "
                "numpy.savez_compressed, without pickled objects"
            ) from error

    def _open(self, file: IO[bytes], archive: zipfile.ZipFile) -> None:
        have = [name.removesuffix(".npy") for name in archive.namelist()]
        missing = [name for name in _NEEDED if name not in have]
        if missing:
            raise DataError(
                f"has no array {', '.join(missing)} (it has "
                f"{', '.join(sorted(have)) or 'none'}); x, y and client are needed"
            )
        shape = _check_x(archive)
        y = _read(archive, "y")
        named = _read(archive, "classes") if "classes" in have else None
        self.classes = _class_names(y, named)
        self._y = _labels(y, len(self.classes), shape)
        self.label_shape = self._y.shape[1:]
        names, owner = _check_clients(_read(archive, "client"), shape[0])
        # Row numbers grouped by client; client i owns rows[starts[i] : starts[i + 1]].
        self._rows = np.argsort(owner, kind="stable")
        self._starts = np.searchsorted(owner[self._rows], np.arange(len(names) + 1))
        self._clients = tuple(names.tolist())
        self._x = RowFile(file, archive, "x.npy")
        self.input_shape = self._x.shape[1:]

    def clients(self) -> Sequence[str]:
        """Names of all clients, sorted."""
        return self._clients

    def count(self, client: str) -> int:
        """How many examples a client has, with the cap."""
        everything = len(self._rows_of(client))
        return min(everything, self._max_examples or everything)

    def train_count(self, client: str) -> None:
        """None: clients come without a split of their own."""

    def load(self, client: str) -> Examples:
        """Reads one client's examples, in the file's order.

        Returns:
            x [n, ...] in the file's dtype, or int32 for tokens; y int32 [n] or [n, L].

        Raises:
            DataError: no such client, NaN or Inf in x, a token that is no int32, or a
                file that has changed.
        """
        rows = self._rows_of(client)
        if self._max_examples is not None and len(rows) > self._max_examples:
            random = client_generator("cap", self._seed, client)
            rows = np.sort(random.permutation(rows)[: self._max_examples])
        try:
            x = self._x.read(rows)
        except (OSError, EOFError) as error:
            raise DataError(
                f"{self._path}: {error}; do not change it in use"
            ) from error
        if x.dtype.kind == "f":
            finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
            if not finite.all():
                raise DataError(
                    f"{self._path}: x holds NaN or Inf in example "
                    f"{rows[finite.argmin()]}, of client {client!r}: replace it"
                )
        if x.dtype.name in _TOKEN_DTYPES:
            if x.min(initial=0) < 0 or x.max(initial=0) >= 2**31:
                raise DataError(
                    f"{self._path}: x of client {client!r} holds tokens out of range; "
                    "allowed are 0..2147483647"
                )
            x = x.astype(np.int32, copy=False)
        return Examples(x, self._y[rows])

    def _rows_of(self, client: str) -> np.ndarray:
        """A client's row numbers, ascending: int64 [n]."""
        at = bisect.bisect_left(self._clients, client)
        if self._clients[at : at + 1] != (client,):
            raise DataError(
                f"{self._path} has no client {client!r}; it has {len(self._clients)}, "
                f"such as {', '.join(self._clients[:3])}"
            )
        return self._rows[self._starts[at] : self._starts[at + 1]]

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for equal clients with equally many examples."""
        counts = np.diff(self._starts).tolist()
        lines = (f"{n} {c}\n" for n, c in zip(self._clients, counts, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    def close(self) -> None:
        """Gives the file back; harmless when repeated."""
        self._x.close()

    def __enter__(self) -> NpzData:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self.close()


def _read(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as stream:
        return np.asarray(numpy_format.read_array(stream, allow_pickle=False))


def _check_x(archive: zipfile.ZipFile) -> tuple[int, ...]:
    """Checks x by its header alone; returns its shape."""
    with archive.open("x.npy") as stream:
        shape, dtype, _ = read_header(stream)
    if dtype.newbyteorder("=").name not in _X_DTYPES + _TOKEN_DTYPES:
        raise DataError(
            f"x has dtype {dtype}; allowed are {', '.join(_X_DTYPES)}, and other "
            "integers for tokens: convert it"
        )
    if len(shape) < 2 or 0 in shape[1:]:
        raise DataError(
            f"x has shape {list(shape)}; [examples, ...] with one or more numbers an "
            "example is needed: reshape it"
        )
    if shape[0] == 0:
        raise DataError("holds zero examples; one or more are needed")
    return shape


def _labels(y: np.ndarray, classes: int, x_shape: tuple[int, ...]) -> np.ndarray:
    """Checks labels; in sequences, one for each step of x, -1 is allowed."""
    if y.ndim != 2 or y.shape != x_shape[:2] or y.dtype.kind not in "iu":
        return as_labels(y, classes, (x_shape[0],))
    flat = y.reshape(-1)
    labelled = flat != -1
    flat = np.where(labelled, flat, 0)
    try:
        labels = as_labels(flat, classes, (flat.size,))
    except DataError as error:
        raise DataError(f"y, with {x_shape[1]} labels an example: {error}") from error
    return np.where(labelled, labels, -1).astype(np.int32).reshape(y.shape)


def _class_names(y: np.ndarray, named: np.ndarray | None) -> tuple[str, ...]:
    if named is None:
        most = int(y.max()) if y.size and y.dtype.kind in "iu" else 0
        if most >= _MOST_UNNAMED_CLASSES:
            raise DataError(
                f"label {most} of example {y.argmax()} is out of range; without an "
                f"array classes, allowed are 0..{_MOST_UNNAMED_CLASSES - 1}"
            )
        return tuple(str(number) for number in range(max(most, 0) + 1))
    if named.dtype.kind != "U" or named.ndim != 1 or named.size == 0:
        raise DataError(
            f"classes has dtype {named.dtype} and shape {list(named.shape)}; unicode "
            "and [classes] are needed"
        )
    classes = tuple(named.tolist())
    first = {name: number for number, name in reversed(list(enumerate(classes)))}
    for number, name in enumerate(classes):
        if not name or first[name] < number:
            raise DataError(
                f"class {number} has the name {name!r}, which is "
                f"{'that of another' if name else 'empty'}; each needs its own"
            )
    return classes


def _check_clients(client: np.ndarray, examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sorted names, and each example's place among them."""
    if client.dtype.kind != "U" or client.shape != (examples,):
        raise DataError(
            f"client has dtype {client.dtype} and shape {list(client.shape)}; unicode "
            f"and [{examples}], one name an example, are needed"
        )
    names, owner = np.unique(client, return_inverse=True)
    if not names[0]:
        raise DataError(
            f"client of example {(client == '').argmax()} is empty; name each client"
        )
    try:
        "".join(names.tolist()).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            "client holds a name that is no valid unicode (a lone surrogate): rename it"
        ) from error
    return names, owner.reshape(-1)
