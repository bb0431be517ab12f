"""TFF's worker process, started so that it cannot outlive the one that needs it.

TFF's own launcher hands the worker its pipes and leaves it behind; this one ties the
worker's life to the thread that starts it, however that ends, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from fedp.device_runtime.errors import FedpError

_START_SECONDS = 60

# Runs between fork and exec: asks the kernel for SIGKILL when the parent dies (1 is
# PR_SET_PDEATHSIG), and leaves at once if the parent died before it could ask.
_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class WorkerError(FedpError):
    """The process that runs the federated computations ended or never started."""


class Worker(NamedTuple):
    """A running worker.

    Attributes:
        process: the child process.
        port: of its gRPC service on this machine.
        log: where its output goes.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: pathlib.Path

    def check(self) -> None:
        """Raises WorkerError if the worker has ended."""
        code = self.process.poll()
        if code is not None:
            raise WorkerError(
                f"TFF's worker process ended with exit code {code} (out of memory?): "
                f"see {self.log}, then resume the run"
            )


@contextlib.contextmanager
def running_worker(
    binary: pathlib.Path, log: pathlib.Path, threads: int
) -> Iterator[Worker]:
    """Runs TFF's worker while the context lasts; call it from a thread that stays.

    Args:
        binary: the worker's executable.
        log: file that gets its output.
        threads: of one TensorFlow operator.

    Raises:
        WorkerError: it does not start or does not answer.
    """
    worker = _start(binary, log, threads)
    try:
        _wait_until_it_answers(worker)
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()


def _start(binary: pathlib.Path, log: pathlib.Path, threads: int) -> Worker:
    port = _free_port()
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
    command += [str(binary), f"--port={port}"]
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads)},
            # Ctrl-C goes to the whole session: the round under way has to survive it.
            start_new_session=True,
        )
    return Worker(process, port, log)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(worker: Worker) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        worker.check()
        try:
            socket.create_connection(("localhost", worker.port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise WorkerError(
        f"TFF's worker process does not answer after {_START_SECONDS} s: see "
        f"{worker.log}"
    )
