"""Parquet files with a client column, alone or a folder of parts as Spark writes."""

from __future__ import annotations

import math
import os
import pathlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fedp.device_runtime.errors import DataError, MissingDependencyError
from fedp.training.data.client_index import Part
from fedp.training.data.federated import Examples
from fedp.training.data.indexed import IndexedData
from fedp.training.data.parquet_columns import Columns, find_columns, to_numpy
from fedp.training.data.tff_features import as_inputs, check_label_range

SUFFIX = ".parquet"
_BATCH = 1 << 16  # rows indexed at a time
_READ = 1 << 12  # rows read at a time from a row group that is too big to keep
_KEPT = 64 << 20  # bytes: a row group of inputs up to this size is kept


def open_parquet(
    path: str | os.PathLike[str],
    max_examples: int | None = None,
    seed: int = 0,
    *,
    options: Mapping[str, str] | None = None,
) -> IndexedData:
    """Opens Parquet files, and reads of them the row groups that a client is in.

    Columns: `client` (or `client_id`, `user`, `user_id`); `label` (or `y`), integers,
    or lists of them; and either one column of lists or bytes, named `x` or the only
    one left, or several of numbers, which become float32 [columns]. Sort the rows by
    client, or in small row groups: then few have to be read.

    Args:
        path: a file, or a folder of files.
        max_examples: most examples a client, drawn by `seed`; None for all.
        seed: which examples a capped client keeps.
        options: `client` and `label`, names of other columns; `shape`, "28,28", of an
            example that is stored flat, which the schema's metadata may also say.

    Raises:
        DataError: no such file, or columns that cannot be used.
        MissingDependencyError: pyarrow is not installed.
    """
    source = ParquetSource(pathlib.Path(path), options or {})
    return IndexedData(path, source, max_examples, seed)


def is_parquet(folder: pathlib.Path) -> bool:
    """Whether a folder holds Parquet files."""
    return bool(_files(folder))


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    # Spark and its like write marks beside the data, which begin with _ or a dot.
    found = folder.glob(f"*{SUFFIX}")
    return sorted(file for file in found if file.name[0] not in "._")


class ParquetSource:
    """Parquet files as a `Source`; one is open at a time."""

    def __init__(self, path: pathlib.Path, options: Mapping[str, str]) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise MissingDependencyError(
                f"{path} is read by pyarrow, which is not installed: run "
                "`pip install pyarrow`"
            ) from error
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; give an existing one")
        self._paths = _files(path) if path.is_dir() else [path]
        self._open_file = pyarrow.parquet.ParquetFile
        self._damage = (OSError, pyarrow.ArrowException)
        self._options = options
        self._columns: Columns | None = None
        self._lock = threading.Lock()
        self._current: tuple[int, Any] | None = None
        self._kept: tuple[int, int, Any] | None = None
        self._closed = False
        self.classes: tuple[str, ...] = ()
        self.input_shape: tuple[int, ...] = ()
        self.label_shape: tuple[int, ...] = ()

    def parts(self) -> Iterator[Part]:
        """Runs over clients and labels alone; a part is some rows of a row group."""
        most = 0
        for number, path in enumerate(self._paths):
            try:
                file = self._file(number)
                columns = self._learn(file)
                for group in range(file.num_row_groups):
                    start = 0
                    for batch in file.iter_batches(
                        _BATCH, [group], [columns.client, columns.label]
                    ):
                        most = max(most, self._check_labels(batch, columns))
                        where = number << 32 | group
                        yield from _parts(batch.column(columns.client), where, start)
                        start += len(batch)
            except self._damage as error:
                raise DataError(
                    f"{path.name} cannot be read ({_line(error)}): write it again"
                ) from error
            except DataError as error:
                raise DataError(f"{path.name} {error}") from error
        self.classes = tuple(str(label) for label in range(most + 1))

    def _learn(self, file: Any) -> Columns:
        """Takes the columns and shapes from the first rows of all."""
        columns = find_columns(file.schema_arrow, self._options)
        if self._columns is None:
            self._columns = columns
        elif columns != self._columns:
            raise DataError(
                f"has other columns than {self._paths[0].name}: {columns} and "
                f"{self._columns}"
            )
        if not self.input_shape:
            for batch in file.iter_batches(1, columns=self._names(columns)):
                x, y = self._examples(batch)
                self.input_shape, self.label_shape = x.shape[1:], y.shape[1:]
                break
        return columns

    def _check_labels(self, batch: Any, columns: Columns) -> int:
        y = to_numpy(batch.column(columns.label), columns.label)
        if y.dtype.kind not in "iu":
            raise DataError(
                f"column {columns.label} holds {y.dtype}; integers are needed"
            )
        least = int(y.min(initial=0))
        # In a sequence, -1 says that there is no label.
        check_label_range(
            0 if y.ndim > 1 and least == -1 else least, int(y.max(initial=0))
        )
        return int(y.max(initial=0))

    def read(self, parts: Sequence[Part]) -> Examples:
        """Reads a client's rows, in the files' order."""
        with self._lock:
            if self._closed:
                raise ValueError("read from a data set that was closed")
            try:
                several = [self._read(part) for part in parts]
            except self._damage as error:
                raise DataError(
                    f"cannot be read ({_line(error)}): write it again"
                ) from error
        return Examples(*(np.concatenate(a) for a in zip(*several, strict=True)))

    def _read(self, part: Part) -> Examples:
        import pyarrow as pa
        import pyarrow.compute as pc

        assert self._columns is not None
        rows = [
            table.filter(
                pc.equal(_strings(table.column(self._columns.client)), part.client)
            )
            for table in self._tables(part)
        ]
        return self._examples(pa.concat_tables(rows))

    def _tables(self, part: Part) -> Iterator[Any]:
        """The rows that a part is in, with others between, in one or more tables."""
        import pyarrow as pa

        assert self._columns is not None
        number, group = part.file >> 32, part.file & 0xFFFFFFFF
        file, names = self._file(number), self._names(self._columns)
        if self._kept is not None and self._kept[:2] == (number, group):
            yield self._kept[2].slice(part.start, part.stop - part.start)
            return
        size = file.metadata.row_group(group).num_rows * math.prod(self.input_shape) * 8
        if size <= _KEPT:
            self._kept = number, group, file.read_row_group(group, names)
            yield self._kept[2].slice(part.start, part.stop - part.start)
            return
        at = 0
        for batch in file.iter_batches(_READ, [group], names):
            start, stop = max(part.start - at, 0), min(part.stop - at, len(batch))
            if start < stop:
                yield pa.Table.from_batches([batch.slice(start, stop - start)])
            at += len(batch)
            if at >= part.stop:
                return

    def _examples(self, table: Any) -> Examples:
        assert self._columns is not None
        several = [to_numpy(table.column(name), name) for name in self._columns.inputs]
        if len(several) == 1:
            x = several[0]
            if x.ndim == 1:
                x = x[:, np.newaxis]
        else:
            x = np.stack([column.astype(np.float32) for column in several], axis=1)
        shape = self._columns.shape
        if shape is not None:
            if math.prod(shape) != math.prod(x.shape[1:]):
                raise DataError(
                    f"examples have shape {list(x.shape[1:])}, not {list(shape)}"
                )
            x = x.reshape(len(x), *shape)
        y = to_numpy(table.column(self._columns.label), self._columns.label)
        return Examples(as_inputs(x), y.astype(np.int32))

    @staticmethod
    def _names(columns: Columns) -> list[str]:
        return [columns.client, columns.label, *columns.inputs]

    def _file(self, number: int) -> Any:
        if self._current is None or self._current[0] != number:
            if self._current is not None:
                self._current[1].close()
            self._current = number, self._open_file(self._paths[number])
        return self._current[1]

    def close(self) -> None:
        """Gives the file back; harmless when repeated."""
        with self._lock:
            if self._current is not None:
                self._current[1].close()
            self._current, self._kept, self._closed = None, None, True


def _parts(column: Any, where: int, start: int) -> Iterator[Part]:
    """A part for each client of a batch, from its first row to its last."""
    encoded = _strings(column).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    names = encoded.dictionary.to_pylist()
    # Codes are given in the order of first sight.
    counts = np.bincount(codes, minlength=len(names))
    firsts = np.full(len(names), len(codes))
    np.minimum.at(firsts, codes, np.arange(len(codes)))
    lasts = np.zeros(len(names), np.int64)
    np.maximum.at(lasts, codes, np.arange(len(codes)))
    for name, count, first, last in zip(
        names, counts.tolist(), firsts.tolist(), lasts.tolist(), strict=True
    ):
        yield Part(name, count, where, start + first, start + last + 1)


def _strings(column: Any) -> Any:
    """Clients' names as strings; numbers are written out."""
    import pyarrow as pa

    if column.null_count:
        raise DataError("has examples without a client: the column holds nulls")
    kind = (
        column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    )
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
    ):
        raise DataError(
            f"client column has type {kind}; strings or integers are needed"
        )
    return column.cast(pa.string())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
