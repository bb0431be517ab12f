"""How far a run is: live on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Protocol, TextIO

from fedp.training.metrics import RoundLog

_SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Who wants to hear how far a run is."""

    def start(self, rounds: int, done: int) -> None:
        """A run of so many rounds, of which so many are done, goes on."""

    def round(self, log: RoundLog) -> None:
        """A round has ended."""

    def say(self, text: str) -> None:
        """Something to tell the user in a line."""

    def stop(self) -> None:
        """The run has ended, one way or another."""


class LineStream(Protocol):
    """What lines are printed to."""

    def write(self, text: str, /) -> object:
        """Takes a part of a line."""

    def flush(self) -> None:
        """The line is whole."""


def default_progress(stream: TextIO | None = None) -> Progress:
    """What fits the stream, stderr unless given."""
    stream = sys.stderr if stream is None else stream
    return LiveProgress(stream) if stream.isatty() else PlainProgress(stream)


class PlainProgress:
    """Lines for a log file: at most one every ten seconds, and every evaluation."""

    def __init__(self, stream: LineStream) -> None:
        """Writes to the stream."""
        self._stream = stream
        self._rounds = self._done_before = self._done = 0
        self._start = self._last_line = 0.0

    def start(self, rounds: int, done: int) -> None:
        """A run of so many rounds, of which so many are done, goes on."""
        self._rounds, self._done_before = rounds, done
        self._start = time.monotonic()

    def round(self, log: RoundLog) -> None:
        """A round has ended."""
        now = time.monotonic()
        quiet = now - self._last_line < _SECONDS_BETWEEN_LINES
        if quiet and log.initial_accuracy is None and log.round < self._rounds:
            return
        self._last_line = now
        pace = (now - self._start) / (log.round - self._done_before)
        left = pace * (self._rounds - log.round)
        self.say(
            f"round {log.round}/{self._rounds} {log.stage}: {describe(log)}, "
            f"{left:.0f} s left"
        )

    def say(self, text: str) -> None:
        """Something to tell the user in a line."""
        with contextlib.suppress(BrokenPipeError):  # Nobody reads on: train on.
            print(text, file=self._stream, flush=True)

    def stop(self) -> None:
        """The run has ended, one way or another."""


class LiveProgress:
    """A bar with the latest numbers beside it, and a line for every evaluation."""

    def __init__(self, stream: TextIO) -> None:
        """Draws on the stream, a terminal."""
        from rich import console, progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.fields[stage]}"),
            progress.BarColumn(bar_width=20),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[numbers]}"),
            progress.TimeRemainingColumn(),
            console=console.Console(file=stream, highlight=False),
            # One round can take minutes: the default window forgets it.
            speed_estimate_period=600,
        )

    def start(self, rounds: int, done: int) -> None:
        """A run of so many rounds, of which so many are done, goes on."""
        self._task = self._bar.add_task(
            "", total=rounds, completed=done, stage="starting", numbers=""
        )
        self._bar.start()

    def round(self, log: RoundLog) -> None:
        """A round has ended."""
        if log.initial_accuracy is not None:
            self.say(f"round {log.round} {log.stage}: {describe(log)}")
        numbers = f"loss {log.train_loss:.3f}, {log.examples_per_second:.0f} examples/s"
        self._bar.update(
            self._task, completed=log.round, stage=log.stage, numbers=numbers
        )

    def say(self, text: str) -> None:
        """Something to tell the user in a line."""
        self._bar.console.print(text, markup=False)

    def stop(self) -> None:
        """The run has ended, one way or another."""
        self._bar.stop()


def describe(log: RoundLog) -> str:
    """A round's numbers in a few words."""
    parts = [f"loss {log.train_loss:.3f}", f"{log.examples_per_second:.0f} examples/s"]
    if log.left_out:
        parts.append(f"{log.left_out} of {log.clients} clients left out")
    if log.initial_accuracy is not None and log.personalized_accuracy is not None:
        parts.append(
            f"validation accuracy {log.initial_accuracy:.3f} initial, "
            f"{log.personalized_accuracy:.3f} personalized"
        )
    return ", ".join(parts)
