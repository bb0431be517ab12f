"""How far long work is, and the time left: a bar, or a line a minute in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

_LINE_SECONDS = 60.0


@contextlib.contextmanager
def progress_bar(what: str = "clients") -> Iterator[Callable[[int, int, Any], None]]:
    """Yields what is told of how many are done, how many there are, and a result.

    What an earlier call has done is not counted as this one's speed.
    """
    with contextlib.ExitStack() as stack:
        started = told = time.monotonic()
        bar: Any = None
        before: int | None = None

        def advance(done: int, total: int, result: Any) -> None:
            nonlocal bar, before, told
            before = done - 1 if before is None else before
            if sys.stderr.isatty():
                if bar is None:
                    label = f"{what} ({before} done before)" if before else what
                    left = click.progressbar(
                        length=total - before, label=label, file=sys.stderr
                    )
                    bar = stack.enter_context(left)
                bar.update(1)
            elif time.monotonic() - told >= _LINE_SECONDS:
                told = time.monotonic()
                click.echo(_line(what, done, total, before, told - started), err=True)

        yield advance


def _line(what: str, done: int, total: int, before: int, seconds: float) -> str:
    left = seconds / (done - before) * (total - done)
    minutes, _ = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{what}: {done:,} of {total:,}, about {hours} h {minutes:02} min left"
