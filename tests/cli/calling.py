"""`fedp` as a user calls it: a real process, its streams and its exit code."""

from __future__ import annotations

import subprocess
import sys

FEDP = (sys.executable, "-m", "fedp.cli")


def fedp(*arguments: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    command = [*FEDP, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **kwargs)


def refuses(*arguments: object, code: int = 1, **kwargs: object) -> str:
    """Asserts one line on stderr, nothing on stdout, and the exit code."""
    done = fedp(*arguments, **kwargs)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("fedp: error: ") and done.stderr.count("\n") == 1, (
        done.stderr
    )
    return done.stderr
