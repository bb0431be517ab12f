"""Rows in the pages of a SQLite file, read without SQLite.

The format is that of https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1. A
row's hash says which table it is of, and that it is one of ours.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import Any

from fedp.device_runtime.state_rows import row_hash

PAGE = 4096
LEAF = 0x0D
Row = tuple[str, tuple[Any, ...]]
Page = bytes | bytearray
# By number of columns: the table, and which of them are real numbers.
_TABLES: dict[int, tuple[str, tuple[int, ...]]] = {
    3: ("facts", ()),
    5: ("unfinished", ()),
    6: ("outcomes", (2, 3)),
    8: ("generations", ()),
    9: ("examples", (1,)),
}
SHORT = ("facts", "examples", "outcomes")
_INTEGERS = (0, 1, 2, 3, 4, 6, 8)  # Bytes of each serial type.


class Pages:
    """A file's pages, some of them changed for a trial.

    Attributes:
        content: the whole file.
        artifact: whose generations are whole without their artifact's hash.
        changed: what to read in place of a page, by its first byte's number.
    """

    def __init__(self, content: mmap.mmap, artifact: str) -> None:
        """Starts without changes."""
        self.content = content
        self.artifact = artifact
        self.changed: dict[int, Page] = {}

    def read(self, at: int) -> Page:
        """The page that begins at a byte.

        Raises:
            ValueError: there is none.
        """
        if not 0 <= at <= len(self.content) - PAGE:
            raise ValueError("no such page")
        return self.changed.get(at) or self.content[at : at + PAGE]


def starts(page: Page) -> list[int]:
    """Where a leaf's cells begin."""
    (count,) = struct.unpack_from(">H", page, 3)
    return list(struct.unpack_from(f">{min(count, PAGE // 2 - 4)}H", page, 8))


def read_row(
    pages: Pages, page: Page, start: int, longest: int | None = None
) -> Row | None:
    """Table and row of a cell; None if it is not whole.

    Args:
        pages: what it runs over into.
        page: that it is on.
        start: where it begins.
        longest: most bytes to read it for, of the tables in `SHORT` alone.
    """
    try:
        (size, here), row_id, place = cell_size(page, start)
        if size > (longest or len(pages.content)):
            return None
        parts, left = [page[place : place + here]], size - here
        for at in overflow(pages, page, start):
            parts.append(pages.read(at)[4 : 4 + min(left, PAGE - 4)])
            left -= PAGE - 4
        values = _values(b"".join(parts))
    except (IndexError, struct.error, ValueError):
        return None
    if len(values) == 2 and isinstance(values[1], int):
        return "sqlite_sequence", (values[0], values[1])
    table, reals = _TABLES.get(len(values), ("", ()))
    if longest and table not in SHORT:
        return None
    for real in reals:  # SQLite stores whole numbers as integers.
        if isinstance(values[real], int):
            values[real] = float(values[real])
    names = values[1:2] if table else []
    if table == "generations" and pages.artifact:
        names.append(pages.artifact)
    for name in names:
        row = (row_id, name, *values[2:])
        if row_hash(table, *row[:-1]) == row[-1]:
            return table, row
    return None


def is_short(page: Page, start: int) -> bool:
    """Whether a cell's head says that it is of a table in `SHORT`."""
    try:
        (_, here), _, place = cell_size(page, start)
        kinds, _ = _kinds(page[place : place + here])
    except IndexError:
        return False
    return _TABLES.get(len(kinds), ("", ()))[0] in SHORT


def cell_size(page: Page, start: int) -> tuple[tuple[int, int], int, int]:
    """Of a cell: its payload's bytes in all and here, the row's id, where it begins."""
    size, place = _varint(page, start)
    row_id, place = _varint(page, place)
    if size <= PAGE - 35:
        return (size, size), row_id, place
    least = (PAGE - 12) * 32 // 255 - 23
    here = least + (size - least) % (PAGE - 4)
    return (size, here if here <= PAGE - 35 else least), row_id, place


def overflow(pages: Pages, page: Page, start: int) -> Iterator[int]:
    """Where the pages begin that a cell runs over into.

    Raises:
        ValueError: one leads to none.
    """
    (size, here), _, place = cell_size(page, start)
    left = size - here
    following = struct.unpack_from(">I", page, place + here)[0] if left else 0
    while left > 0:
        at = (following - 1) * PAGE
        (following,) = struct.unpack_from(">I", pages.read(at))
        yield at
        left -= PAGE - 4


def _kinds(payload: Page) -> tuple[list[int], int]:
    """Serial types of a record's values, and where these begin."""
    end, place = _varint(payload, 0)
    kinds = []
    while place < end:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    return kinds, place


def _values(payload: bytes) -> list[Any]:
    """A record's values."""
    kinds, place = _kinds(payload)
    values: list[Any] = []
    for kind in kinds:
        size = (kind - 12) // 2 if kind >= 12 else 8 if kind == 7 else 0
        size = _INTEGERS[kind] if kind < 7 else size
        raw = payload[place : place + size]
        if len(raw) < size or kind in (10, 11):
            raise ValueError("no such value")
        place += size
        if kind >= 12:
            values.append(raw.decode(errors="replace") if kind % 2 else raw)
        elif kind == 7:
            values.append(struct.unpack(">d", raw)[0])
        elif kind in (8, 9):
            values.append(kind - 8)
        else:
            values.append(int.from_bytes(raw, "big", signed=True) if kind else None)
    return values


def _varint(raw: Page, place: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and the place after it."""
    value = 0
    for at in range(place, place + 8):
        value = value << 7 | raw[at] & 0x7F
        if raw[at] < 0x80:
            return value, at + 1
    return value << 8 | raw[place + 8], place + 9
