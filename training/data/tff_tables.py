"""The tables of TFF's SQL client data: which rows are whose, and what is in them."""

from __future__ import annotations

import itertools
import pathlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

from fedp.device_runtime.errors import DataError
from fedp.training.data.client_index import Part

_COLUMNS = {
    "examples": ("split_name", "client_id", "serialized_example_proto"),
    "client_metadata": ("client_id", "split_name", "num_examples"),
}
_PROTO = "SELECT serialized_example_proto FROM examples"
_OF_CLIENT = f"{_PROTO} WHERE client_id = ? AND split_name = ?"


class TffTables:
    """A SQLite file with TFF's two tables; threads may share it.

    Attributes:
        splits: names of the splits that are read, and whether each is a test part.
    """

    def __init__(
        self,
        path: pathlib.Path,
        split: str | None = None,
        default_split: str | None = None,
    ) -> None:
        """Opens the file for reading.

        Args:
            path: of the file.
            split: one split's name, or what comes before `train` and `test` in the
                names of two.
            default_split: the same, where `split` is None and the file has several.

        Raises:
            DataError: no such file, other tables, or a split that does not fit.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file; give an existing .sqlite")
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False
        )
        try:
            self._check_columns()
            rows = self._query("SELECT DISTINCT split_name FROM client_metadata")
            self.splits = _choose_splits(
                [str(row[0]) for row in rows], split, default_split
            )
            plan = self._query(f"EXPLAIN QUERY PLAN {_OF_CLIENT}", "", "")
            self._has_index = any("SEARCH" in row[-1] for row in plan)
        except BaseException as error:
            self.close()
            if isinstance(error, DataError):
                raise DataError(f"{path} {error}") from error
            raise

    def _check_columns(self) -> None:
        for table, needed in _COLUMNS.items():
            have = {row[1] for row in self._query(f"PRAGMA table_info({table})")}
            if not have.issuperset(needed):
                raise DataError(
                    f"has no table {table} with columns {', '.join(needed)}; give a "
                    "file of TFF's SQL client data"
                )

    def parts(self) -> Iterator[Part]:
        """Clients and their counts; `file` is the number of the split.

        Where the file has no index over clients, as `save_to_sql_client_data` leaves
        it, their first and last rows are found in one pass.
        """
        names, where = self._chosen()
        if self._has_index or not self._has_row_numbers():
            rows = self._stream(
                "SELECT client_id, split_name, num_examples, 0, 0 FROM client_metadata "
                + where,
                names,
            )
        else:
            rows = _runs(
                self._stream(
                    f"SELECT client_id, split_name, rowid FROM examples {where} "
                    "ORDER BY rowid",
                    names,
                )
            )
        for client, split, count, start, stop in rows:
            number = names.index(split)
            yield Part(client, count, number, start, stop, self.splits[number][1])

    def every_proto(self) -> Iterator[bytes]:
        """All protos, one after the other."""
        names, where = self._chosen()
        return (row[0] for row in self._stream(f"{_PROTO} {where}", names))

    def _chosen(self) -> tuple[list[str], str]:
        names = [name for name, _ in self.splits]
        return names, f"WHERE split_name IN ({', '.join('?' * len(names))})"

    def protos(self, part: Part) -> list[bytes]:
        """The serialized tf.train.Examples of a part, in the file's order."""
        owner = (part.client, self.splits[part.file][0])
        if not part.stop:
            return [row[0] for row in self._query(_OF_CLIENT, *owner)]
        # "+" keeps SQLite from preferring an index on a split to the row numbers.
        query = f"{_PROTO} WHERE rowid BETWEEN ? AND ? AND +client_id = ? "
        query += "AND +split_name = ? ORDER BY rowid"
        return [row[0] for row in self._query(query, part.start, part.stop, *owner)]

    def _has_row_numbers(self) -> bool:
        """Whether `examples` is a table with row numbers, and no view."""
        try:
            rows = self._query("SELECT rowid FROM examples LIMIT 1")
        except DataError:
            return False
        return bool(rows) and rows[0][0] is not None

    def _query(self, sql: str, *arguments: Any) -> list[Any]:
        with self._lock:
            return list(self._stream(sql, arguments))

    def _stream(self, sql: str, arguments: Any = ()) -> Iterator[Any]:
        if self._database is None:
            raise ValueError("read from a data set that was closed")
        try:
            yield from self._database.execute(sql, arguments)
        except sqlite3.Error as error:
            raise DataError(
                f"cannot be read as SQLite ({error}): get the file again, unpacked"
            ) from error

    def close(self) -> None:
        """Gives the file back; harmless when repeated."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


def _runs(rows: Iterator[Any]) -> Iterator[tuple[str, str, int, int, int]]:
    """Client, split, count, first and last row of each run of one client's rows."""
    for (client, split), run in itertools.groupby(rows, lambda row: row[:2]):
        count, start, stop = 0, None, 0
        for *_, stop in run:
            count += 1
            start = stop if start is None else start
        yield client, split, count, start or 0, stop


def _choose_splits(
    names: list[str], wanted: str | None, default: str | None
) -> list[tuple[str, bool]]:
    """The splits to read, and whether each is the test part."""
    families: dict[str, list[tuple[str, bool]]] = {}
    for name in sorted(names, reverse=True):  # train before test
        part = next((p for p in ("train", "test") if name.endswith(p)), None)
        if part is not None:
            family = name.removesuffix(part).strip("_-")
            families.setdefault(family, []).append((name, part == "test"))
    if wanted is None and len(names) == 1:
        return [(names[0], False)]
    covered = sum(map(len, families.values()))
    if wanted is None and len(families) == 1 and covered == len(names):
        return next(iter(families.values()))
    wanted = default if wanted is None else wanted
    if wanted in names:
        return [(str(wanted), False)]
    if wanted is not None and wanted in families:
        return families[wanted]
    raise DataError(
        f"has splits {', '.join(sorted(names)) or 'none'}, not {wanted or 'one pair'}: "
        "name one, or what stands before train and test, as in FILE?split=all"
    )
