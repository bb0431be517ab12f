"""Where each client's examples are: an index on disk, whatever the number of clients.

It is a temporary SQLite database, which has no name in any directory from the moment it
is opened: nothing of it is left however the process ends.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

from fedp.device_runtime.errors import DataError

_CACHE_KIB = 16_000  # SQLite's page cache; the rest of the index is on disk
_PAGE = 4096  # names fetched at a time when iterating

_SETUP = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE part (client TEXT, size INT, file INT, start INT, stop INT, test INT);
"""
# Bytewise order of UTF-8 is the order of code points, which is Python's.
_FINISH = """
CREATE TABLE client AS
    SELECT client AS name, sum(size) AS size
    FROM part GROUP BY client ORDER BY client;
CREATE INDEX part_client ON part (client);
"""


class Part(NamedTuple):
    """Some of a client's examples, together in one place.

    Attributes:
        client: whose.
        size: how many examples.
        file: number of the file they are in.
        start: where they begin; what it counts, only the reader knows.
        stop: where they end.
        test: whether they belong to the client's own test part.
    """

    client: str
    size: int
    file: int = 0
    start: int = 0
    stop: int = 0
    test: bool = False


class ClientIndex:
    """An index from a client's name to its parts; threads may share it, forks may not.

    Attributes:
        names: all clients' names, sorted; none are held in memory.
        has_split: whether clients come with a training and a test part.

    Example:
        >>> index = ClientIndex([Part("b", 2), Part("a", 1), Part("b", 3, test=True)])
        >>> list(index.names), index.counts("b"), index.has_split
        (['a', 'b'], (2, 3), True)
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        """Builds the index from a stream of parts; empty ones are left out.

        Raises:
            DataError: no examples at all, a client without a name or with one that is
                no valid unicode, or no room on disk.
        """
        self._lock = threading.Lock()
        self._fingerprint: str | None = None
        # "" is a database of its own in an unlinked temporary file.
        self._database: sqlite3.Connection | None = sqlite3.connect(
            "", isolation_level=None, check_same_thread=False
        )
        try:
            self._build(self._database, parts)
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise DataError(
                    f"no room for the index of clients ({error}): free some space, or "
                    "set SQLITE_TMPDIR to a directory with more"
                ) from error
            raise
        self.names: Sequence[str] = _Names(self)
        sides = self.query("SELECT DISTINCT test FROM part")
        self.has_split = len(sides) > 1

    def _build(self, database: sqlite3.Connection, parts: Iterable[Part]) -> None:
        database.executescript(_SETUP)
        database.execute("BEGIN")
        filled = (part for part in parts if part.size)
        try:
            database.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", filled)
        except UnicodeEncodeError as error:
            raise DataError(
                "a client's name is no valid unicode (a lone surrogate): rename it"
            ) from error
        database.execute("COMMIT")
        database.executescript(_FINISH)
        # rowid is a client's number from 1 up: rows were created in sorted order.
        first = database.execute("SELECT name FROM client WHERE rowid = 1").fetchone()
        if first is None:
            raise DataError("holds zero examples; one or more are needed")
        if not first[0]:
            raise DataError("has a client whose name is empty; name each client")

    def parts(self, client: str) -> list[Part]:
        """A client's parts, its test parts last; none if there is no such client."""
        rows = self.query(
            "SELECT * FROM part WHERE client = ? ORDER BY test, rowid", client
        )
        return [Part._make((*row[:-1], bool(row[-1]))) for row in rows]

    def counts(self, client: str) -> tuple[int, int]:
        """How many examples a client has in its training and in its test part."""
        found: dict[int, int] = dict(
            self.query(
                "SELECT test, sum(size) FROM part WHERE client = ? GROUP BY test",
                client,
            )
        )
        return found.get(0, 0), found.get(1, 0)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for equal clients with equally many examples."""
        if self._fingerprint is None:
            digest = hashlib.sha256()
            for rows in self.pages("name, size"):
                lines = (f"{name} {size}\n" for name, size in rows)
                digest.update("".join(lines).encode())
            self._fingerprint = digest.hexdigest()[:16]
        return self._fingerprint

    def pages(self, columns: str) -> Iterator[list[Any]]:
        """Rows of the table of clients in sorted order, a page at a time."""
        last = 0
        page = f"WHERE rowid > ? ORDER BY rowid LIMIT {_PAGE}"
        while rows := self.query(f"SELECT {columns} FROM client {page}", last):
            yield rows
            last += len(rows)

    def query(self, sql: str, *arguments: Any) -> list[Any]:
        """Rows that a query gives.

        Raises:
            ValueError: after `close`.
        """
        with self._lock:
            if self._database is None:
                raise ValueError("read from a data set that was closed")
            return self._database.execute(sql, arguments).fetchall()

    def close(self) -> None:
        """Gives the file back; harmless when repeated."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


class _Names(Sequence[str]):
    """The sorted names of all clients, fetched when they are asked for."""

    def __init__(self, index: ClientIndex) -> None:
        self._index = index
        self._count = int(index.query("SELECT count(*) FROM client")[0][0])

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        numbers = range(self._count)[index]
        if isinstance(numbers, range):
            return [self._at(number) for number in numbers]
        return self._at(numbers)

    def _at(self, number: int) -> str:
        rows = self._index.query("SELECT name FROM client WHERE rowid = ?", number + 1)
        return str(rows[0][0])

    def __contains__(self, name: object) -> bool:
        try:
            found = isinstance(name, str) and self._index.query(
                "SELECT 1 FROM part WHERE client = ? LIMIT 1", name
            )
        except UnicodeEncodeError:  # a lone surrogate, which no name has
            return False
        return bool(found)

    def __iter__(self) -> Iterator[str]:
        for rows in self._index.pages("name"):
            for (name,) in rows:
                yield name
