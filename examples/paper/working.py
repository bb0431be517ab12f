"""Does the jobs, one after the other; several processes may do so side by side.

What is done is what is on disk, so a harness that was killed goes on where it was. A
lock a job keeps a second process from the same one, and dies with its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import time
from collections.abc import Iterator, Sequence

import curves
from cells import Cell
from continuing import continue_run
from looking import Looker
from settings import Settings
from signals import watch
from telling import Teller
from wanted import Job, Look

from fedp.device_runtime.errors import FedpError
from fedp.training.loop import train
from fedp.training.run_directory import FINISHED, Run, load_run
from fedp.training.stopping import Interrupted

_SECONDS_BETWEEN_TRIES = 2.0


class Worker:
    """One process' share of the work; close it in the end.

    Attributes:
        failed: by its name, what is wrong with each job that cannot be done.
    """

    def __init__(self, settings: Settings, out: pathlib.Path) -> None:
        self._settings, self._out = settings, out
        self._looker = Looker(settings)
        self.failed: dict[str, str] = {}

    def close(self) -> None:
        """Ends all threads."""
        self._looker.close()

    def work_through(self, jobs: Sequence[Job], teller: Teller) -> None:
        """Does all jobs that are not done, and waits for those that others are doing.

        A job that fails is left out, and so are those that start from its run.

        Raises:
            Interrupted: SIGINT or SIGTERM came.
        """
        came = watch()
        while left := [job for job in jobs if self._is_left(job)]:
            ready = [job for job in left if self._may_start(job)]
            if not any(self._try(job, teller) for job in ready):
                time.sleep(_SECONDS_BETWEEN_TRIES)
            if number := came():
                raise Interrupted("stopped between two jobs", number)

    def is_done(self, job: Job) -> bool:
        """Whether a job's run is finished and all its evaluations are there."""
        return self._is_trained(job.cell, job.replica) and all(
            self._is_looked(job, look) for look in job.looks
        )

    def _is_left(self, job: Job) -> bool:
        base = job.cell.base and f"{job.cell.base.name}/{job.replica}"
        if base in self.failed and not self._is_trained(job.cell, job.replica):
            self.failed.setdefault(job.name, f"{job.name}: starts from {base}")
        return job.name not in self.failed and not self.is_done(job)

    def _is_trained(self, cell: Cell, replica: int) -> bool:
        path = self._path(cell, replica)
        if not (path / "run.json").exists():
            return False
        run = load_run(path)
        ours = run.config == cell.config_of(replica)
        return ours and run.record.status == FINISHED

    def _is_looked(self, job: Job, look: Look) -> bool:
        path = curves.path_of(self._out, job, look)
        asked = curves.asked(self._settings, look)
        return curves.read(path, asked, look.epochs) is not None

    def _may_start(self, job: Job) -> bool:
        return job.cell.base is None or self._is_trained(job.cell.base, job.replica)

    def _try(self, job: Job, teller: Teller) -> bool:
        """Does a job unless another process has it; returns whether it was free."""
        with _claimed(self._out / "locks" / job.name.replace("/", "_")) as mine:
            if mine and not self.is_done(job):
                teller.begin(job)
                try:
                    self._do(job, teller)
                except Interrupted:
                    raise
                except FedpError as error:
                    self.failed[job.name] = f"{job.name}: {error}"
                    teller.say(self.failed[job.name])
                teller.end(job)
            return mine

    def _do(self, job: Job, teller: Teller) -> None:
        run = self._train(job, teller)
        for look in job.looks:
            if not self._is_looked(job, look):
                self._looker.look(run, look, curves.path_of(self._out, job, look))

    def _train(self, job: Job, teller: Teller) -> Run:
        cell, path = job.cell, self._path(job.cell, job.replica)
        if self._is_trained(cell, job.replica):
            return load_run(path)
        config = cell.config_of(job.replica)
        if cell.base is not None and not (path / "run.json").exists():
            continue_run(self._path(cell.base, job.replica), config, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = (path / "run.json").exists()
        return train(config, path, resume=begun, ui=teller)

    def _path(self, cell: Cell, replica: int) -> pathlib.Path:
        return run_path(self._out, cell.name, replica)


def run_path(out: pathlib.Path, cell: str, replica: int) -> pathlib.Path:
    """Where a model's run directory is."""
    return out / "runs" / cell / str(replica)


@contextlib.contextmanager
def _claimed(path: pathlib.Path) -> Iterator[bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
