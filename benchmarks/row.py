"""One row of a table: a script in a process of its own, of which nothing is left."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import job as jobs
import psutil
from job import Job, Measured

HERE = pathlib.Path(__file__).parent


class Row(NamedTuple):
    """Who is measured.

    Attributes:
        name: in the table.
        script: in this folder; it calls `answer`.
        engine: its argument, where it has several.
    """

    name: str
    script: str
    engine: str = ""

    def run(self, verb: str, job: Job) -> Measured:
        """Runs the script on a job; `verb` is "rounds" or "evaluation".

        Raises:
            SystemExit: it failed; with the last lines it wrote.
        """
        with tempfile.TemporaryDirectory() as folder:
            question, reply = (pathlib.Path(folder, n) for n in ("job", "measured"))
            jobs.write(question, job)
            command = [sys.executable, str(HERE / self.script), verb]
            command += [str(question), str(reply), self.engine]
            said = run_and_leave_nothing(command)
            if not reply.exists():
                raise SystemExit(f"row {self.name!r} failed:\n{said}")
            return jobs.read(reply, Measured)  # type: ignore[no-any-return]


def answer(**verbs: Callable[[Job, str], Measured]) -> None:
    """What a row's script does: takes a job from one file, answers in another."""
    verb, question, reply, engine = sys.argv[1:]
    measured = verbs[verb](jobs.read(pathlib.Path(question), Job), engine)
    jobs.write(pathlib.Path(reply), measured)


def run_and_leave_nothing(command: list[str]) -> str:
    """Runs a command, kills all that it leaves behind, and returns what it said.

    The output goes to a file: TFF's worker inherits a pipe and would keep it open.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
        try:
            process.wait()
        finally:
            kill_session(process.pid)
            process.wait()
        output.seek(0)
        return output.read().decode(errors="replace")[-3000:]


def kill_session(session: int) -> None:
    """Kills every process of a session, also those whose parent has ended."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session:
                process.kill()
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue


def others_busy() -> float:
    """Share (0..1) of the machine that others keep busy in this second."""
    return psutil.cpu_percent(interval=1) / 100
