"""Values of options that click has no type for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click


class ListOf(click.ParamType):
    """Values with commas between."""

    name = "list"

    def __init__(self, kind: Callable[[str], Any], what: str) -> None:
        """Takes what reads one value, and what to call such values."""
        self._kind, self._what = kind, what

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        """The values, or a usage error."""
        try:
            return tuple(self._kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of {self._what} such as 1,2", param, ctx)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < math.inf:
        raise ValueError(text)
    return rate


class Rate(click.ParamType):
    """A learning rate."""

    name = "float"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The rate, or a usage error."""
        try:
            return _rate(value)
        except ValueError:
            self.fail(f"{value!r} is no finite number above 0", param, ctx)


floats, ints = ListOf(float, "numbers"), ListOf(int, "whole numbers")
rates = ListOf(_rate, "finite numbers above 0")
