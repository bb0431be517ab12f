"""One self-contained report.html: what personalization did to the clients, and why."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

from fedp.training.evaluation import (
    client_section,
    figures,
    gain_section,
    guard_section,
    headline_section,
    page,
)
from fedp.training.evaluation.files import replace_text
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.summary import Summary
from fedp.training.evaluation.tally import Tally
from fedp.training.evaluation.wording import counted, flat_facts, points
from fedp.training.evaluation.worst import Mistake, worst_of

TITLE = "What personalization does to each client"


def write_report(
    path: pathlib.Path,
    summary: Summary,
    results: Sequence[ClientResult],
    facts: Mapping[str, object],
    seen: int | None = 0,
    mistakes: Mapping[str, Sequence[Mistake]] | None = None,
) -> None:
    """Writes the report; nothing in it is fetched from anywhere.

    Args:
        path: the HTML file; replaced only by a complete one.
        summary: of these results.
        results: at least one client; read one at a time.
        facts: how it was measured, name to value; nested mappings are flattened.
        seen: how many of these clients the initial model was trained on; None where
            nobody knows.
        mistakes: of the worst clients, by name.

    Raises:
        MissingDependencyError: plotly is not installed.
        FedpError: the file cannot be written; an older one is left as it was.
    """
    figures.plotly_objects()
    from plotly.offline import get_plotlyjs

    clients = Tally(results).columns
    body = [
        _opening(summary, seen),
        headline_section.cards(summary),
        client_section.dots(results),
        gain_section.spread(summary, clients),
        gain_section.groups(summary),
        guard_section.guard(summary, clients),
        guard_section.calibration(summary),
        client_section.worst(results, worst_of(clients), mistakes or {}),
        headline_section.numbers(summary),
        _how_measured(facts),
        client_section.everybody(results, clients),
    ]
    replace_text(path, page.document(TITLE, get_plotlyjs(), body))


def _opening(summary: Summary, seen: int | None) -> str:
    gain, hurt = summary.personalized_gain.value, summary.hurt_before_guard
    direction = "raises" if gain >= 0 else "lowers"
    text = (
        f"Adapting to {counted(summary.clients, 'client')} one by one {direction} "
        f"accuracy by {abs(100 * gain):.1f} points on average and makes {hurt.count} "
        f"of them worse. With the guard in charge the gain is "
        f"{points(summary.deployed_gain.value)} points and "
        f"{counted(summary.hurt_after_guard.count, 'client')} "
        f"{'is' if summary.hurt_after_guard.count == 1 else 'are'} worse off than with "
        "the initial model. Accuracies are means over clients, "
        f"{_measured_on(seen, summary.clients)}"
    )
    return page.header(TITLE, text)


def _measured_on(seen: int | None, clients: int) -> str:
    if seen is None:
        return (
            "each on the half of its examples that adapting leaves out. Whether the "
            f"initial model was trained on any of these {counted(clients, 'client')} "
            "is unknown: what new clients can expect they may not tell."
        )
    if not seen:
        return "each on examples its device never saw."
    return (
        "each on the half of its examples that adapting leaves out. The initial model "
        f"was trained on {seen} of these {counted(clients, 'client')}: compare them "
        "with unseen ones, as Table 2 of Jiang et al. 2019 does; what new clients can "
        "expect they do not tell."
    )


def _how_measured(facts: Mapping[str, object]) -> str:
    plain = {n: value for n, value in facts.items() if not isinstance(value, Mapping)}
    nested = {n: value for n, value in facts.items() if isinstance(value, Mapping)}
    header = ("what", "value")
    parts = [page.table("Configuration", header, flat_facts(plain))]
    if nested:
        table = page.table("What the artifact says", header, flat_facts(nested))
        parts.append(page.folded("Policy, client split, provenance, parity", table))
    return page.section(
        "How it was measured",
        "The run's configuration and where the artifact comes from.",
        *parts,
    )
