"""The device's own time, or one that runs as fast as the loop can follow."""

from __future__ import annotations

import os
import pathlib
import threading
import time

DAY = 86_400.0


class WallClock:
    """Seconds since 1970, UTC."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now(self) -> float:
        return time.time()

    def wait_until(self, when: float) -> None:
        """Returns then, or at once when the loop is to end."""
        self._stop.wait(max(when - time.time(), 0.0))

    def step(self) -> None:
        """A training step takes the time that it takes."""


class SimulatedClock:
    """A world that goes on only while the loop runs; a file remembers how far it is."""

    def __init__(self, path: pathlib.Path, pace: float, step_seconds: float) -> None:
        """Goes on where the file says.

        Args:
            path: holds the last reading's time.
            pace: real seconds to wait for each reading.
            step_seconds: what a training step takes there, as on a slow board.
        """
        self._path, self._pace, self._step_seconds = path, pace, step_seconds
        self._now = float(path.read_text()) if path.exists() else 0.0

    def now(self) -> float:
        return self._now

    def wait_until(self, when: float) -> None:
        time.sleep(self._pace)
        self._now = max(when, self._now)
        new = self._path.with_suffix(".new")
        new.write_text(str(self._now))
        os.replace(new, self._path)  # whole or not at all, also under kill -9

    def step(self) -> None:
        self._now += self._step_seconds
