"""Rows read from a state file's pages one by one, whatever its tables and trees say.

Where a page that leads to others is damaged, those others are still whole. The format
is SQLite's, https://www.sqlite.org/fileformat2.html, sections 1.6 and 2.1. A row's hash
says which table it is of, and that it is one of ours; what was deleted is zeros.
"""

from __future__ import annotations

import mmap
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

from fedp.device_runtime.state_rows import row_hash

# What all state files begin with: the mark, pages of 4096 bytes, a rollback journal;
# and further on: the format of the schema, no vacuum by itself, UTF-8.
_HEADER = {
    0: b"SQLite format 3\0" + bytes((16, 0, 1, 1, 0, 64, 32, 32)),
    44: bytes((0, 0, 0, 4)),
    52: bytes((0, 0, 0, 0, 0, 0, 0, 1)),
}
_PAGE = 4096
_LEAF = 0x0D
# By number of columns: the table, and which of them are real numbers.
_TABLES: dict[int, tuple[str, tuple[int, ...]]] = {
    3: ("facts", ()),
    5: ("unfinished", ()),
    6: ("outcomes", (2, 3)),
    8: ("generations", ()),
    9: ("examples", (1,)),
}
_INTEGERS = (0, 1, 2, 3, 4, 6, 8)  # Bytes of each serial type.


def header_fits(path: pathlib.Path) -> bool:
    """Whether a file begins as all state files do, or is empty, or none."""
    try:
        with path.open("rb") as file:
            found = file.read(100)
    except OSError:
        return True
    parts = ((found[at : at + len(one)], one) for at, one in _HEADER.items())
    return not found or all(part == one for part, one in parts)


def scan(
    path: pathlib.Path, artifact: str = ""
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Table and row of all that is whole in a file of today's schema.

    Rows of `sqlite_sequence` too, which have no hash: a name and an id.

    Args:
        path: of the file.
        artifact: a generation of which only the artifact's hash is damaged is whole, if
            its own hash, the second witness, fits this one.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # It is empty.
            return
        with content:
            for at in range(0, len(content), _PAGE):
                yield from _rows(content, at, artifact)


def _rows(
    content: mmap.mmap, at: int, artifact: str
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Those of the page that begins at a byte."""
    page = content[at : at + _PAGE]
    head = 100 if at == 0 else 0
    if len(page) < _PAGE or page[head] != _LEAF:
        return
    (count,) = struct.unpack_from(">H", page, head + 3)
    for number in range(min(count, (_PAGE - head - 8) // 2)):
        (start,) = struct.unpack_from(">H", page, head + 8 + 2 * number)
        try:
            size, place = _varint(page, start)
            row_id, place = _varint(page, place)
            values = _record(_payload(content, page, place, size))
        except (IndexError, struct.error, ValueError):
            continue
        if len(values) == 2 and isinstance(values[1], int):
            yield "sqlite_sequence", (values[0], values[1])
        name, reals = _TABLES.get(len(values), ("", ()))
        for real in reals:  # SQLite stores whole numbers as integers.
            if isinstance(values[real], int):
                values[real] = float(values[real])
        row = (row_id, *values[1:])
        named = (row_id, artifact, *values[2:])
        for given in (row, named) if name == "generations" and artifact else (row,):
            if name and row_hash(name, *given[:-1]) == given[-1]:
                yield name, given
                break


def _payload(content: mmap.mmap, page: bytes, start: int, size: int) -> bytes:
    """A cell's bytes, from its page and those that it runs over into."""
    if size > len(content):
        raise ValueError("longer than the file")
    least = (_PAGE - 12) * 32 // 255 - 23
    here = size
    if size > _PAGE - 35:
        here = least + (size - least) % (_PAGE - 4)
        here = here if here <= _PAGE - 35 else least
    parts, place = [page[start : start + here]], start + here
    left = size - here
    following = struct.unpack_from(">I", page, place)[0] if left else 0
    while left > 0:
        at = (following - 1) * _PAGE
        if at < _PAGE or at + _PAGE > len(content):
            raise ValueError("no such page")
        (following,) = struct.unpack_from(">I", content, at)
        parts.append(content[at + 4 : at + 4 + min(left, _PAGE - 4)])
        left -= _PAGE - 4
    return b"".join(parts)


def _record(payload: bytes) -> list[Any]:
    """A row's values."""
    end, place = _varint(payload, 0)
    kinds = []
    while place < end:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    values: list[Any] = []
    for kind in kinds:
        if kind >= 12:
            size = (kind - 12) // 2
            raw = payload[place : place + size]
            if len(raw) < size:
                raise ValueError("cut short")
            values.append(raw.decode(errors="replace") if kind % 2 else raw)
        elif kind in (8, 9):
            size = 0
            values.append(kind - 8)
        elif kind == 7:
            size = 8
            values.append(struct.unpack_from(">d", payload, place)[0])
        else:
            size = _INTEGERS[kind]
            number = int.from_bytes(payload[place : place + size], "big", signed=True)
            values.append(number if kind else None)
        place += size
    return values


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and the place after it."""
    value = 0
    for at in range(place, place + 8):
        value = value << 7 | raw[at] & 0x7F
        if raw[at] < 0x80:
            return value, at + 1
    return value << 8 | raw[place + 8], place + 9
