"""Offsets in a flatbuffer, followed by hand, each of them checked.

All functions raise struct.error or IndexError where an offset leaves the file, and
KeyError where a table does not have a field.
"""

from __future__ import annotations

import struct


def u32(content: bytes, at: int) -> int:
    """The number at an offset."""
    if at < 0:
        raise IndexError(at)
    return int(struct.unpack_from("<I", content, at)[0])


def field(content: bytes, table: int, number: int) -> int:
    """Offset of a table's field; KeyError if the table does not have it."""
    vtable = table - struct.unpack_from("<i", content, table)[0]
    if vtable < 0:
        raise IndexError(vtable)
    if struct.unpack_from("<H", content, vtable)[0] < 6 + 2 * number:
        raise KeyError(number)
    offset = struct.unpack_from("<H", content, vtable + 4 + 2 * number)[0]
    if offset == 0:
        raise KeyError(number)
    return int(table + offset)


def vector(content: bytes, table: int, number: int) -> list[int]:
    """Offsets of the tables in a vector of tables."""
    at = field(content, table, number)
    start = at + u32(content, at)
    count = u32(content, start)
    if count > len(content) // 4:
        raise IndexError(count)
    slots = range(start + 4, start + 4 + 4 * count, 4)
    return [slot + u32(content, slot) for slot in slots]


def string(content: bytes, table: int, number: int) -> bytes:
    """The bytes of a string."""
    at = field(content, table, number)
    start = at + u32(content, at)
    return content[start + 4 : start + 4 + u32(content, start)]
