"""`fedp report A B C`: one self-contained page about several evaluations."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from fedp.training.evaluation import figures, page
from fedp.training.evaluation.comparison import (
    Evaluated,
    Pair,
    pairs_with_first,
    read_evaluations,
)
from fedp.training.evaluation.comparison_plots import plots
from fedp.training.evaluation.files import make_directory, replace_text
from fedp.training.evaluation.wording import (
    flat_facts,
    gain_interval,
    interval,
    percent,
    points,
    share_interval,
)

TITLE = "Evaluations side by side"


def report(
    folders: Sequence[pathlib.Path], out: pathlib.Path, seed: int = 0
) -> tuple[Pair, ...]:
    """Compares report directories of `fedp evaluate` and writes a page.

    Args:
        folders: two or more; the first is what the others are compared with.
        out: the HTML file; its directory is created if need be.
        seed: of the clients that the bootstrap draws.

    Returns:
        Each other run against the first one.

    Raises:
        DataError: what is given are no report directories.
        MissingDependencyError: plotly is not installed.
        FedpError: the file cannot be written; an older one is left as it was.
    """
    figures.plotly_objects()
    from plotly.offline import get_plotlyjs

    runs = read_evaluations(folders)
    pairs = pairs_with_first(runs, seed)
    make_directory(out.parent)
    body = [
        _opening(runs),
        _numbers(runs),
        _pairs(pairs),
        plots(runs),
        _configurations(runs),
    ]
    replace_text(out, page.document(TITLE, get_plotlyjs(), body))
    return pairs


def _opening(runs: Sequence[Evaluated]) -> str:
    best = max(runs, key=lambda run: run.summary.deployed.value)
    text = (
        f"{len(runs)} evaluations. The best mean accuracy after the guard is "
        f"{percent(best.summary.deployed.value)}, of {best.name}. The paired "
        "differences are over common clients alone: they tell runs apart that the "
        "means over each run's own clients cannot."
    )
    return page.header(TITLE, text)


def _numbers(runs: Sequence[Evaluated]) -> str:
    rows = []
    for run in runs:
        s = run.summary
        errors = s.initial_calibration.error, s.deployed_calibration.error
        rows.append(
            (
                run.name,
                str(s.clients),
                *(
                    f"{percent(mean.value)} ({interval(mean)})"
                    for mean in (s.initial, s.personalized, s.deployed)
                ),
                *(
                    f"{each.count}, {percent(each.share)} ({share_interval(each)})"
                    for each in (s.hurt_before_guard, s.hurt_after_guard)
                ),
                " → ".join("?" if e is None else percent(e) for e in errors),
            )
        )
    header = (
        *("run", "clients", "initial", "personalized", "deployed"),
        *("hurt before the guard", "hurt after", "calibration error"),
    )
    table = page.table(
        "Each run on its own clients, with 95 % intervals", header, rows, numbers=(1,)
    )
    return page.section(
        "All runs",
        "Accuracies are means over clients, whatever their data size.",
        table,
    )


def _pairs(pairs: Sequence[Pair]) -> str:
    rows = []
    remarks = []
    for pair in pairs:
        if not pair.clients:
            remarks.append(f"{pair.other} and {pair.first} have no client in common.")
        elif not pair.same_parts:
            remarks.append(
                f"The clients that {pair.other} and {pair.first} have in common were "
                "split or capped differently: some of the difference is that."
            )
        for gap in pair.differences:
            rows.append(
                (
                    f"{pair.other} − {pair.first}",
                    gap.model,
                    str(pair.clients),
                    points(gap.accuracy.value),
                    gain_interval(gap.accuracy),
                    str(gap.better),
                    str(gap.worse),
                )
            )
    header = (
        *("runs", "model", "common clients", "difference in points"),
        *("95 % interval (paired bootstrap)", "better", "worse"),
    )
    parts = [page.paragraph(remark) for remark in remarks]
    if rows:
        caption = "Accuracy on the same clients"
        parts.append(page.table(caption, header, rows, numbers=range(2, 7)))
        parts.append(_hurt_table(pairs))
    return page.section(
        "Paired differences",
        "Against the first run. An interval that holds 0 tells no difference.",
        *parts,
    )


def _hurt_table(pairs: Sequence[Pair]) -> str:
    rows = [
        (
            f"{pair.other} against {pair.first}",
            str(pair.clients),
            f"{percent(pair.first_hurt.share)} ({share_interval(pair.first_hurt)})",
            f"{percent(pair.other_hurt.share)} ({share_interval(pair.other_hurt)})",
            f"{points(pair.hurt.value)} ({gain_interval(pair.hurt)})",
        )
        for pair in pairs
        if pair.first_hurt and pair.other_hurt and pair.hurt
    ]
    return page.table(
        "Clients that the deployed model hurts, of the common ones",
        ("runs", "common clients", "the first", "the other", "difference in points"),
        rows,
        numbers=range(1, 5),
    )


def _configurations(runs: Sequence[Evaluated]) -> str:
    # How exactly a file computes would fill pages and is in each run's own report.
    facts = [
        dict(flat_facts({n: v for n, v in run.facts.items() if n != "parity"}))
        for run in runs
    ]
    names = list(dict.fromkeys(name for each in facts for name in each))
    rows = [(name, *(each.get(name, "") for each in facts)) for name in names]
    header = ("what", *(run.name for run in runs))
    differing = [row for row in rows if len(set(row[1:])) > 1]
    same = [row for row in rows if len(set(row[1:])) == 1]
    return page.section(
        "How they were measured",
        "What differs, and what does not.",
        page.table("Settings that differ", header, differing),
        page.folded(
            f"{len(same)} settings that are the same",
            page.table("Settings that are the same", header, same),
        ),
    )
