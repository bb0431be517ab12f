"""One flipped bit in a page is found by trying all of them: a row's hash says which.

For short rows alone: a hash of megabytes cannot be tried often.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator

from fedp.device_runtime.pages import (
    PAGE,
    Page,
    Pages,
    Row,
    cell_size,
    is_short,
    overflow,
    read_row,
    starts,
)

_HEAD = 40  # Bytes of a cell before its values, at most.
_LONGEST = 16_384  # Bytes of a row; seconds, if the bit is in one of these.


def is_fully_used(page: Page) -> bool:
    """Whether a leaf's header, cells and free blocks add up to the page."""
    _, block, count, content, fragments = struct.unpack_from(">BHHHB", page)
    used: int = max(content, 8 + 2 * count) + fragments
    try:
        for start in starts(page):
            (size, here), _, place = cell_size(page, start)
            used += max(place - start + here + 4 * (size > here), 4)
        while block and used <= PAGE:
            block, size = struct.unpack_from(">HH", page, block)
            used += max(size, 4)
    except (IndexError, struct.error):
        return False
    return used == PAGE


def repaired_rows(pages: Pages, at: int, until: float) -> Iterator[Row]:
    """Rows of a damaged leaf that are whole after one of its bits is flipped back.

    Args:
        pages: of the file.
        at: where the leaf begins.
        until: when to give up, as `time.monotonic` counts.
    """
    page = bytearray(pages.read(at))
    # Its header, and where its cells begin: then all of them must be whole.
    for _ in _flips(page, 0, 8 + 2 * len(starts(page)), until):
        if is_fully_used(page):
            rows = [read_row(pages, page, s, _LONGEST) for s in starts(page)]
            if rows and None not in rows:
                yield from (row for row in rows if row)
                return
    for start in starts(page):
        if read_row(pages, page, start) is None:
            end = min([other for other in starts(page) if other > start] + [PAGE])
            row = _repaired(pages, page, start, end, until)
            if row:
                yield row


def _repaired(
    pages: Pages, page: bytearray, start: int, end: int, until: float
) -> Row | None:
    """A cell's row with one bit flipped, on its page or on those it runs over into."""
    # If the bit is beyond the cell's head, the head tells whether it is worth a search.
    short = is_short(page, start)
    end = end if short else min(start + _HEAD, end)
    for _ in _flips(page, start, end, until):
        row = read_row(pages, page, start, _LONGEST)
        if row:
            return row
    (size, here), _, _ = cell_size(page, start) if short else ((0, 0), 0, 0)
    if not here < size <= _LONGEST:
        return None
    for at in _overflow(pages, page, start):
        other = bytearray(pages.read(at))
        pages.changed[at] = other
        for _ in _flips(other, 0, PAGE, until):
            row = read_row(pages, page, start, _LONGEST)
            if row:
                break
        pages.changed.clear()
        if row:
            return row
    return None


def _overflow(pages: Pages, page: Page, start: int) -> list[int]:
    """The pages that a cell runs over into, as far as they lead to one another."""
    found: list[int] = []
    try:
        for at in overflow(pages, page, start):
            found.append(at)
    except (ValueError, struct.error):
        pass
    return found


def _flips(page: bytearray, start: int, end: int, until: float) -> Iterator[None]:
    """Flips each bit from one byte to another, one at a time, while there is time."""
    for byte in range(start, end):
        if time.monotonic() > until:
            return
        for bit in range(8):
            page[byte] ^= 1 << bit
            yield
            page[byte] ^= 1 << bit
