"""The report's parts about trust: the guard's decisions, and calibration."""

from __future__ import annotations

from fedp.training.evaluation import curves, page
from fedp.training.evaluation.calibration import BINS, Calibration
from fedp.training.evaluation.columns import Columns, lost
from fedp.training.evaluation.figures import plot
from fedp.training.evaluation.summary import Summary
from fedp.training.evaluation.wording import percent, points


def guard(summary: Summary, clients: Columns) -> str:
    """What it decided, why, and whether the test part bears it out."""
    reasons = page.table(
        "The guard's reasons, with the numbers taken out",
        ("reason", "decision", "clients", "gain without guard", "hurt without", "hurt"),
        [
            (
                reason.reason,
                "kept" if reason.kept else "reverted",
                str(reason.clients),
                points(reason.personalized_gain.value),
                str(reason.hurt_before_guard.count),
                str(reason.hurt_after_guard.count),
            )
            for reason in summary.reasons
        ],
        numbers=range(2, 6),
    )
    return page.section(
        "What the guard decided",
        "It sees a client's own examples alone. How well it decided, the test part "
        "tells, which it never sees.",
        _decisions(clients),
        reasons,
    )


def _decisions(clients: Columns) -> str:
    """Decisions against what the test part says of the model they are about."""
    kept, reverted = clients.of(clients.kept), clients.of(~clients.kept)
    rows = []
    for name, gains in (
        ("kept: the deployed model is", kept.deployed_gain),
        ("reverted: the personalized one would be", reverted.personalized_gain),
    ):
        better, worse = lost(-gains), lost(gains)
        rows.append(
            (
                f"{name} …",
                str(len(gains)),
                str(better),
                str(len(gains) - better - worse),
                str(worse),
                points(float(gains.mean())) if len(gains) else "",
            )
        )
    return page.table(
        "Decisions, and what the test part says of them",
        ("decision", "clients", "better", "equal", "worse", "gain in points"),
        rows,
        numbers=range(1, 6),
    )


def calibration(summary: Summary) -> str:
    """Whether models are as often right as they are sure."""
    initial, deployed = summary.initial_calibration, summary.deployed_calibration
    if initial.error is None or deployed.error is None:
        return ""
    figure = page.figure(
        plot(curves.reliability(initial, deployed), "reliability"),
        "Reliability diagram",
        "Under the dotted diagonal a model is surer than it is right.",
    )
    return page.section(
        "Calibration",
        f"Expected calibration error: initial {percent(initial.error)}, deployed "
        f"{percent(deployed.error)}. The answers of all clients together, in ten bins "
        "of their confidence.",
        f'<div class="pair">{figure}{_bins_table(initial, deployed)}</div>',
    )


def _bins_table(initial: Calibration, deployed: Calibration) -> str:
    def cells(found: Calibration, b: int) -> tuple[str, str]:
        accuracy = found.accuracy[b]
        return str(found.counts[b]), "" if accuracy is None else percent(accuracy)

    return page.table(
        "Answers by confidence: how many, and the share of them that is right",
        ("confidence", "initial", "right", "deployed", "right"),
        [
            (
                f"{100 * b // BINS} to {100 * (b + 1) // BINS} %",
                *cells(initial, b),
                *cells(deployed, b),
            )
            for b in range(BINS)
        ],
        numbers=range(1, 5),
    )
