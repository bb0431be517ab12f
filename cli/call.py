"""What `main` has to know of a call that fails."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import click

AGAIN = "run the same command again"
GOES_ON = f"{AGAIN}, and it goes on from there"


@dataclasses.dataclass
class Call:
    """One call of `fedp`; verbs fill it in while they run.

    Attributes:
        arguments: of the command line, after `fedp`.
        debug: a failure shows its traceback.
        again: what to do after Ctrl-C.
        log: path of the log that this call writes; empty while there is none.
    """

    arguments: Sequence[str] = ()
    debug: bool = False
    again: str = AGAIN
    log: str = ""


def this_call() -> Call:
    """The call under way."""
    return click.get_current_context().ensure_object(Call)


def _set_debug(context: click.Context, parameter: click.Parameter, on: bool) -> None:
    if on:
        context.ensure_object(Call).debug = True


# Of `fedp` and of every verb: people add it to the end of what has just failed.
debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show the traceback of a failure.",
)


def colour() -> bool | None:
    """Whether to colour (https://no-color.org); None where the terminal decides."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR", "0") not in ("", "0") else None
