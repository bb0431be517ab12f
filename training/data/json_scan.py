"""Where each user's object lies in a LEAF JSON file, found without parsing the file.

One pass over the brackets and keys; numbers are skipped in C and nothing is kept, so a
file may be of any size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, NamedTuple

from fedp.device_runtime.errors import DataError

_CHUNK = 1 << 20  # bytes

# A list without strings or brackets inside; a string, with the colon that makes it a
# key; a bracket; or the quote of a string that is not complete yet.
_TOKEN = re.compile(
    rb'\[[^\[\]{}"]*\]|("[^"\\]*(?:\\.[^"\\]*)*")\s*(:?)|[\[\]{}"]', re.DOTALL
)
# A user whose object is small and plain is taken in one go, since there may be many.
_SMALL_USER = re.compile(
    rb'[\s,]*("[^"\\]*")\s*:\s*(\{[^{}"]{0,4096}'
    rb'(?:"[^"\\{}]{0,200}"[^{}"]{0,4096}){0,8}\})'
)
_QUOTE = b'"'[0]


class Span(NamedTuple):
    """Bytes start..stop of a file."""

    start: int
    stop: int


class User(NamedTuple):
    """A user's object in a file.

    Attributes:
        name: of the user.
        whole: where its object is.
        lists: where each list in it is, by its key.
        content: the object itself if it is small, else None; `lists` is then empty.
    """

    name: str
    whole: Span
    lists: dict[str, Span]
    content: bytes | None = None


def scan_users(stream: IO[bytes]) -> Iterator[User]:
    """Finds the users of a LEAF file, in its order.

    Besides LEAF's `{"users", "num_samples", "user_data": {user: {"x", "y"}}}`, what
    LEAF writes on the way to it, a file a user: `{"character", "x", "y"}`.

    Raises:
        DataError: no JSON, a file that is cut short, or one without users.
    """
    scan = _Scan()
    at, rest = 0, b""
    while chunk := stream.read(_CHUNK):
        text = rest + chunk
        yield from scan.feed(text, at)
        rest = text[scan.used :]
        at += scan.used
    if rest or scan.depth:
        raise DataError("is cut short: a string or bracket is not closed")
    yield from scan.end(at)


class _Scan:
    """The state between chunks of a file.

    Attributes:
        depth: how many brackets are open.
        used: how many bytes of the last chunk need not be seen again.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.used = 0
        self._keys = ["", "", "", ""]  # the last key at depths 0..3
        self._starts: dict[int, int] = {}  # where the bracket of each depth opened
        self._lists: dict[str, Span] = {}  # of the user that is being read
        self._outer: dict[str, Span] = {}  # of the outermost object
        self._character: str | None = None

    @property
    def _in_users(self) -> bool:
        return self._keys[1] == "user_data"

    def feed(self, text: bytes, at: int) -> Iterator[User]:
        """Scans the bytes that begin at `at` in the file."""
        place, self.used = 0, len(text)
        while True:
            if self.depth == 2 and self._in_users:
                small = _SMALL_USER.match(text, place)
                if small:
                    place = small.end()
                    span = Span(at + small.start(2), at + place)
                    yield User(_string(small[1]), span, {}, small[2])
                    continue
            token = _TOKEN.search(text, place)
            if token is None:
                return
            place = token.end()
            first = text[token.start()]
            if first == _QUOTE:
                # A string at the end may go on in the next chunk, or its colon follow.
                if token[1] is None or place == len(text):
                    self.used = token.start()
                    return
                self._string(token[1], is_key=bool(token[2]))
            elif token.end() - token.start() == 1 and first in b"[{":
                self._open(at + token.start())
            else:
                closes = token.end() - token.start() == 1
                start = self._close() if closes else at + token.start()
                yield from self._value(Span(start, at + place))

    def _string(self, token: bytes, is_key: bool) -> None:
        if is_key and self.depth <= 3:
            self._keys[self.depth] = _string(token)
        elif self.depth == 1 and self._keys[1] == "character":
            self._character = _string(token)

    def _open(self, start: int) -> None:
        self._starts[self.depth] = start
        self.depth += 1
        if self.depth == 3:
            self._lists, self._keys[3] = {}, ""

    def _close(self) -> int:
        """Leaves a list or object; returns where it began."""
        self.depth -= 1
        if self.depth < 0:
            raise DataError("is no JSON: a bracket closes that was not opened")
        return self._starts[self.depth]

    def _value(self, span: Span) -> Iterator[User]:
        """Takes note of a list or object that has ended, at the current depth."""
        if self.depth == 1:
            self._outer[self._keys[1]] = span
        elif self.depth == 3 and self._in_users:
            self._lists[self._keys[3]] = span
        elif self.depth == 2 and self._in_users:
            yield User(self._keys[2], span, self._lists)
            self._lists = {}

    def end(self, size: int) -> Iterator[User]:
        """The only user of a file that has one in its outermost object."""
        if "user_data" in self._outer:
            return
        if self._character is None:
            raise DataError(
                f"has no user_data (it has {', '.join(sorted(self._outer)) or 'none'})"
                ": an object with users, num_samples and user_data is needed, as LEAF "
                "writes it"
            )
        yield User(self._character, Span(0, size), self._outer)


def _string(token: bytes) -> str:
    try:
        text = token.decode()
        return str(json.loads(text)) if "\\" in text else text[1:-1]
    except ValueError as error:
        raise DataError(f"is no JSON: {error}") from error
