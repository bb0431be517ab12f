"""Notices SIGINT and SIGTERM, also those that a training's last round swallows."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType


def end_on_sigterm() -> None:
    """Makes SIGTERM an exception, so that helpers are told and files closed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def watch() -> Callable[[], int | None]:
    """Starts to watch; call the result for a signal that came since, if one did.

    Python writes each signal's number to a file of ours whoever handles it: `train`
    does while it runs, and lets a signal pass when its last round is over anyway.
    """
    ours, theirs = os.pipe()
    for end in (ours, theirs):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)

    def came() -> int | None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(ours, 4096):
                if number in (signal.SIGINT, signal.SIGTERM):
                    return number
        return None

    return came
