"""A bar for long work, where somebody sees it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click


@contextlib.contextmanager
def progress_bar(what: str = "clients") -> Iterator[Callable[[int, int, Any], None]]:
    """A bar on stderr with the time left; nothing where that is no terminal."""
    with contextlib.ExitStack() as stack:
        bar: Any = None

        def advance(done: int, total: int, result: Any) -> None:
            nonlocal bar
            if not sys.stderr.isatty():
                return
            if bar is None:
                bar = stack.enter_context(
                    click.progressbar(length=total, label=what, file=sys.stderr)
                )
            bar.update(1)

        yield advance
