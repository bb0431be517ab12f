"""A training's progress: for whoever watches, and in the run's log."""

from __future__ import annotations

from fedp.cli.call import this_call
from fedp.cli.work_log import WorkLog
from fedp.training.metrics import RoundLog
from fedp.training.progress import PlainProgress, default_progress


class LoggedProgress:
    """What is shown on stderr, and the lines of the log, which begins with the run."""

    def __init__(self, log: WorkLog, after_ctrl_c: str) -> None:
        """Takes the log, and what to do when Ctrl-C stops a run that has begun."""
        self._log, self._after_ctrl_c = log, after_ctrl_c
        self._shown, self._kept = default_progress(), PlainProgress(log)
        self._before: list[str] = []

    def start(self, rounds: int, done: int) -> None:
        """A run of so many rounds, of which so many are done, goes on."""
        self._log.begin()
        this_call().again = self._after_ctrl_c
        for line in self._before:
            self._log.write(line)
        self._kept.start(rounds, done)
        self._shown.start(rounds, done)

    def round(self, log: RoundLog) -> None:
        """A round has ended."""
        self._kept.round(log)
        self._shown.round(log)

    def say(self, text: str) -> None:
        """Something to tell the user in a line."""
        if self._log.begun:
            self._log.write(text)
        else:
            self._before.append(text)  # The run may be refused yet.
        self._shown.say(text)

    def stop(self) -> None:
        """The run has ended, one way or another."""
        self._shown.stop()
