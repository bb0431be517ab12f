"""Tells how far the harness is: a line now and then, with the time left over all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from planning import Planner
from settings import Settings
from wanted import Job

from fedp.training.metrics import RoundLog
from fedp.training.progress import describe

_SECONDS_BETWEEN_LINES = 20.0


class Teller:
    """A `Progress` of the runs, and of the jobs around them.

    Time left is what all undone jobs cost at the pace of this process so far, shared
    by all processes.
    """

    def __init__(
        self,
        settings: Settings,
        jobs: Sequence[Job],
        is_done: Callable[[Job], bool],
        processes: int,
        rate: float,
    ) -> None:
        planner = Planner(settings)
        self._seconds = {
            job.name: planner.work(job).seconds(rate, processes) for job in jobs
        }
        self._jobs, self._is_done, self._processes = jobs, is_done, processes
        self._now = ""
        self._planned = self._spent = self._last_line = 0.0
        self._share = self._total = self._first = 0.0

    def begin(self, job: Job) -> None:
        """A job begins, here."""
        self._now, self._share = job.name, 0.0
        self._job_start = time.monotonic()
        self.say(f"{job.name}: {self._whole()}")

    def end(self, job: Job) -> None:
        """A job is done, here."""
        self._planned += self._seconds[job.name]
        self._spent += time.monotonic() - self._job_start
        self._share = 0.0

    def _whole(self) -> str:
        left = [job for job in self._jobs if not self._is_done(job)]
        seconds = sum(self._seconds[job.name] for job in left)
        # What this process has planned for as long as it took; 1 before it knows.
        pace = self._spent / self._planned if self._planned > 0 else self._processes
        minutes = seconds * pace / self._processes / 60
        done, jobs = len(self._jobs) - len(left), len(self._jobs)
        return f"{done} of {jobs} jobs done, about {minutes:.0f} min left"

    def start(self, rounds: int, done: int) -> None:
        """See `Progress`."""
        self._total = rounds

    def round(self, log: RoundLog) -> None:
        """See `Progress`."""
        now = time.monotonic()
        last = log.round == self._total
        if now - self._last_line > _SECONDS_BETWEEN_LINES or last:
            self._last_line = now
            self.say(
                f"{self._now}: round {log.round}/{self._total:.0f}, {describe(log)}"
            )

    def say(self, text: str) -> None:
        """See `Progress`."""
        print(text, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """See `Progress`."""
