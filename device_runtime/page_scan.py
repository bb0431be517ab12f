"""All rows of a state file that are whole, whatever its tables and trees say.

Where a page that leads to others is damaged, those others are still whole. What was
deleted has been overwritten, and fits no hash.
"""

from __future__ import annotations

import mmap
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from fedp.device_runtime.page_repair import is_fully_used, repaired_rows
from fedp.device_runtime.pages import LEAF, PAGE, Pages, read_row, starts

# What all state files begin with: the mark, pages of 4096 bytes, a rollback journal;
# and further on: the format of the schema, no vacuum by itself, UTF-8.
_HEADER = {
    0: b"SQLite format 3\0" + bytes((16, 0, 1, 1, 0, 64, 32, 32)),
    44: bytes((0, 0, 0, 4)),
    52: bytes((0, 0, 0, 0, 0, 0, 0, 1)),
}
_INNER = 0x05
# An app waits while its state is opened; more than one flipped bit is no bit's fault.
_REPAIR_SECONDS = 10.0
_MOST_REPAIRS = 4  # Pages: a flipped bit is in one, but many are damaged by others.


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
            pages, left = Pages(content, artifact), _MOST_REPAIRS
            until = time.monotonic() + _REPAIR_SECONDS
            for at in range(PAGE, len(content) - PAGE + 1, PAGE):  # First: the schema.
                page = pages.read(at)
                kind = page[0]
                if bin(kind ^ LEAF).count("1") > 1:
                    continue
                rows = [read_row(pages, page, start) for start in starts(page)]
                yield from (row for row in rows if row)
                suspect = None in rows or not is_fully_used(page)
                if suspect and left and kind != _INNER:
                    left -= 1
                    yield from repaired_rows(pages, at, until)
