"""Further processes of the same command, which end when it does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def helped(count: int) -> Iterator[None]:
    """Runs so many helpers beside the body; interrupts them if that is interrupted.

    A helper that fails is not missed: its job is still undone, and done by another.
    """
    command = [sys.executable, *sys.argv, "--helper", str(os.getpid())]
    helpers: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            # A session of its own: Ctrl-C reaches it once, through us.
            helpers.append(subprocess.Popen(command, start_new_session=True))
        yield
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            helper.wait()
