"""How gains spread: over clients, over deciles, and over groups of clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fedp.training.evaluation.columns import Columns
from fedp.training.evaluation.figures import (
    AFTER_GUARD,
    BEFORE_GUARD,
    UNCHANGED,
    plotly_objects,
    styled,
)
from fedp.training.evaluation.groups import Group
from fedp.training.evaluation.summary import Summary

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_BIN_WIDTHS = (0.5, 1, 2, 5, 10)  # points
_MOST_BINS = 24


class Bar(NamedTuple):
    """A bin of the distribution of gains.

    Attributes:
        label: the gains it holds, in points; "0" holds exactly the unchanged clients.
        before: clients whose personalized model gained that.
        after: clients whose deployed model did.
    """

    label: str
    before: int
    after: int


def histogram(clients: Columns) -> list[Bar]:
    """How many clients gained how much, from the greatest loss on."""
    gains = [clients.personalized_gain * 100, clients.deployed_gain * 100]
    everything = np.concatenate([*gains, [0.0]])
    spread = float(everything.max() - everything.min())
    width = next((w for w in _BIN_WIDTHS if spread <= w * _MOST_BINS), _BIN_WIDTHS[-1])
    before, after = (Counter(_bins(each, width)) for each in gains)
    numbers = range(min({*before, *after}), max({*before, *after}) + 1)
    return [Bar(_bin_label(n, width), before[n], after[n]) for n in numbers]


def gain_distribution(bars: Sequence[Bar]) -> Figure:
    """A histogram, before and after the guard."""
    figure = plotly_objects().Figure()
    for name, counts, colour in (
        ("before the guard", [bar.before for bar in bars], BEFORE_GUARD),
        ("after the guard", [bar.after for bar in bars], AFTER_GUARD),
    ):
        figure.add_bar(
            x=[bar.label for bar in bars],
            y=counts,
            name=name,
            marker_color=colour,
            hovertemplate="%{x} points: %{y} clients<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="gain in points", type="category", tickangle=-45)
    figure.update_yaxes(title="clients", rangemode="tozero")
    return styled(figure, height=420)


def _bins(gains: np.ndarray, width: float) -> list[int]:
    """0 for no change, k for ((k-1) width, k width], and mirrored below zero."""
    steps = np.ceil(np.round(np.abs(gains) / width, 6))
    return [int(number) for number in np.sign(gains) * steps]


def _bin_label(number: int, width: float) -> str:
    if number == 0:
        return "0"
    near, far = (abs(number) - 1) * width, abs(number) * width
    if number > 0:
        return f"{near:g} to {far:g}"
    return f"−{far:g} to " + (f"−{near:g}" if near else "0")


def gain_deciles(summary: Summary) -> Figure:
    """The gain that each share of the clients does not exceed."""
    figure = plotly_objects().Figure()
    for name, gains, colour, dash in (
        ("before the guard", summary.personalized_deciles, BEFORE_GUARD, "solid"),
        ("after the guard", summary.deployed_deciles, AFTER_GUARD, "dash"),
    ):
        figure.add_scatter(
            x=[n / (len(gains) - 1) for n in range(len(gains))],
            y=[100 * gain for gain in gains],
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2.5, "dash": dash},
            marker={"size": 7},
            hovertemplate="%{x:.0%} of clients gain at most %{y:+.1f} points"
            "<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="share of clients", tickformat=".0%", dtick=0.1)
    figure.update_yaxes(title="gain in points", zerolinewidth=1.5)
    return styled(figure, height=420)


def gain_by_group(groups: Sequence[Group], labels: Sequence[str], title: str) -> Figure:
    """Mean gain in points of each group, with its 95 % interval."""
    figure = plotly_objects().Figure()
    for name, gains, colour in (
        ("before the guard", [g.personalized_gain for g in groups], BEFORE_GUARD),
        ("after the guard", [g.deployed_gain for g in groups], AFTER_GUARD),
    ):
        error = [100 * (g.high - g.value) if g.high is not None else 0 for g in gains]
        figure.add_bar(
            x=list(labels),
            y=[100 * g.value for g in gains],
            error_y={"type": "data", "array": error, "color": UNCHANGED},
            name=name,
            marker_color=colour,
            hovertemplate="%{x}: %{y:+.1f} points<extra>" + name + "</extra>",
        )
    figure.update_xaxes(
        title=title, type="category", tickangle=-45 if len(groups) > 5 else 0
    )
    figure.update_yaxes(title="mean gain in points")
    return styled(figure, height=420)
