"""The coordinator's end of a peer's process."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

from device.peer import Peer

_BENCHMARKS = str(pathlib.Path(__file__).parents[1])
_TO_END_SECONDS = 10


class PeerError(Exception):
    """A peer's process failed; says with what."""


class Installed(NamedTuple):
    """What is installed for a peer.

    Attributes:
        version: of its first distribution.
        bytes: of all of them and of what they require.
    """

    version: str
    bytes: int


class Python(NamedTuple):
    """An interpreter that peers run in.

    Attributes:
        path: its executable.
        ours: whether it is the benchmark's own, and so sees fedp.
    """

    path: str = sys.executable
    ours: bool = True

    def installed(self, peer: Peer) -> Installed | None:
        """What it has installed for a peer; None if something is missing."""
        said = self.run(
            "device.installed", json.dumps(peer.unneeded), *peer.distributions
        )
        found = json.loads(said)
        return found and Installed(**found)

    def run(self, *arguments: str) -> str:
        """Runs a module to its end and returns what it printed.

        Raises:
            PeerError: it failed.
        """
        done = subprocess.run(
            [self.path, "-m", *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise PeerError(_telling(done.stderr))
        return done.stdout

    def environment(self) -> dict[str, str]:
        """One thread, quiet, and the benchmarks to import; fedp only if ours."""
        path = [_BENCHMARKS]
        if self.ours and "PYTHONPATH" in os.environ:
            path.append(os.environ["PYTHONPATH"])
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        return {**os.environ, **one, **quiet, "PYTHONPATH": os.pathsep.join(path)}


class PeerProcess:
    """A live worker; it waits on its pipe while others run."""

    def __init__(
        self, python: Python, key: str, folder: pathlib.Path, core: int, task: str
    ) -> None:
        """Starts it and waits until it is ready.

        Raises:
            PeerError: it does not get ready.
        """
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [python.path, "-m", "device.worker", "run"]
            + [key, str(folder), str(core), task],
            env=python.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            start_new_session=True,
        )
        self._answer()

    def run(self, warm: int, calls: int) -> dict[str, Any]:
        """Makes `warm` calls and then `calls` timed ones; see `device.worker`.

        Raises:
            PeerError: it failed.
        """
        assert self._process.stdin is not None
        try:
            print(json.dumps({"warm": warm, "calls": calls}), file=self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are read as the answer
        return self._answer()

    def close(self) -> None:
        """Ends it, by force if need be."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdout.close()
        try:
            self._process.stdin.close()
            self._process.wait(_TO_END_SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self.close()
        raise PeerError(_telling(said) or f"it ended with exit code {code}")


def _telling(said: str) -> str:
    """The last line that an exception left."""
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
