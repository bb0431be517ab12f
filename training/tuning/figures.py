"""The tuning page's plots: what each setting costs and brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedp.training.evaluation.figures import (
    AFTER_GUARD,
    HURT,
    UNCHANGED,
    plotly_objects,
    styled,
)
from fedp.training.tuning.choice import Row
from fedp.training.tuning.grid import GUARDED, shown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# One hue from light to dark: learning rates are in order.
_RATES = ("#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b")
_PARTS = ("#2f7ed8", "#2b9348", "#8e5bd0", "#c77700", "#5c6670", "#0a9396")


def frontier(rows: Sequence[Row], chosen: Row, max_hurt: float) -> Figure:
    """Every policy: how many clients it hurts, and how accurate it deploys."""
    figure = plotly_objects().Figure()
    parts = list(dict.fromkeys(row.policy.trainable for row in rows))
    for number, part in enumerate(parts):
        group = [row for row in rows if row.policy.trainable == part]
        figure.add_scatter(
            x=[row.hurt_after / row.clients for row in group],
            y=[row.deployed for row in group],
            mode="markers",
            name=f"{part} trains",
            text=[hover(row) for row in group],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": _PARTS[number % len(_PARTS)],
                "size": 7,
                "opacity": 0.55,
            },
        )
    figure.add_scatter(
        x=[chosen.hurt_after / chosen.clients],
        y=[chosen.deployed],
        mode="markers",
        name="chosen",
        text=[hover(chosen)],
        hovertemplate="<b>chosen</b><br>%{text}<extra></extra>",
        marker={"color": HURT, "size": 15, "symbol": "star"},
    )
    figure.add_vline(x=max_hurt, line={"color": HURT, "dash": "dot", "width": 1.5})
    figure.add_hline(
        y=chosen.initial, line={"color": UNCHANGED, "dash": "dot", "width": 1.5}
    )
    figure.update_xaxes(
        title="clients hurt after the guard", tickformat=".0%", rangemode="tozero"
    )
    figure.update_yaxes(title="deployed accuracy", tickformat=".1%")
    return styled(figure, height=460)


def deployed_by_epochs(
    rows: Sequence[Row], initial: float, span: tuple[float, float]
) -> Figure:
    """Accuracy against local epochs, a colour a learning rate; dots have no guard.

    Args:
        rows: of one part that trains and one setting of the guard.
        initial: accuracy of the initial model.
        span: of the accuracy axis, the same on every such plot.
    """
    figure = _by_epochs(
        rows,
        {
            "deployed": ("solid", lambda row: row.deployed),
            "no guard": ("dot", lambda row: row.personalized),
        },
        "{:.2%}",
    )
    figure.add_hline(y=initial, line={"color": UNCHANGED, "dash": "dash", "width": 1.5})
    figure.update_yaxes(title="accuracy", tickformat=".1%", range=list(span))
    return styled(figure, height=400)


def hurt_by_epochs(rows: Sequence[Row], max_hurt: float, most: float) -> Figure:
    """Share of hurt clients against local epochs; see `deployed_by_epochs`."""
    figure = _by_epochs(
        rows,
        {
            "after the guard": ("solid", lambda row: row.hurt_after / row.clients),
            "no guard": ("dot", lambda row: row.hurt_before / row.clients),
        },
        "{:.0%}",
    )
    figure.add_hline(y=max_hurt, line={"color": HURT, "dash": "dot", "width": 1.5})
    figure.update_yaxes(title="clients hurt", tickformat=".0%", range=[0, most])
    return styled(figure, height=400)


def _by_epochs(rows: Sequence[Row], curves: dict, style: str) -> Figure:
    figure = plotly_objects().Figure()
    rates = sorted({row.policy.learning_rate for row in rows})
    for number, rate in enumerate(rates):
        group = sorted(
            (row for row in rows if row.policy.learning_rate == rate),
            key=lambda row: row.policy.epochs,
        )
        colour = _RATES[(number + 1) * len(_RATES) // (len(rates) + 1)]
        for name, (dash, value) in curves.items():
            values = [value(row) for row in group]
            figure.add_scatter(
                x=[row.policy.epochs for row in group],
                y=values,
                mode="lines+markers",
                name=f"rate {rate:g}",
                legendgroup=f"{rate:g}",
                showlegend=dash == "solid",
                line={"color": colour, "dash": dash, "width": 2},
                marker={"size": 6 if dash == "solid" else 4},
                text=[f"{name}: {style.format(v)}" for v in values],
                hovertemplate=f"rate {rate:g}, epoch %{{x}}<br>%{{text}}"
                "<extra></extra>",
            )
    epochs = sorted({row.policy.epochs for row in rows})
    figure.update_xaxes(title="local epochs", tickvals=epochs)
    return figure


def guard_trade(rows: Sequence[Row], max_hurt: float) -> Figure:
    """The guard's settings on the chosen adaptation: gain, and clients hurt."""
    figure = plotly_objects().Figure()
    names = [
        name for name in GUARDED if len({getattr(r.policy, name) for r in rows}) > 1
    ]
    labels = [
        "<br>".join(
            f"{_SHORT.get(n, n)} {shown(getattr(row.policy, n))}" for n in names
        )
        or "the only one"
        for row in rows
    ]
    figure.add_bar(
        x=labels,
        y=[row.gain for row in rows],
        name="gain in accuracy",
        marker_color=AFTER_GUARD,
        hovertemplate="%{y:+.2%}<extra></extra>",
    )
    figure.add_bar(
        x=labels,
        y=[row.hurt_after / row.clients for row in rows],
        name="clients hurt",
        marker_color=HURT,
        hovertemplate="%{y:.0%}<extra></extra>",
    )
    figure.add_hline(y=max_hurt, line={"color": HURT, "dash": "dot", "width": 1.5})
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="share", tickformat=".0%")
    return styled(figure, height=400)


_SHORT = {"min_hold_out": "fewest"}


def hover(row: Row) -> str:
    """A row in a few lines."""
    policy = row.policy
    guard = ", ".join(
        f"{n.replace('_', ' ')} {shown(getattr(policy, n))}" for n in GUARDED
    )
    return (
        f"{policy.trainable} trains, rate {policy.learning_rate:g}, "
        f"{policy.epochs} epochs<br>{guard}<br>"
        f"deployed {row.deployed:.2%} ({100 * row.gain:+.2f} points), "
        f"{row.hurt_after} of {row.clients} hurt, {row.kept} kept"
    )
