"""The report's parts about single clients: the scatter, the worst, the table of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fedp.training.evaluation import page, scatter
from fedp.training.evaluation.columns import Columns
from fedp.training.evaluation.figures import plot
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.wording import percent, points
from fedp.training.evaluation.worst import Mistake

# More dots than this make a page slow and a plot black.
MOST_DOTS = 2000
MOST_ROWS = 1000
_EXPLANATION = (
    "<p>Some of their test examples that go wrong: the label, then the answers of the "
    "initial → the personalized → the deployed model.</p>"
)
_HEADER = (
    "client",
    "device / test",
    "initial",
    "personalized",
    "deployed",
    "gain",
    "guard",
    "reason",
)


def dots(results: Sequence[ClientResult]) -> str:
    """Figure 4, before and after the guard."""
    count, note = len(results), ""
    shown: Iterable[int] = range(count)
    if count > MOST_DOTS:
        shown = np.sort(np.random.default_rng(0).permutation(count)[:MOST_DOTS])
        note = f" Shown are {MOST_DOTS:,} of {count:,} clients, drawn at random."
    drawn = [results[int(number)] for number in shown]
    before = page.figure(
        plot(scatter.scatter_before_guard(drawn), "before-guard"),
        "Before the guard",
        "Every client runs its personalized model.",
    )
    after = page.figure(
        plot(scatter.scatter_after_guard(drawn), "after-guard"),
        "After the guard",
        "Every client runs what the guard decided on the device.",
    )
    return page.section(
        "Initial and personalized accuracy",
        "A dot is a client; a larger dot has more data. Clients under the dotted "
        "diagonal are worse off than with the initial model. The numbers are in the "
        f"table of clients at the end.{note}",
        f'<div class="pair">{before}{after}</div>',
    )


def worst(
    results: Sequence[ClientResult],
    numbers: Sequence[int],
    mistakes: Mapping[str, Sequence[Mistake]],
) -> str:
    """Clients that lost most, with images of what went wrong where there are any.

    Args:
        results: of all clients.
        numbers: of the worst ones, worst first.
        mistakes: of some of them, by name.
    """
    chosen = [results[number] for number in numbers]
    table = clients_table("Those that lost most", chosen)
    articles = [
        page.article(
            result.client,
            f"Initial {percent(result.initial)}, personalized "
            f"{percent(result.personalized)}, deployed {percent(result.deployed)}.",
            page.gallery(_pictures(mistakes[result.client])),
        )
        for result in chosen
        if mistakes.get(result.client)
    ]
    return page.section(
        "Worst clients",
        "First those that the deployed model hurts most, then those that the "
        "personalized model alone would hurt most.",
        table,
        _EXPLANATION if articles else "",
        *articles,
    )


def _pictures(mistakes: Sequence[Mistake]) -> Iterable[tuple[str, str, str]]:
    for one in mistakes:
        yield (
            one.image,
            f"A {one.label}, taken for {one.initial} by the initial model, "
            f"{one.personalized} by the personalized and {one.deployed} by the "
            "deployed one",
            f"{one.label}: {one.initial} → {one.personalized} → {one.deployed}",
        )


def everybody(results: Sequence[ClientResult], clients: Columns) -> str:
    """A table of all clients, or of the worst where there are very many."""
    count = len(results)
    if count <= MOST_ROWS:
        return page.details(
            f"All {count} clients", clients_table("All clients", results)
        )
    order = np.argsort(clients.deployed_gain, kind="stable")[:MOST_ROWS]
    name = f"The {MOST_ROWS:,} of {count:,} clients that gained least"
    rows = [results[int(number)] for number in order]
    return page.details(f"{name} (clients.csv has all)", clients_table(name, rows))


def clients_table(caption: str, results: Iterable[ClientResult]) -> str:
    """A row a client."""
    rows = [
        (
            r.client,
            f"{r.adapt_examples} / {r.test_examples}",
            percent(r.initial),
            percent(r.personalized),
            percent(r.deployed),
            points(r.deployed - r.initial),
            "kept" if r.kept else "reverted",
            r.reason,
        )
        for r in results
    ]
    return page.table(caption, _HEADER, rows, numbers=range(1, 6))
