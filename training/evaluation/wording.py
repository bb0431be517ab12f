"""Numbers as the pages write them."""

from __future__ import annotations

from collections.abc import Mapping

from fedp.training.evaluation.groups import Group
from fedp.training.evaluation.intervals import Mean, Share

SINGLE = "a single client"


def percent(value: float) -> str:
    """An accuracy or a share, 0..1."""
    return f"{value:.1%}".replace("-", "−")


def points(gain: float) -> str:
    """A difference of accuracies, with its sign."""
    return f"{round(100 * gain, 1) + 0.0:+.1f}".replace("-", "−")


def change(before: float, after: float) -> str:
    """Gains before and after the guard."""
    return f"{points(before)} → {points(after)}"


def interval(value: Mean) -> str:
    """The 95 % interval of a mean accuracy."""
    if value.low is None or value.high is None:
        return SINGLE
    return f"{percent(value.low)} to {percent(value.high)}"


def gain_interval(value: Mean) -> str:
    """The 95 % interval of a mean gain."""
    if value.low is None or value.high is None:
        return SINGLE
    return f"{points(value.low)} to {points(value.high)}"


def share_interval(value: Share) -> str:
    """The 95 % interval of a share of clients."""
    return f"{percent(value.low)} to {percent(value.high)}"


def share_cells(value: Share) -> tuple[str, str, str]:
    """Count, share and interval."""
    return f"{value.count} of {value.of}", percent(value.share), share_interval(value)


def counted(number: int, noun: str) -> str:
    """Such as "1 client" or "1,200 clients"."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def band_label(band: Group) -> str:
    """A data-size band, such as "10 to 29" or "300 and more"."""
    if band.highest is None:
        return f"{band.lowest:g} and more"
    return f"{band.lowest:g} to {band.highest:g}"


def tenth_label(tenth: Group) -> str:
    """A tenth by initial accuracy, such as "31% to 45%"."""
    return f"{tenth.lowest:.0%} to {tenth.highest:.0%}"


def flat_facts(facts: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Rows of a table; nested names are joined by a colon."""
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += flat_facts(value, f"{prefix}{name}: ")
        else:
            items = value if isinstance(value, (list, tuple)) else [value]
            rows.append((f"{prefix}{name}", ", ".join(map(str, items))))
    return rows
