"""A worker process that cannot outlive the process it works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with(parent: int) -> None:
    """Has the kernel end this process as soon as its parent ends, even by SIGKILL.

    Elsewhere than on Linux a worker ends when its connection does, a client later.

    Args:
        parent: process id of the parent, as the parent itself knows it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # A parent that ended before the call above is told by nobody: look for it.
    if os.getppid() != parent:
        os._exit(1)
