"""The log of long work: where it is, is said at the start; nobody need watch."""

from __future__ import annotations

import contextlib
import pathlib
import shlex
import sys
import time
import traceback
from collections.abc import Iterator
from typing import IO

import fedp
from fedp.cli.call import this_call
from fedp.cli.printing import say
from fedp.device_runtime.errors import FedpError

_SECONDS_BETWEEN_LINES = 10.0


class WorkLog:
    """A file of lines with the time before each; it is a text stream as well.

    It begins with the first line that it is told, so that work which is refused leaves
    none. What it cannot write is lost: a log must not end the work that it is of.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Takes the file, to which lines are added."""
        self.path = path
        self.begun = False
        self._file: IO[str] | None = None
        self._last_count = time.monotonic()
        self._first_count: tuple[int, float] | None = None

    def begin(self) -> None:
        """Opens the file, unless it is open, and says so on stderr."""
        if self.begun:
            return
        self.begun = True
        with contextlib.suppress(OSError):
            self._file = open(self.path, "a", encoding="utf-8", errors="replace")
            call = this_call()
            call.log = str(self.path)
            say(f"log: {self.path}")
            command = shlex.join(["fedp", *call.arguments])
            self.write(
                f"fedp {fedp.__version__}, Python {sys.version.split()[0]}: {command}"
            )

    def say(self, line: str) -> None:
        """A line for the log and for stderr."""
        self.begin()
        self.write(line)
        say(line)

    def count(self, done: int, total: int) -> None:
        """How far the work is: a line every ten seconds, and the last one.

        The time left is at this call's speed: what was done before does not count.
        """
        now = time.monotonic()
        if self._first_count is None:
            self._first_count = done, now
        begun, started = self._first_count
        if done == total or now - self._last_count >= _SECONDS_BETWEEN_LINES:
            self._last_count = now
            left = ""
            if begun < done < total:
                minutes = (now - started) / (done - begun) * (total - done) / 60
                left = f", about {minutes:,.0f} min left"
            self.write(f"{done} of {total} done{left}")

    def write(self, text: str) -> None:
        """Lines for the log alone."""
        self.begin()
        with contextlib.suppress(OSError):
            for line in filter(None, text.splitlines()):
                if self._file is not None:
                    print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=self._file)
            self.flush()

    def flush(self) -> None:
        """Gives the lines to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()


@contextlib.contextmanager
def work_log(path: pathlib.Path) -> Iterator[WorkLog]:
    """A log whose last line says how the work ended; a crash is there in full."""
    log, started = WorkLog(path), time.monotonic()
    try:
        yield log
    except BaseException as error:
        if log.begun:
            expected = isinstance(error, (FedpError, KeyboardInterrupt))
            text = str(error) or "stopped by Ctrl-C"
            log.write(f"ended: {text}" if expected else traceback.format_exc())
        raise
    else:
        if log.begun:
            log.write(f"done in {time.monotonic() - started:.1f} s")
    finally:
        log.close()
