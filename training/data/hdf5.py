"""TFF's HDF5 client data: a group `examples/<client>`, a dataset for each feature."""

from __future__ import annotations

import json
import os
import pathlib
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.errors import DataError, MissingDependencyError
from fedp.training.data import text
from fedp.training.data.client_index import Part
from fedp.training.data.federated import Examples
from fedp.training.data.indexed import IndexedData
from fedp.training.data.tff_features import (
    Features,
    as_inputs,
    check_label_range,
    class_names,
    find_features,
)

SUFFIXES = (".h5", ".hdf5")
_GROUP = "examples"
_REOPEN = 2000  # datasets read before the files are opened anew
_DAMAGE = (OSError, RuntimeError, KeyError)


def open_hdf5(
    path: str | os.PathLike[str],
    max_examples: int | None = None,
    seed: int = 0,
    name: str | None = None,
) -> IndexedData:
    """Opens `fed_emnist`, `shakespeare` or another data set in TFF's HDF5 layout.

    Pixels are as the file has them: in `fed_emnist` the background is 1.0.

    Args:
        path: one file, or a folder of files; `_train` and `_test` at the end of their
            names tell clients' own training and test parts.
        max_examples: most examples a client, drawn by `seed`; None for all.
        seed: which examples a capped client keeps.
        name: of the data set, if not the path's.

    Raises:
        DataError: no such file, or one of another layout.
        MissingDependencyError: h5py is not installed.
    """
    return IndexedData(path, Hdf5Source(pathlib.Path(path)), max_examples, seed, name)


def is_hdf5(folder: pathlib.Path) -> bool:
    """Whether a folder holds HDF5 files."""
    return bool(_files(folder))


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(f for f in folder.iterdir() if f.suffix in SUFFIXES)


class Hdf5Source:
    """HDF5 files as a `Source`; threads take turns."""

    def __init__(self, path: pathlib.Path) -> None:
        try:
            import h5py
        except ImportError as error:
            raise MissingDependencyError(
                f"{path} is read by h5py, which is not installed: run "
                "`pip install h5py`"
            ) from error
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; give an existing .h5")
        self._h5py: Any = h5py
        self._paths = _files(path) if path.is_dir() else [path]
        self._files: dict[int, Any] = {}
        self._opened = 0  # datasets, since the files were opened
        self._closed = False
        self._lock = threading.Lock()
        self._features: Features | None = None
        self.classes: tuple[str, ...] = ()
        self.input_shape: tuple[int, ...] = ()
        self.label_shape: tuple[int, ...] = ()

    def parts(self) -> Iterator[Part]:
        """One part a client and file; reads labels, or text, to count them."""
        least, most = 0, 0
        for number, path in enumerate(self._paths):
            test = bool(re.search(r"(^|_)test$", path.stem))
            try:
                for client in self._clients(number):
                    count, low, high = self._look(number, client)
                    least, most = min(least, low), max(most, high)
                    yield Part(client, count, number, test=test)
            except _DAMAGE as error:
                raise DataError(
                    f"{path.name} cannot be read as HDF5 ({error}): get it again"
                ) from error
            except DataError as error:
                raise DataError(f"{path.name} {error}") from error
        check_label_range(least, most)
        if self._features is not None:
            self.classes = class_names(self._features, self.input_shape, most)

    def _clients(self, number: int) -> Iterator[str]:
        """Names of a file's groups, by way of a file without a name."""
        file = self._file(number)
        if _GROUP not in file:
            raise DataError(
                f"has no group {_GROUP!r} (it has {', '.join(file) or 'none'}); TFF's "
                "layout is examples/<client>/<feature>"
            )
        group = file[_GROUP]
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as names:

            def add(name: bytes) -> None:  # what it returns would end the iteration
                names.write(json.dumps(name.decode()) + "\n")

            group.id.links.iterate(add)
            names.seek(0)
            for line in names:
                yield json.loads(line)

    def _look(self, number: int, client: str) -> tuple[int, int, int]:
        """How many examples a client has, and its lowest and highest label."""
        if self._features is None:
            self._features = find_features(self._file(number)[_GROUP][client])
        x, label = self._features
        if label is None:
            self.input_shape = self.label_shape = (text.WINDOW,)
            sizes = (len(_bytes(s)) for s in self._values(number, client, x))
            return sum(map(text.window_count, sizes)), 0, 0
        y = _flat_labels(self._values(number, client, label))
        if not len(y):
            return 0, 0, 0
        if not self.input_shape:
            self.input_shape = as_inputs(self._values(number, client, x)).shape[1:]
        return len(y), int(y.min()), int(y.max())

    def read(self, parts: Sequence[Part]) -> Examples:
        """Reads a client's groups."""
        with self._lock:
            try:
                several = [self._read(part) for part in parts]
            except _DAMAGE as error:
                raise DataError(
                    f"cannot be read ({error}): get the file again"
                ) from error
        return Examples(*(np.concatenate(a) for a in zip(*several, strict=True)))

    def _read(self, part: Part) -> Examples:
        assert self._features is not None
        x, label = self._features
        if label is None:
            return text.windows(
                _bytes(snippet) for snippet in self._values(part.file, part.client, x)
            )
        y = _flat_labels(self._values(part.file, part.client, label)).astype(np.int32)
        return Examples(as_inputs(self._values(part.file, part.client, x)), y)

    def _values(self, number: int, client: str, feature: str) -> np.ndarray:
        # HDF5 keeps some kilobytes of each group it has seen until the file is closed.
        self._opened += 1
        if self._opened % _REOPEN == 0:
            self._close_files()
        path = f"{_GROUP}/{client}/{feature}".encode()
        h5py = self._h5py
        # The short way to a dataset: six times as fast as by its group.
        dataset = h5py.Dataset(h5py.h5d.open(self._file(number).id, path))
        return np.asarray(dataset[()])

    def _file(self, number: int) -> Any:
        if self._closed:
            raise ValueError("read from a data set that was closed")
        if number not in self._files:
            self._files[number] = self._h5py.File(self._paths[number], "r")
        return self._files[number]

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def close(self) -> None:
        """Gives the files back; harmless when repeated."""
        with self._lock:
            self._close_files()
            self._closed = True


def _bytes(snippet: Any) -> bytes:
    return snippet.encode() if isinstance(snippet, str) else bytes(snippet)


def _flat_labels(y: np.ndarray) -> np.ndarray:
    """Labels int32 [n]; some writers give each an axis of its own."""
    if y.dtype.kind not in "iu" or y.size != len(y):
        raise DataError(
            f"labels have dtype {y.dtype} and shape {list(y.shape)}; one integer an "
            "example is needed"
        )
    return y.reshape(-1).astype(np.int64)
