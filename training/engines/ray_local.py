"""What a Ray cluster on this machine needs in order to leave nothing behind."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from fedp.training.cores import cores

_END_SECONDS = 10
# The path of a socket has at most 107 characters, and Ray needs 82 of them.
_LONGEST_FOLDER = 25
_NOTES = (b":job_id:", b":task_name:")


@contextlib.contextmanager
def machine_of_its_own(log: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Cleans up after a cluster that is started, and shut down, inside.

    Args:
        log: file that gets what its workers have printed.

    Yields:
        Arguments for `ray.init`: a node with a worker a core, for this process alone.
    """
    # Ray would leave its own folder, /tmp/ray.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fedp-ray-", dir=_short_folder()))
    try:
        with _environment(_variables()):
            yield {
                "address": "local",
                "num_cpus": cores(),
                "num_gpus": 0,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": str(folder),
            }
    finally:
        _keep_output(folder, log)
        shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> str:
    """Where temporary files go, if the names of Ray's sockets fit in there."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= _LONGEST_FOLDER else "/tmp"


def _variables() -> dict[str, str]:
    """Nothing is sent home, and no other user of this machine gets in."""
    variables = {"RAY_USAGE_STATS_ENABLED": "0"}
    if not any(name.startswith("RAY_AUTH_") for name in os.environ):
        # Ray asks for a token by itself, and would leave one in the home directory.
        variables["RAY_AUTH_TOKEN"] = _token()
    return variables


@functools.cache
def _token() -> str:
    """The same for the whole process, since Ray remembers the first one."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        # Ray sets some of its own.
        for name in [each for each in os.environ if each.startswith("RAY_")]:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@contextlib.contextmanager
def ended_processes(shutdown: Callable[[], None]) -> Iterator[None]:
    """Sees to it that no process that was started inside is left.

    Args:
        shutdown: called at the end; asks them to end.
    """
    before = set(psutil.Process().children())
    try:
        yield
    finally:
        children = set(psutil.Process().children()) - before
        # Collected first: who loses its parent cannot be found by it any more.
        started = [each for child in children for each in _family(child)]
        shutdown()
        _, alive = psutil.wait_procs(started, _END_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, _END_SECONDS)


def _family(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _keep_output(folder: pathlib.Path, log: pathlib.Path) -> None:
    """Adds what workers have printed to the log, without Ray's own notes in it."""
    for path in sorted(folder.glob("session_2*/logs/worker-*.err")):
        lines = path.read_bytes().splitlines(keepends=True)
        printed = [line for line in lines if not line.startswith(_NOTES)]
        if printed:
            with open(log, "ab") as output:
                output.writelines(printed)
