"""`fedp` as a process of its own, and in this one."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

from fedp.cli import main

FEDP = (sys.executable, "-m", "fedp.cli")


def fedp(*arguments: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """A real process, its streams and its exit code."""
    command = [*FEDP, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **kwargs)


def refuses(*arguments: object, code: int = 1) -> str:
    """Asserts one line on stderr, nothing on stdout, and the exit code."""
    found, out, err = call(*arguments)
    assert (found, out) == (code, ""), err
    assert err.startswith("fedp: error: ") and err.count("\n") == 1, err
    return err


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
