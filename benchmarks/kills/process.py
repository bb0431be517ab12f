"""A child that says what it begins and what is done, until it is killed."""

from __future__ import annotations

import collections
import os
import pathlib
import signal
import stat
import time
from collections.abc import Callable
from typing import NamedTuple

Say = Callable[[str], None]
# Of each phase: kills, and what became of them.
Tally = dict[str, collections.Counter[str]]


class Said(NamedTuple):
    """What a killed child had said.

    Attributes:
        opened: whether it had opened the state.
        done: operations and their numbers, in order.
        begun: the one that the kill may have cut.
    """

    opened: bool
    done: list[tuple[str, int]]
    begun: tuple[str, int] | None

    def phase(self) -> str:
        """What the kill came into."""
        if self.begun:
            return self.begun[0]
        return "between changes" if self.opened else "opening"


def killed(work: Callable[[Say], None], delay: float, *, at_once: bool) -> Said:
    """Forks a child, and kills it `delay` seconds after it began.

    Args:
        work: what it does: says "opened", then "begin NAME NUMBER" and "done" in turns.
        delay: seconds, so that the instant is anywhere.
        at_once: whether it begins with the fork, or with its first word.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work(lambda text: os.write(writing, f"{text}\n".encode()) and None)
        finally:
            os._exit(1)
    os.close(writing)
    first = b"" if at_once else os.read(reading, 1)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        text = (first + pipe.read()).decode()
    assert os.WIFSIGNALED(status), f"the child ended by itself after: {text[-300:]}"
    return _read(text)


def _read(text: str) -> Said:
    done: list[tuple[str, int]] = []
    begun = None
    for line in text.splitlines():
        if line == "done" and begun:
            done.append(begun)
            begun = None
        elif line.startswith("begin "):
            name, _, number = line.removeprefix("begin ").rpartition(" ")
            begun = (name, int(number))
    return Said(bool(text), done, begun)


def count(tally: Tally, said: Said, directory: pathlib.Path) -> str:
    """Counts a kill before anybody opens the state again; its phase."""
    phase = said.phase()
    of = tally.setdefault(phase, collections.Counter())
    of["kills"] += 1
    of["half written"] += _counts(directory / "state.sqlite-journal")
    for name, _ in said.done:
        tally.setdefault(name, collections.Counter())["completed"] += 1
    return phase


def check_files(directory: pathlib.Path) -> None:
    """Only the state is there, for its owner alone, and no journal that counts."""
    for path in directory.iterdir():
        # One that never counted stays until the next change, which writes over it.
        assert path.name in ("state.sqlite", "state.sqlite-journal"), path
    assert not _counts(directory / "state.sqlite-journal")
    mode = stat.S_IMODE((directory / "state.sqlite").stat().st_mode)
    assert mode == 0o600, oct(mode)


def _counts(journal: pathlib.Path) -> bool:
    """Whether a journal is to be played back: SQLite writes its mark last."""
    return journal.exists() and journal.read_bytes()[:1] not in (b"", b"\0")
