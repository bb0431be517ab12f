"""One self-contained report.html: what personalization did to the clients, and why."""

from __future__ import annotations

import pathlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fedp.training.evaluation import figures, page
from fedp.training.evaluation.files import replace_text
from fedp.training.evaluation.intervals import Mean, Share
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.summary import Band, Summary

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TITLE = "What personalization does to each client"
_WORST = 10
_CLIENT_HEADER = (
    "client",
    "device / test",
    "initial",
    "personalized",
    "deployed",
    "gain",
    "guard",
    "reason",
)
_NUMBER = re.compile(r"\d+(\.\d+)?")


def write_report(
    path: pathlib.Path,
    summary: Summary,
    results: Sequence[ClientResult],
    facts: Mapping[str, object],
    seen: int | None = 0,
) -> None:
    """Writes the report; nothing in it is fetched from anywhere.

    Args:
        path: the HTML file; replaced only by a complete one.
        summary: of these results.
        results: at least one client.
        facts: how it was measured, name to value; nested mappings are flattened.
        seen: how many of these clients the initial model was trained on; None where
            nobody knows.

    Raises:
        MissingDependencyError: plotly is not installed.
        FedpError: the file cannot be written; an older one is left as it was.
    """
    figures.plotly_objects()
    from plotly.offline import get_plotlyjs

    body = [
        _opening(summary, seen),
        _headline(summary),
        _scatter(results),
        _spread(summary, results),
        _numbers(summary),
        _worst(results),
        _guard(results),
        page.details(f"All {len(results)} clients", _clients("All clients", results)),
        _how_measured(facts),
    ]
    replace_text(path, page.document(TITLE, get_plotlyjs(), body))


def _opening(summary: Summary, seen: int | None) -> str:
    gain, hurt = summary.personalized_gain.value, summary.hurt_before_guard
    direction = "raises" if gain >= 0 else "lowers"
    text = (
        f"Adapting to {_count(summary.clients, 'client')} one by one {direction} "
        f"accuracy by {abs(100 * gain):.1f} points on average and makes {hurt.count} "
        f"of them worse. With the guard in charge the gain is "
        f"{_points(summary.deployed_gain.value)} points and "
        f"{_count(summary.hurt_after_guard.count, 'client')} "
        f"{'is' if summary.hurt_after_guard.count == 1 else 'are'} worse off than with "
        "the initial model. Accuracies are means over clients, "
        f"{_measured_on(seen, summary.clients)}"
    )
    return f"<header><h1>{TITLE}</h1><p>{text}</p></header>"


def _measured_on(seen: int | None, clients: int) -> str:
    if seen is None:
        return (
            "each on the half of its examples that adapting leaves out. Whether the "
            f"initial model was trained on any of these {_count(clients, 'client')} is "
            "unknown: what new clients can expect they may not tell."
        )
    if not seen:
        return "each on examples its device never saw."
    return (
        "each on the half of its examples that adapting leaves out. The initial model "
        f"was trained on {seen} of these {_count(clients, 'client')}: compare them "
        "with unseen ones, as Table 2 of Jiang et al. 2019 does; what new clients can "
        "expect they do not tell."
    )


def _headline(summary: Summary) -> str:
    kept = f"{summary.kept.count} of {summary.clients} personal models kept"
    cards = [
        page.card("Initial", _percent(summary.initial.value), _within(summary.initial)),
        page.card(
            "Personalized, no guard",
            _percent(summary.personalized.value),
            f"{_points(summary.personalized_gain.value)} points; "
            f"{_within(summary.personalized)}",
            "before",
        ),
        page.card(
            "Deployed, after the guard",
            _percent(summary.deployed.value),
            f"{_points(summary.deployed_gain.value)} points; "
            f"{_within(summary.deployed)}",
            "after",
        ),
        page.card(
            "Clients hurt: before → after the guard",
            f"{summary.hurt_before_guard.count} → {summary.hurt_after_guard.count}",
            f"{_percent(summary.hurt_before_guard.share)} → "
            f"{_percent(summary.hurt_after_guard.share)}; {kept}",
            "hurt",
        ),
    ]
    return '<div class="cards">' + "".join(cards) + "</div>"


def _scatter(results: Sequence[ClientResult]) -> str:
    before = page.figure(
        plot(figures.scatter_before_guard(results), "before-guard"),
        "Before the guard",
        "Every client runs its personalized model.",
    )
    after = page.figure(
        plot(figures.scatter_after_guard(results), "after-guard"),
        "After the guard",
        "Every client runs what the guard decided on the device.",
    )
    return page.section(
        "Initial and personalized accuracy",
        "A dot is a client; a larger dot has more data. Clients under the dotted "
        "diagonal are worse off than with the initial model.",
        f'<div class="pair">{before}{after}</div>',
    )


def _spread(summary: Summary, results: Sequence[ClientResult]) -> str:
    cells = [
        page.figure(
            plot(figures.accuracy_by_epoch(summary), "epochs"),
            "Accuracy against local epochs",
            "Mean over clients. Epoch 0 is the initial model.",
        ),
        page.figure(
            plot(figures.gain_distribution(results), "gains"),
            "Distribution of gains",
            "Accuracy minus the initial accuracy, in points. “0” counts exactly the "
            "unchanged clients.",
        ),
        page.figure(
            plot(figures.gain_by_band(summary.bands), "bands"),
            "Gain by data size",
            "Mean over the clients of a band, with its 95 % interval.",
        ),
        _bands(summary.bands),
    ]
    return page.section(
        "Where the gain comes from",
        "By local epoch, by client, and by how much data the device had.",
        f'<div class="pair">{"".join(cells)}</div>',
    )


def _bands(bands: Sequence[Band]) -> str:
    rows = [
        (
            figures.band_label(band),
            str(band.clients),
            _percent(band.initial.value),
            _change(band.personalized_gain.value, band.deployed_gain.value),
            f"{band.hurt_before_guard.count} → {band.hurt_after_guard.count}",
        )
        for band in bands
    ]
    return page.table(
        "By data size; an arrow leads from before to after the guard",
        ("examples on the device", "clients", "initial", "gain in points", "hurt"),
        rows,
        numbers=range(1, 5),
    )


def _numbers(summary: Summary) -> str:
    means = page.table(
        "Accuracy, mean over clients",
        ("model", "accuracy", "95 % interval", "gain in points", "95 % interval"),
        [
            ("initial", *_mean_cells(summary.initial), "", ""),
            (
                "personalized",
                *_mean_cells(summary.personalized),
                *_gain_cells(summary.personalized_gain),
            ),
            (
                "deployed",
                *_mean_cells(summary.deployed),
                *_gain_cells(summary.deployed_gain),
            ),
        ],
        numbers=range(1, 5),
    )
    shares = page.table(
        "Clients",
        ("", "clients", "share", "95 % interval (Wilson)"),
        [
            ("hurt before the guard", *_share_cells(summary.hurt_before_guard)),
            ("hurt after the guard", *_share_cells(summary.hurt_after_guard)),
            (
                "hurt by more than a point before the guard",
                *_share_cells(summary.hurt_a_point_before_guard),
            ),
            (
                "hurt by more than a point after the guard",
                *_share_cells(summary.hurt_a_point_after_guard),
            ),
            ("personalized model kept", *_share_cells(summary.kept)),
        ],
        numbers=range(1, 4),
    )
    share = summary.gain_kept
    lead = (
        "Without the guard there is no gain on average."
        if share is None
        else f"The guard keeps {share:.0%} of the mean gain."
    )
    return page.section("Summary", lead, means, shares)


def _worst(results: Sequence[ClientResult]) -> str:
    order = sorted(
        results, key=lambda r: (r.deployed - r.initial, r.personalized - r.initial)
    )
    return page.section(
        "Worst clients",
        "Those that lost most, first by the deployed and then by the personalized "
        "model.",
        _clients(f"The {min(_WORST, len(order))} worst clients", order[:_WORST]),
    )


def _guard(results: Sequence[ClientResult]) -> str:
    counts = Counter((r.kept, _NUMBER.sub("…", r.reason)) for r in results)
    hurt = Counter(
        (r.kept, _NUMBER.sub("…", r.reason))
        for r in results
        if r.personalized < r.initial
    )
    return page.section(
        "What the guard decided",
        "Its reasons, with the numbers taken out, and how many of these clients the "
        "personalized model would have hurt.",
        page.table(
            "The guard's decisions",
            ("reason", "decision", "clients", "would be hurt"),
            [
                (
                    reason,
                    "kept" if kept else "reverted",
                    str(n),
                    str(hurt[kept, reason]),
                )
                for (kept, reason), n in counts.most_common()
            ],
            numbers=(2, 3),
        ),
    )


def _how_measured(facts: Mapping[str, object]) -> str:
    return page.section(
        "How it was measured",
        "The run's configuration and where the artifact comes from.",
        page.table("Configuration", ("what", "value"), flat_facts(facts)),
    )


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


def _clients(caption: str, results: Sequence[ClientResult]) -> str:
    rows = [
        (
            r.client,
            f"{r.adapt_examples} / {r.test_examples}",
            _percent(r.initial),
            _percent(r.personalized),
            _percent(r.deployed),
            _points(r.deployed - r.initial),
            "kept" if r.kept else "reverted",
            r.reason,
        )
        for r in results
    ]
    return page.table(caption, _CLIENT_HEADER, rows, numbers=range(1, 6))


def plot(figure: Figure, name: str) -> str:
    """A figure as HTML that the page's own script draws."""
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=name,
            config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        )
    )


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _points(gain: float) -> str:
    return f"{round(100 * gain, 1) + 0.0:+.1f}".replace("-", "−")


def _change(before: float, after: float) -> str:
    return f"{_points(before)} → {_points(after)}"


def _within(value: Mean) -> str:
    if value.standard_error is None:
        return "a single client"
    return f"standard error {100 * value.standard_error:.1f}"


def _mean_cells(value: Mean) -> tuple[str, str]:
    if value.low is None or value.high is None:
        return _percent(value.value), "a single client"
    return _percent(value.value), f"{_percent(value.low)} to {_percent(value.high)}"


def _gain_cells(value: Mean) -> tuple[str, str]:
    if value.low is None or value.high is None:
        return _points(value.value), "a single client"
    return _points(value.value), f"{_points(value.low)} to {_points(value.high)}"


def _share_cells(value: Share) -> tuple[str, str, str]:
    interval = f"{_percent(value.low)} to {_percent(value.high)}"
    return f"{value.count} of {value.of}", _percent(value.share), interval


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
