"""Figures 1 to 4 in colours that colour-blind people can tell apart (Okabe and Ito)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from outcomes import Outcomes

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
_COLOURS = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9")
_LINES = ("-", "--", ":", "-.")
_MARKERS = "os^Dv"


def figure1(outcomes: Outcomes) -> Figure:
    """Convergence: validation accuracy against rounds, few and many local epochs."""
    figure, axes = _figure(1, "validation accuracy", "rounds")
    main = outcomes.main
    cells = dict.fromkeys((main.few_epochs, main.base))
    for cell, colour in zip(cells, _COLOURS, strict=False):
        runs = [
            outcomes.validations(cell, r) for r in range(outcomes.cells[cell].replicas)
        ]
        runs = [run for run in runs if run]
        shared = min((len(run) for run in runs), default=0)
        for which, line in (("personalized", "-"), ("initial", "--")):
            values = [[getattr(v, which) for v in run[:shared]] for run in runs]
            x = [v.round for v in runs[0][:shared]] if runs else []
            label = f"{outcomes.cells[cell].label}, {which}"
            _band(axes[0], x, values, label, colour, line)
    _finish(figure, axes, f"Convergence on {outcomes.settings.name}")
    return figure


def figure2(outcomes: Outcomes) -> Figure:
    """Personalized accuracy against local epochs, by how a client adapts."""
    settings, main = outcomes.settings, outcomes.main
    figure, axes = _figure(2, "test accuracy", "local epochs")
    panels = (
        (axes[0], main.federated, settings.figure2_federated, "federated"),
        (axes[1], main.centralized, settings.figure2_centralized, "centralized"),
    )
    for ax, cells, adapters, title in panels:
        ax.set_title(title)
        for cell, colour in zip(cells, _COLOURS, strict=False):
            for adapter, line in zip(adapters, _LINES, strict=False):
                found = outcomes.curves(cell, adapter, epochs=settings.curve_epochs)
                values = [curve.mean(axis=0) for curve in found.values()]
                label = (
                    f"{outcomes.cells[cell].label}: {settings.adapter(adapter).label}"
                )
                x = range(settings.curve_epochs + 1)
                _band(ax, x, values, label, colour, line, marker=True)
    low = min(ax.get_ylim()[0] for ax in axes)
    high = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(max(low, 0.0), high)
    _finish(figure, axes, f"Personalization on {settings.name}", below=True)
    return figure


def figure3(outcomes: Outcomes) -> Figure:
    """Initial against personalized accuracy: a dot a replica."""
    figure, axes = _figure(1, "personalized accuracy", "initial accuracy")
    for cell, colour, marker in zip(
        outcomes.main.federated, _COLOURS, _MARKERS, strict=False
    ):
        initial, personalized = outcomes.initial(cell), outcomes.personalized(cell)
        axes[0].scatter(
            list(initial.values()),
            list(personalized.values()),
            color=colour,
            marker=marker,
            s=60,
            label=outcomes.cells[cell].label,
        )
    _finish(figure, axes, f"Replicas on {outcomes.settings.name}, a dot each")
    return figure


def figure4(outcomes: Outcomes) -> Figure:
    """A dot a test client, of the first replica."""
    main = outcomes.main
    figure, axes = _figure(2, "personalized accuracy", "initial accuracy")
    for ax, cell in zip(axes, (main.base, main.reptile_many), strict=True):
        found = outcomes.curves(cell)
        ax.set_title(f"{outcomes.cells[cell].label}", fontsize=10)
        ax.axline((0, 0), slope=1, color=GREY, linestyle=":", linewidth=1)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
        if found:
            first = found[min(found)]
            hurt = first[:, -1] < first[:, 0]
            for chosen, colour, marker, what in (
                (~hurt, BLUE, "o", "better or equal"),
                (hurt, RED, "D", "below the diagonal"),
            ):
                label = f"{what}: {chosen.sum()} of {len(hurt)} ({chosen.mean():.0%})"
                x, y = first[chosen, 0], first[chosen, -1]
                ax.scatter(x, y, color=colour, marker=marker, alpha=0.6, label=label)
            shares = [float((c[:, -1] < c[:, 0]).mean()) for c in found.values()]
            ax.set_xlabel(
                "initial accuracy\nbelow the diagonal in each replica: "
                + ", ".join(f"{share:.0%}" for share in shares)
            )
    title = f"Test clients of {outcomes.settings.name}, first replica"
    _finish(figure, axes, title)
    return figure


def _figure(panels: int, y: str, x: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(6.4 * panels, 5.2), layout="constrained")
    axes = [figure.add_subplot(1, panels, n + 1) for n in range(panels)]
    for ax in axes:
        ax.set(xlabel=x, ylabel=y)
        ax.grid(alpha=0.3)
    return figure, axes


def _band(
    ax: Axes,
    x: Sequence[int],
    values: Sequence[Sequence[float]],
    label: str,
    colour: str,
    line: str,
    marker: bool = False,
) -> None:
    """The mean over replicas, and one standard deviation to either side."""
    if not values or not len(values[0]):
        return
    mean, n = np.mean(values, axis=0), len(values)
    shape = "o" if marker else None
    ax.plot(x, mean, line, color=colour, marker=shape, markersize=3.5, label=label)
    if n > 1:
        std = np.std(values, axis=0, ddof=1)
        ax.fill_between(
            x, mean - std, mean + std, color=colour, alpha=0.13, linewidth=0
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _finish(
    figure: Figure, axes: Sequence[Axes], title: str, below: bool = False
) -> None:
    figure.suptitle(title)
    for ax in axes:
        if not ax.get_legend_handles_labels()[1]:
            ax.text(0.5, 0.5, "not computed yet", transform=ax.transAxes, ha="center")
        elif below:
            ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        else:
            ax.legend(fontsize=9)
