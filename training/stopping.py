"""Ctrl-C and SIGTERM end a run after the round under way, so that nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from fedp.device_runtime.errors import FedpError


class Interrupted(FedpError):
    """A run stopped on a signal; it can be resumed.

    Attributes:
        signal: SIGINT or SIGTERM; a shell expects the exit code 128 + this.
    """

    def __init__(self, message: str, number: int) -> None:
        """Takes the message for the user and the signal's number."""
        super().__init__(message)
        self.signal = number
        self.exit_code = 128 + number


class StopRequest:
    """Whether a signal has asked the run to stop.

    Attributes:
        signal: its number, or None.
    """

    signal: int | None = None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turns the first SIGINT or SIGTERM into a request, the second one into an end.

    Outside the main thread, where Python allows no handlers, signals are left alone.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            raise KeyboardInterrupt
        request.signal = number
        # Not print: the handler may have come in the middle of another one.
        os.write(2, b"\nstopping after this round; once more stops at once\n")

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in signals]
    try:
        yield request
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
