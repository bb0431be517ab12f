"""`fedp` as a user calls it: a real process, its streams and its exit code."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

from fedp.cli import main

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


def call(*arguments: object) -> tuple[int, str, str]:
    """`fedp` in this process, which is fast: exit code, stdout, stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO()) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    return code, texts[0], texts[1]
