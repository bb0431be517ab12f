"""What every verb has: --json, --seed, and a word for what it takes to run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click


class Verb(click.Command):
    """A command of `fedp`.

    Attributes:
        needs: which packages it takes, a key of `device_runtime.doctor.NEEDS`.
    """

    def __init__(self, *args: Any, needs: str, **kwargs: Any) -> None:
        """Takes what `click.Command` does, and the attributes."""
        super().__init__(*args, **kwargs)
        self.help = unwrapped(self.help)
        self.needs = needs


def verb(*, needs: str) -> Callable[[Callable[..., Any]], Verb]:
    """Makes a function a verb of its name.

    Args:
        needs: see `Verb`.
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
        return click.command(cls=Verb, needs=needs)(as_json(seed(function)))

    return make


def unwrapped(text: str | None) -> str:
    r"""What a raw docstring means by \b: lines that click leaves as they are."""
    return (text or "").replace(r"\b", "\b")


def quiet_tensorflow() -> None:
    """TensorFlow's own log lines are not for users; its errors are raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
