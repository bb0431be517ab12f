"""What every verb has: --json, --seed, --debug, and a word for what it takes to run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import click

from fedp.cli.call import AGAIN, debug_option, this_call


class Verb(click.Command):
    """A command of `fedp`.

    Attributes:
        needs: which packages it takes, a key of `device_runtime.doctor.NEEDS`.
        again: what to do when Ctrl-C has stopped it.
    """

    def __init__(self, *args: Any, needs: str, again: str = AGAIN, **kwargs: Any):
        """Takes what `click.Command` does, and the attributes."""
        super().__init__(*args, **kwargs)
        self.help = unwrapped(self.help)
        # In the list of verbs, where a line has some sixty characters.
        self.short_help = re.split("[:;,(]", self.help.partition("\n")[0])[0].strip(
            " ."
        )
        self.needs, self.again = needs, again

    def invoke(self, ctx: click.Context) -> Any:
        """Runs it."""
        this_call().again = self.again
        return super().invoke(ctx)


def verb(*, needs: str, again: str = AGAIN) -> Callable[[Callable[..., Any]], Verb]:
    """Makes a function a verb of its name, which is also its file's.

    Args:
        needs: see `Verb`.
        again: see `Verb`.
    """
    seed = click.option(
        "--seed",
        type=click.IntRange(0, 2**31 - 1),
        default=0,
        show_default=True,
        help="Of all that this verb draws at random.",
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on stdout."
    )

    def make(function: Callable[..., Any]) -> Verb:
        command = click.command(cls=Verb, needs=needs, again=again)
        return command(as_json(seed(debug_option(function))))

    return make


def unwrapped(text: str | None) -> str:
    r"""What a raw docstring means by \b: lines that click leaves as they are."""
    return (text or "").replace(r"\b", "\b")


def quiet_tensorflow() -> None:
    """TensorFlow's own log lines are not for users; its errors are raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
