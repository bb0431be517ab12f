"""The report's numbers about all clients together, each with its 95 % interval."""

from __future__ import annotations

from fedp.training.evaluation import page
from fedp.training.evaluation.summary import Summary
from fedp.training.evaluation.wording import (
    gain_interval,
    interval,
    percent,
    points,
    share_cells,
    share_interval,
)


def cards(summary: Summary) -> str:
    """The four numbers that matter."""
    kept = f"{summary.kept.count} of {summary.clients} personal models kept"
    found = [
        page.card(
            "Initial",
            percent(summary.initial.value),
            f"95 % interval {interval(summary.initial)}",
        ),
        page.card(
            "Personalized, no guard",
            percent(summary.personalized.value),
            f"{points(summary.personalized_gain.value)} points; "
            f"95 % interval {gain_interval(summary.personalized_gain)}",
            "before",
        ),
        page.card(
            "Deployed, after the guard",
            percent(summary.deployed.value),
            f"{points(summary.deployed_gain.value)} points; "
            f"95 % interval {gain_interval(summary.deployed_gain)}",
            "after",
        ),
        page.card(
            "Clients hurt: before → after the guard",
            f"{summary.hurt_before_guard.count} → {summary.hurt_after_guard.count}",
            f"{percent(summary.hurt_before_guard.share)} "
            f"({share_interval(summary.hurt_before_guard)}) → "
            f"{percent(summary.hurt_after_guard.share)} "
            f"({share_interval(summary.hurt_after_guard)}); {kept}",
            "hurt",
        ),
    ]
    return '<div class="cards">' + "".join(found) + "</div>"


def numbers(summary: Summary) -> str:
    """All means and shares, with their intervals."""
    means = page.table(
        "Accuracy, mean over clients",
        ("model", "accuracy", "95 % interval", "gain in points", "95 % interval"),
        [
            (
                "initial",
                percent(summary.initial.value),
                interval(summary.initial),
                "",
                "",
            ),
            (
                "personalized",
                percent(summary.personalized.value),
                interval(summary.personalized),
                points(summary.personalized_gain.value),
                gain_interval(summary.personalized_gain),
            ),
            (
                "deployed",
                percent(summary.deployed.value),
                interval(summary.deployed),
                points(summary.deployed_gain.value),
                gain_interval(summary.deployed_gain),
            ),
        ],
        numbers=range(1, 5),
    )
    shares = page.table(
        "Clients",
        ("what holds", "clients", "share", "95 % interval (Wilson)"),
        [
            ("hurt before the guard", *share_cells(summary.hurt_before_guard)),
            ("hurt after the guard", *share_cells(summary.hurt_after_guard)),
            (
                "hurt by more than a point before the guard",
                *share_cells(summary.hurt_a_point_before_guard),
            ),
            (
                "hurt by more than a point after the guard",
                *share_cells(summary.hurt_a_point_after_guard),
            ),
            ("personalized model kept", *share_cells(summary.kept)),
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
