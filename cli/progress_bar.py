"""A bar for long work, where somebody sees it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from fedp.cli.work_log import WorkLog


@contextlib.contextmanager
def progress_bar(what: str, log: WorkLog) -> Iterator[Callable[[int, int, Any], None]]:
    """A bar on stderr with the time left; nothing where that is no terminal.

    Args:
        what: is counted.
        log: is told as well.
    """
    with contextlib.ExitStack() as stack:
        bar: Any = None

        def advance(done: int, total: int, result: Any) -> None:
            nonlocal bar
            log.count(done, total)
            if not sys.stderr.isatty():
                return
            if bar is None:
                # What an earlier call has done would make this one look fast.
                before = done - 1
                label = f"{what} ({before} done before)" if before else what
                bar = stack.enter_context(
                    click.progressbar(
                        length=total - before, label=label, file=sys.stderr
                    )
                )
            bar.update(1)

        yield advance
