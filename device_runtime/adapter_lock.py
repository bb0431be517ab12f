"""At most one adapter a state, in any process: a lock that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from fedp.device_runtime.errors import StateError


@contextlib.contextmanager
def adapter_lock(directory: pathlib.Path) -> Iterator[None]:
    """Locks a state directory itself, so that no lock file can be left behind.

    The kernel lets go when the process ends, however it ends; readers never ask for it.

    Raises:
        StateError: another adapter holds it.
        OSError: the directory cannot be opened.
    """
    # Its own descriptor: two threads of a process exclude each other too.
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                f"another process is adapting this state {directory}: try again later"
            ) from error
        yield
    finally:
        os.close(handle)
