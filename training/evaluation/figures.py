"""The report's plots: figures 2 and 4 of Jiang et al. 2019, and how gains spread."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fedp.device_runtime.errors import MissingDependencyError
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.summary import Band, Summary

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BEFORE_GUARD = "#d98a00"
AFTER_GUARD = "#2f7ed8"
HURT = "#d6336c"
UNCHANGED = "#868e96"
_BAND_FILL = "rgba(217,138,0,0.22)"
_BIN_WIDTHS = (0.5, 1, 2, 5, 10)  # points
_MOST_BINS = 24


def plotly_objects() -> Any:
    """Imports plotly's figures.

    Raises:
        MissingDependencyError: plotly is not installed.
    """
    try:
        import plotly.graph_objects as objects
    except ImportError as error:
        raise MissingDependencyError(
            "the report needs plotly, which is not installed: pip install plotly"
        ) from error
    return objects


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
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": UNCHANGED, "dash": "dot", "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
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
    import textwrap

    return "<br>".join(html.escape(line) for line in textwrap.wrap(text, width))


def accuracy_by_epoch(summary: Summary) -> Figure:
    """Fig. 2: mean accuracy against local epochs, with its 95 % interval."""
    objects = plotly_objects()
    epochs = list(range(len(summary.curve)))
    low = [m.value if m.low is None else m.low for m in summary.curve]
    high = [m.value if m.high is None else m.high for m in summary.curve]
    figure = objects.Figure()
    figure.add_scatter(
        x=epochs + epochs[::-1],
        y=high + low[::-1],
        mode="lines",
        fill="toself",
        fillcolor=_BAND_FILL,
        line={"width": 0},
        hoverinfo="skip",
        name="95 % interval",
    )
    figure.add_scatter(
        x=epochs,
        y=[m.value for m in summary.curve],
        mode="lines+markers",
        name="mean over clients, no guard",
        line={"color": BEFORE_GUARD, "width": 2.5},
        marker={"size": 8},
        hovertemplate="epoch %{x}: %{y:.2%}<extra></extra>",
    )
    figure.add_scatter(
        x=[epochs[0], epochs[-1]],
        y=[summary.deployed.value] * 2,
        mode="lines",
        name="deployed, after the guard",
        line={"color": AFTER_GUARD, "width": 2, "dash": "dash"},
        hovertemplate="deployed: %{y:.2%}<extra></extra>",
    )
    figure.update_xaxes(title="local epochs", dtick=1 if len(epochs) < 16 else None)
    figure.update_yaxes(title="accuracy", tickformat=".1%")
    return styled(figure, height=420)


def gain_distribution(results: Sequence[ClientResult]) -> Figure:
    """How many clients gained how much; "0" holds exactly the unchanged ones."""
    objects = plotly_objects()
    before = [100 * (r.personalized - r.initial) for r in results]
    after = [100 * (r.deployed - r.initial) for r in results]
    spread = max(before + after + [0]) - min(before + after + [0])
    width = next((w for w in _BIN_WIDTHS if spread <= w * _MOST_BINS), _BIN_WIDTHS[-1])
    bins = [_bin(gain, width) for gain in before + after]
    labels = {k: _bin_label(k, width) for k in range(min(bins), max(bins) + 1)}
    figure = objects.Figure()
    for name, gains, colour in (
        ("before the guard", before, BEFORE_GUARD),
        ("after the guard", after, AFTER_GUARD),
    ):
        counts = Counter(_bin(gain, width) for gain in gains)
        figure.add_bar(
            x=list(labels.values()),
            y=[counts[k] for k in labels],
            name=name,
            marker_color=colour,
            hovertemplate="%{x} points: %{y} clients<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="gain in points", type="category", tickangle=-45)
    figure.update_yaxes(title="clients", rangemode="tozero")
    return styled(figure, height=420)


def _bin(gain: float, width: float) -> int:
    """0 for no change, k for ((k-1) width, k width], and mirrored below zero."""
    steps = math.ceil(round(abs(gain) / width, 6))
    return steps if gain > 0 else -steps


def _bin_label(number: int, width: float) -> str:
    if number == 0:
        return "0"
    near, far = (abs(number) - 1) * width, abs(number) * width
    if number > 0:
        return f"{near:g} to {far:g}"
    return f"−{far:g} to " + (f"−{near:g}" if near else "0")


def gain_by_band(bands: Sequence[Band]) -> Figure:
    """Mean gain in points by how much data the device had."""
    objects = plotly_objects()
    figure = objects.Figure()
    for name, gains, colour in (
        ("before the guard", [b.personalized_gain for b in bands], BEFORE_GUARD),
        ("after the guard", [b.deployed_gain for b in bands], AFTER_GUARD),
    ):
        error = [100 * (g.high - g.value) if g.high is not None else 0 for g in gains]
        figure.add_bar(
            x=[f"{band_label(b)}<br>{b.clients} clients" for b in bands],
            y=[100 * g.value for g in gains],
            error_y={"type": "data", "array": error, "color": UNCHANGED},
            name=name,
            marker_color=colour,
            hovertemplate="%{y:+.1f} points<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="examples on the device", type="category")
    figure.update_yaxes(title="mean gain in points")
    return styled(figure, height=420)


def band_label(band: Band) -> str:
    """A band in words, such as "10 to 29" or "300 and more"."""
    if band.most is None:
        return f"{band.fewest} and more"
    return f"{band.fewest} to {band.most}"


def styled(figure: Figure, height: int) -> Figure:
    """Transparent, so that the page's light or dark ground shows; fonts are its own."""
    figure.update_layout(
        height=height,
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 64, "r": 16, "t": 48, "b": 72},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        hoverlabel={"align": "left"},
        bargap=0.25,
    )
    figure.update_xaxes(automargin=True, title_standoff=10)
    figure.update_yaxes(automargin=True, title_standoff=10)
    return figure
