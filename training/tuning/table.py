"""The table of policies as CSV, as JSON, and as lines for people."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from fedp.training.evaluation.files import replace_text
from fedp.training.tuning.choice import Choice, Row, best_by
from fedp.training.tuning.grid import FIELDS

_MEASURES = tuple(f.name for f in dataclasses.fields(Row) if f.name != "policy")


def write_table_csv(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """Writes one line a policy: its fields, then what it does to the clients.

    Raises:
        FedpError: the file cannot be written; an older one is left as it was.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*FIELDS, *_MEASURES])
    lines.writerows(flat(row).values() for row in rows)
    replace_text(path, text.getvalue())


def write_table_json(
    path: pathlib.Path,
    choice: Choice,
    rows: Sequence[Row],
    untuned: Row | None,
    facts: Mapping[str, Any],
) -> None:
    """Writes choice, all rows and how they were measured.

    Raises:
        FedpError: the file cannot be written; an older one is left as it was.
    """
    fields = {
        "choice": choice_fields(choice),
        "untuned": flat(untuned) if untuned else None,
        "rows": [flat(row) for row in rows],
        "run": facts,
    }
    replace_text(path, json.dumps(fields, indent=1) + "\n")


def choice_fields(choice: Choice) -> dict[str, Any]:
    """A choice for programs."""
    return {
        **flat(choice.row),
        "limit_met": choice.met,
        "remarks": list(choice.remarks),
    }


def flat(row: Row) -> dict[str, Any]:
    """A row's policy and measures side by side."""
    fields = dataclasses.asdict(row)
    policy = fields.pop("policy")
    return {**policy, **fields}


HEADER = (
    "trains",
    "rate",
    "epochs",
    "guard",
    "fewest",
    "margin",
    "caution",
    "personalized",
    "deployed",
    "gain",
    "hurt",
    "kept",
)


def cells(row: Row) -> tuple[str, ...]:
    """A row for people, under `HEADER`; an arrow leads over the guard's decision."""
    policy = row.policy
    return (
        policy.trainable,
        f"{policy.learning_rate:g}",
        str(policy.epochs),
        policy.guard,
        str(policy.min_hold_out),
        f"{policy.margin:g}",
        f"{policy.caution:g}",
        f"{row.personalized:.2%}",
        f"{row.deployed:.2%}",
        f"{100 * row.gain + 0.0:+.2f}",
        f"{row.hurt_before} → {row.hurt_after}",
        str(row.kept),
    )


def best_rows(
    rows: Sequence[Row], choice: Choice, max_hurt: float, sizes: Mapping[str, int]
) -> list[tuple[str, ...]]:
    """The best policy of each part that trains and each rate, and a mark at the chosen.

    Returns:
        Cells under `(*HEADER, "")`.
    """
    found = []
    for best in best_by(rows, ("trainable", "learning_rate"), max_hurt, sizes):
        mark = "" if best.met else "over the limit"
        if best.row.policy == choice.row.policy:
            mark = "chosen" + (f", {mark}" if mark else "")
        found.append((*cells(best.row), mark))
    return found
