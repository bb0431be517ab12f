"""What SQLite and the file system raise, as one line that says what to do."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping

from fedp.device_runtime.errors import StateError

_NEXT_STEP: Mapping[str, str] = {
    "full": "free some space; nothing stored was lost",
    "no space": "free some space; nothing stored was lost",
    "readonly": "make the directory writable; nothing stored was lost",
    "read-only": "make the directory writable; nothing stored was lost",
    "locked": "another process is writing it: try again",
    "permission": "use a directory that you may write",
    "unable to open": "use a directory that you may write",
    "closed": "open it again",
}


@contextlib.contextmanager
def as_state_error(thing: str, verb: str) -> Iterator[None]:
    """Turns all errors of the body into a StateError.

    Args:
        thing: such as "state DIRECTORY".
        verb: what could not be done to it: "read".
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        found = getattr(error, "strerror", None) or str(error)
        steps = (step for word, step in _NEXT_STEP.items() if word in found.lower())
        step = next(steps, "use another directory; nothing stored was lost")
        raise StateError(f"{thing} cannot be {verb} ({found}): {step}") from error
