"""The report's parts about gains: by epoch, by client, by decile, by group."""

from __future__ import annotations

from collections.abc import Sequence

from fedp.training.evaluation import curves, gains, page
from fedp.training.evaluation.columns import Columns
from fedp.training.evaluation.figures import plot
from fedp.training.evaluation.groups import Group
from fedp.training.evaluation.intervals import Mean
from fedp.training.evaluation.summary import Summary
from fedp.training.evaluation.wording import (
    band_label,
    change,
    gain_interval,
    interval,
    percent,
    points,
    tenth_label,
)


def spread(summary: Summary, clients: Columns) -> str:
    """Where the gain comes from: local epochs, and clients."""
    bars = gains.histogram(clients)
    cells = [
        page.figure(
            plot(curves.accuracy_by_epoch(summary), "epochs"),
            "Accuracy against local epochs",
            "Mean over clients. Epoch 0 is the initial model.",
            curve_table(summary.curve),
        ),
        page.figure(
            plot(gains.gain_distribution(bars), "gains"),
            "Distribution of gains",
            "Accuracy minus the initial accuracy, in points. “0” counts exactly the "
            "unchanged clients.",
            page.table(
                "Clients by gain",
                ("gain in points", "before the guard", "after the guard"),
                [(bar.label, str(bar.before), str(bar.after)) for bar in bars],
                numbers=(1, 2),
            ),
        ),
        page.figure(
            plot(gains.gain_deciles(summary), "deciles"),
            "Deciles of the gain",
            "The gain that a share of the clients does not exceed: where a line is "
            "below zero, so many clients lose.",
        ),
        _decile_table(summary),
    ]
    return page.section(
        "Where the gain comes from",
        "By local epoch, and over clients.",
        f'<div class="pair">{"".join(cells)}</div>',
    )


def groups(summary: Summary) -> str:
    """Who gains: by data size, and by how good the initial model is."""
    sizes = [band_label(band) for band in summary.bands]
    starts = [tenth_label(tenth) for tenth in summary.tenths]
    cells = [
        page.figure(
            plot(
                gains.gain_by_group(summary.bands, sizes, "examples on the device"),
                "bands",
            ),
            "Gain by data size",
            "Mean over the clients of a band, with its 95 % interval.",
            _group_table(
                "By data size; an arrow leads from before to after the guard",
                "examples on the device",
                summary.bands,
                sizes,
            ),
        ),
        page.figure(
            # Tenths whose labels are the same must not become one bar.
            plot(
                gains.gain_by_group(
                    summary.tenths,
                    [f"{n}: {text}" for n, text in enumerate(starts, start=1)],
                    "tenth: initial accuracy",
                ),
                "tenths",
            ),
            "Gain by initial accuracy",
            "Tenths of the clients, worst initial model first. Some of the slope is "
            "chance: the accuracy that sorts them is the one they gain over.",
            _group_table(
                "By initial accuracy; an arrow leads from before to after the guard",
                "initial accuracy",
                summary.tenths,
                starts,
            ),
        ),
    ]
    return page.section(
        "Who gains",
        "By how much data the device had, and by how good the initial model was.",
        f'<div class="pair">{"".join(cells)}</div>',
    )


def curve_table(curve: Sequence[Mean]) -> str:
    """The mean curve."""
    return page.table(
        "Accuracy by local epoch, mean over clients",
        ("local epochs", "accuracy", "95 % interval"),
        [
            (str(epoch), percent(mean.value), interval(mean))
            for epoch, mean in enumerate(curve)
        ],
        numbers=(1, 2),
    )


def _decile_table(summary: Summary) -> str:
    both = zip(summary.personalized_deciles, summary.deployed_deciles, strict=True)
    return page.table(
        "Gain in points that a share of the clients does not exceed",
        ("share of clients", "before the guard", "after the guard"),
        [
            (f"{10 * n} %", points(before), points(after))
            for n, (before, after) in enumerate(both)
        ],
        numbers=(1, 2),
    )


def _group_table(
    caption: str, what: str, groups: Sequence[Group], labels: Sequence[str]
) -> str:
    rows = [
        (
            label,
            str(group.clients),
            percent(group.initial.value),
            change(group.personalized_gain.value, group.deployed_gain.value),
            gain_interval(group.deployed_gain),
            f"{group.hurt_before_guard.count} → {group.hurt_after_guard.count}",
        )
        for group, label in zip(groups, labels, strict=True)
    ]
    header = (
        what,
        "clients",
        "initial",
        "gain in points",
        "95 % interval, deployed",
        "hurt",
    )
    return page.table(caption, header, rows, numbers=range(1, 6))
