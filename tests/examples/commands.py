"""Runs the commands of an example's README as they stand there."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
PROGRAMS = {
    "fedp": [sys.executable, "-m", "fedp.cli"],
    "python": [sys.executable],
}


def commands(name: str) -> list[list[str]]:
    """The README's commands, one list of arguments each."""
    text = (EXAMPLES / name / "README.md").read_text()
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def copied(name: str, folder: pathlib.Path) -> pathlib.Path:
    """A copy of an example, to run in."""
    return pathlib.Path(shutil.copytree(EXAMPLES / name, folder / name))


def run(arguments: list[str], folder: pathlib.Path, *more: str) -> str:
    """Runs one command in a folder; what it printed, or an AssertionError."""
    done = start(arguments, folder, *more)
    assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
    return done.stdout


def start(
    arguments: list[str], folder: pathlib.Path, *more: str
) -> subprocess.CompletedProcess[str]:
    """The same without a judgement."""
    program, *rest = arguments
    return subprocess.run(
        [*PROGRAMS[program], *rest, *more],
        cwd=folder,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
