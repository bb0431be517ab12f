"""Figure 4 of Jiang et al. 2019: a dot a client, so that the hurt ones are seen."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fedp.training.evaluation.figures import (
    AFTER_GUARD,
    BEFORE_GUARD,
    HURT,
    UNCHANGED,
    add_diagonal,
    plotly_objects,
    styled,
)
from fedp.training.evaluation.results import ClientResult

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def scatter_before_guard(results: Sequence[ClientResult]) -> Figure:
    """Fig. 4: a dot a client, personalized against initial accuracy."""
    hurt = [r for r in results if r.personalized < r.initial]
    fine = [r for r in results if r.personalized >= r.initial]
    groups = [
        ("better or equal", fine, BEFORE_GUARD, "circle"),
        ("hurt", hurt, HURT, "diamond"),
    ]
    return _scatter(results, groups, lambda r: r.personalized, "personalized accuracy")


def scatter_after_guard(results: Sequence[ClientResult]) -> Figure:
    """Fig. 4 for what the guard lets live: deployed against initial accuracy."""
    kept = [r for r in results if r.kept]
    groups = [
        (
            "kept, better or equal",
            [r for r in kept if r.deployed >= r.initial],
            AFTER_GUARD,
            "circle",
        ),
        ("kept, hurt", [r for r in kept if r.deployed < r.initial], HURT, "diamond"),
        (
            "reverted to initial",
            [r for r in results if not r.kept],
            UNCHANGED,
            "circle-open",
        ),
    ]
    return _scatter(results, groups, lambda r: r.deployed, "deployed accuracy")


def _scatter(
    results: Sequence[ClientResult],
    groups: Sequence[tuple[str, list[ClientResult], str, str]],
    accuracy: Callable[[ClientResult], float],
    title: str,
) -> Figure:
    objects = plotly_objects()
    seen = [a for r in results for a in (r.initial, r.personalized, r.deployed)]
    low, high = math.floor(min(seen) * 10) / 10 - 0.03, 1.03
    largest = max(r.adapt_examples for r in results) or 1
    figure = objects.Figure()
    add_diagonal(figure, low, high)
    for name, group, colour, symbol in groups:
        figure.add_scatter(
            x=[r.initial for r in group],
            y=[accuracy(r) for r in group],
            mode="markers",
            name=f"{name} ({len(group)})",
            text=[_hover(r) for r in group],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": colour,
                "symbol": symbol,
                "size": [_size(r.adapt_examples, largest) for r in group],
                "opacity": 0.8,
                "line": {"width": 1.5 if symbol.endswith("open") else 0.5},
            },
        )
    axis = {
        "range": [low, high],
        "tickformat": ".0%",
        "dtick": 0.1 if high - low < 0.6 else 0.2,
        "zeroline": False,
    }
    figure.update_xaxes(title="initial accuracy", constrain="domain", **axis)
    figure.update_yaxes(
        title=title, scaleanchor="x", scaleratio=1, constrain="domain", **axis
    )
    return styled(figure, height=520)


def _size(examples: int, largest: int) -> float:
    """Marker diameter in pixels: the area grows with the data."""
    return 6 + 14 * math.sqrt(examples / largest)


def _hover(result: ClientResult) -> str:
    verdict = "kept" if result.kept else "reverted"
    return (
        f"<b>{html.escape(result.client)}</b><br>"
        f"{result.adapt_examples} examples on the device, {result.test_examples} "
        f"to test<br>initial {result.initial:.1%}, personalized "
        f"{result.personalized:.1%}, deployed {result.deployed:.1%}<br>"
        f"guard: {verdict}<br>{_wrapped(result.reason)}"
    )


def _wrapped(text: str, width: int = 60) -> str:
    return "<br>".join(html.escape(line) for line in textwrap.wrap(text, width))
