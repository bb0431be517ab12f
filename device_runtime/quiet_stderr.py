"""Keeps XNNPACK's notice off stderr; it comes from C++, which has no switch for it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_NOTICE = b"Created TensorFlow Lite XNNPACK delegate"
_lock = threading.Lock()


@contextlib.contextmanager
def without_notice() -> Iterator[None]:
    """Passes on all that is written to file descriptor 2 meanwhile, but the notice.

    Nothing is lost, also what another thread is just writing: the pipe ends only when
    its last writer is done. Lines of other threads may change places.
    """
    with _lock:
        try:
            stderr = os.dup(2)
        except OSError:  # Without a stderr the notice does no harm.
            yield
            return
        read_end, write_end = os.pipe()
        passing = threading.Thread(
            target=_pass_on, args=(read_end, stderr), daemon=True
        )
        passing.start()
        os.dup2(write_end, 2)
        os.close(write_end)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            # A process started meanwhile may hold the pipe: then the thread goes on.
            passing.join(timeout=1.0)


def _pass_on(read_end: int, stderr: int) -> None:
    with open(read_end, "rb") as lines, open(stderr, "wb", buffering=0) as out:
        for line in lines:
            if _NOTICE not in line:
                with contextlib.suppress(OSError):  # Nobody reads stderr any more.
                    out.write(line)
