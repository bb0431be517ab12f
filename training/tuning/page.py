"""One self-contained tuning.html: what was chosen, and what else there was."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedp.training.evaluation import page
from fedp.training.evaluation.figures import plot, plotly_objects
from fedp.training.evaluation.files import replace_text
from fedp.training.evaluation.intervals import share
from fedp.training.evaluation.wording import flat_facts
from fedp.training.tuning import figures
from fedp.training.tuning.choice import Row
from fedp.training.tuning.grid import GUARDED, Grid, adaptation_key
from fedp.training.tuning.table import HEADER, best_rows, cells

if TYPE_CHECKING:
    from fedp.training.tuning.run import Tuning

TITLE = "How devices should personalize"
_NUMBERS = range(1, len(HEADER))
_MOST_ROWS = 60


def write_page(
    path: pathlib.Path, tuning: Tuning, grid: Grid, facts: Mapping[str, Any]
) -> None:
    """Writes the page; nothing in it is fetched from anywhere.

    Args:
        path: the HTML file; replaced only by a complete one.
        tuning: what was found.
        grid: what was tried.
        facts: how it was measured, name to value.

    Raises:
        MissingDependencyError: plotly is not installed.
        FedpError: the file cannot be written; an older one is left as it was.
    """
    plotly_objects()
    from plotly.offline import get_plotlyjs

    body = [
        _opening(tuning, len(grid)),
        _headline(tuning),
        _remarks(tuning),
        _frontier(tuning),
        _curves(tuning),
        _guard(tuning),
        _best(tuning),
        _all(tuning),
        page.section(
            "How it was measured",
            "On validation clients alone: nobody the model was trained on, nobody that "
            "an evaluation reports on. All policies met the same clients, so the "
            "chosen one's numbers flatter it a little: `fedp evaluate` on the test "
            "clients tells what to expect.",
            page.table("Configuration", ("what", "value"), flat_facts(facts)),
        ),
    ]
    replace_text(path, page.document(TITLE, get_plotlyjs(), body))


def _opening(tuning: Tuning, policies: int) -> str:
    row = tuning.choice.row
    policy = row.policy
    text = (
        f"Of {policies} policies, tried on {row.clients} validation clients with the "
        f"exported file, this one deploys the best accuracy with at most "
        f"{tuning.max_hurt:.0%} of the clients hurt"
        if tuning.choice.met
        else f"None of {policies} policies, tried on {row.clients} validation clients "
        f"with the exported file, hurts as few as {tuning.max_hurt:.0%} of them; this "
        "one hurts fewest"
    )
    text += (
        f": {_part(policy.trainable)} trains for {policy.epochs} local "
        f"{'epoch' if policy.epochs == 1 else 'epochs'} at learning rate "
        f"{policy.learning_rate:g}; the guard {policy.guard!r} wants at least "
        f"{policy.min_hold_out} examples to judge by, a gain of "
        f"{100 * policy.margin:g} points and of {policy.caution:g} standard errors of "
        "the log loss."
    )
    return f"<header><h1>{TITLE}</h1><p>{html.escape(text)}</p></header>"


def _part(trainable: str) -> str:
    words = {"all": "all of the model", "head": "the last layer"}
    return words.get(trainable, f"“{trainable}”")


def _headline(tuning: Tuning) -> str:
    row = tuning.choice.row
    hurt = share(row.hurt_after, row.clients)
    cards = [
        page.card("Initial", f"{row.initial:.1%}", "mean accuracy over clients"),
        page.card(
            "Personalized, no guard",
            f"{row.personalized:.1%}",
            f"{_points(row.personalized - row.initial)} points; {row.hurt_before} hurt",
            "before",
        ),
        page.card(
            "Deployed, after the guard",
            f"{row.deployed:.1%}",
            f"{_points(row.gain)} points; {row.kept} of {row.clients} kept",
            "after",
        ),
        page.card(
            "Clients hurt after the guard",
            f"{row.hurt_after} of {row.clients}",
            f"95 % interval {hurt.low:.0%} to {hurt.high:.0%}; limit "
            f"{tuning.max_hurt:.0%}",
            "hurt",
        ),
    ]
    return '<div class="cards">' + "".join(cards) + "</div>"


def _remarks(tuning: Tuning) -> str:
    if not tuning.choice.remarks:
        return ""
    items = "".join(
        f"<li>{html.escape(r[0].upper() + r[1:])}.</li>" for r in tuning.choice.remarks
    )
    return page.section("To know", "Of this choice.", f"<ul>{items}</ul>")


def _frontier(tuning: Tuning) -> str:
    return page.section(
        "Accuracy against harm",
        "A dot is a policy. To the left of the dotted line are those within the limit; "
        "the grey one is the initial model's accuracy.",
        plot(
            figures.frontier(tuning.rows, tuning.choice.row, tuning.max_hurt),
            "frontier",
        ),
    )


def _curves(tuning: Tuning) -> str:
    rows = _same(tuning.rows, tuning.choice.row, GUARDED)
    initial = tuning.choice.row.initial
    seen = [a for r in rows for a in (r.deployed, r.personalized, initial)]
    room = 0.06 * (max(seen) - min(seen)) + 1e-3
    # An adaptation that diverged would squeeze all others into a line.
    low = max(min(seen), min(r.deployed for r in rows) - 0.05) - room
    most = 1.05 * max(max(r.hurt_before / r.clients for r in rows), tuning.max_hurt)
    plots = []
    for number, part in enumerate(tuning.sizes):
        group = [r for r in rows if r.policy.trainable == part]
        plots += [
            page.figure(
                plot(
                    figures.deployed_by_epochs(group, initial, (low, max(seen) + room)),
                    f"deployed-{number}",
                ),
                f"{part}: {tuning.sizes[part]:,} numbers train",
                "Mean accuracy: solid after the guard, dotted without one, dashed the "
                "initial model.",
            ),
            page.figure(
                plot(
                    figures.hurt_by_epochs(group, tuning.max_hurt, max(most, 0.02)),
                    f"hurt-{number}",
                ),
                f"{part}: clients hurt",
                "Solid after the guard, dotted without one; the red line is the limit.",
            ),
        ]
    return page.section(
        "By part that trains, learning rate and epochs",
        "With the chosen settings of the guard. The darker, the higher the rate.",
        f'<div class="pair">{"".join(plots)}</div>',
    )


def _guard(tuning: Tuning) -> str:
    chosen = tuning.choice.row
    rows = [
        row
        for row in tuning.rows
        if adaptation_key(row.policy) == adaptation_key(chosen.policy)
        and row.policy.epochs == chosen.policy.epochs
    ]
    if len(rows) < 2:
        return ""
    return page.section(
        "The guard's settings",
        "On the chosen adaptation: what each setting keeps of the gain, and how many "
        "clients it lets be hurt.",
        plot(figures.guard_trade(rows, tuning.max_hurt), "guard"),
    )


def _best(tuning: Tuning) -> str:
    table = best_rows(tuning.rows, tuning.choice, tuning.max_hurt, tuning.sizes)
    tables = [
        page.table(
            "The best policy of each part and rate; gains in points, an arrow leads "
            "over the guard",
            (*HEADER, ""),
            table,
            numbers=_NUMBERS,
        )
    ]
    if tuning.untuned:
        tables.append(
            page.table(
                "Without tuning: the training's own settings, on the same clients",
                HEADER,
                [cells(tuning.untuned)],
                numbers=_NUMBERS,
            )
        )
    return page.section("The table", "All of it is in tuning.csv.", *tables)


def _all(tuning: Tuning) -> str:
    order = sorted(tuning.rows, key=lambda r: (-r.deployed, r.hurt_after))[:_MOST_ROWS]
    return page.details(
        f"The {len(order)} most accurate policies, whatever the limit",
        page.table(
            "Most accurate policies", HEADER, map(cells, order), numbers=_NUMBERS
        ),
    )


def _same(rows: Sequence[Row], like: Row, names: Sequence[str]) -> list[Row]:
    wanted = [getattr(like.policy, name) for name in names]
    return [r for r in rows if [getattr(r.policy, name) for name in names] == wanted]


def _points(gain: float) -> str:
    return f"{100 * gain + 0.0:+.1f}".replace("-", "−")
