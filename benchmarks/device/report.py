"""Tables of rows, the check that they do the same work, and the JSON.

A ratio is taken within each round, whose rows ran seconds apart: a shared machine's
speed drifts by more than they differ.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from device.rounds import Row

REFERENCE, RIVAL = "native_tensorflow", "onnx_runtime"

# Largest relative difference to the reference among the losses of the first steps.
# Over all models, weights changed by 1e-7 made at most 3e-5 in TensorFlow itself, and
# a single tensor that is not trained at least 1e-3, most of them 1e-2 and more.
LOSS_TOLERANCE = 3e-4
# Largest difference to the reference's class probabilities.
OUTPUT_TOLERANCE = 1e-4


class Judged(NamedTuple):
    """A table's rows, told apart.

    Attributes:
        right: they do the reference's work, by key.
        wrong: the rest of the measured ones, each with its largest difference.
    """

    right: dict[str, Row]
    wrong: list[tuple[Row, float]]


def judge(rows: Sequence[Row], training: bool) -> Judged:
    """Compares all rows' first results with the reference's."""
    measured = {row.key: row for row in rows if row.rounds}
    if REFERENCE not in measured:
        failures = [row.failure for row in rows if row.key == REFERENCE]
        raise SystemExit(
            f"{REFERENCE}, which all are compared with, failed: {failures}"
        )
    expected = np.array(measured[REFERENCE].check)
    right, wrong = {}, []
    for row in measured.values():
        largest = _difference(np.array(row.check), expected, training)
        if largest <= (LOSS_TOLERANCE if training else OUTPUT_TOLERANCE):
            right[row.key] = row
        else:  # or it is NaN
            wrong.append((row, largest))
    return Judged(right, wrong)


def ratios(row: Row, to: Row) -> list[float]:
    """One row's time over another's, in each round."""
    pairs = zip(row.milliseconds, to.milliseconds, strict=True)
    return [mine / other for mine, other in pairs]


def show(title: str, rows: Sequence[Row], judged: Judged, training: bool) -> None:
    """Prints a table, with what is wrong or not installed under it."""
    print(f"\n{title}")
    head = ["", "ms", "x native TF", "x ONNX Runtime"]
    if training:
        steps = len(judged.right[REFERENCE].check)
        head += ["peak MB", "installed MB", "version", f"loss after {steps}", "same"]
    table = [head]
    for row in rows:
        if row.rounds:
            table.append(_line(row, judged, training))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    for row in rows:
        if row.failure:
            print(f"{row.peer.name}: FAILED: {row.failure}")
        elif not row.installed:
            print(f"{row.peer.name}: not installed: {row.peer.install}")
        elif row.peer.note and training:
            print(f"{row.peer.name}: {row.peer.note}")


def faults(title: str, rows: Sequence[Row], judged: Judged) -> list[str]:
    """What is wrong or has failed, a line each."""
    failed = [row for row in rows if row.failure]
    return [f"{title}: {row.peer.name} failed: {row.failure}" for row in failed] + [
        f"{title}: {row.peer.name} differs from native TensorFlow by {largest:.1e}: "
        "it does not do the same work"
        for row, largest in judged.wrong
    ]


def as_json(rows: Sequence[Row], judged: Judged) -> dict[str, Any]:
    """A table's part of the JSON, by the rows' keys."""
    return {row.key: _as_json(row, judged) for row in rows}


def _difference(found: np.ndarray, expected: np.ndarray, training: bool) -> float:
    """The largest one: of losses as a share, of probabilities as it is."""
    if found.shape != expected.shape:
        return float("inf")
    difference = np.abs(found - expected)
    return float(np.max(difference / expected if training else difference))


def _as_json(row: Row, judged: Judged) -> dict[str, Any]:
    right = row.key in judged.right
    return {
        "name": row.peer.name,
        "installed": row.installed and row.installed._asdict(),
        "failure": row.failure,
        "same_work": right,
        "check": row.check,
        "milliseconds": row.rounds,
        "peak_bytes": row.peak_bytes,
        **{
            f"times_{key}": ratios(row, judged.right[key])
            for key in (REFERENCE, RIVAL)
            if right and key in judged.right
        },
    }


def _line(row: Row, judged: Judged, training: bool) -> list[str]:
    right = row.key in judged.right
    others = [judged.right.get(key) for key in (REFERENCE, RIVAL)]
    line = [row.peer.name, _spread(row.milliseconds)]
    line += [_spread(ratios(row, o)) if right and o else "-" for o in others]
    if training:
        assert row.installed is not None
        peak, size = f"{row.peak_bytes / 1e6:.0f}", f"{row.installed.bytes / 1e6:,.0f}"
        line += [peak, size, row.installed.version, f"{row.check[-1]:.4f}"]
        line.append("yes" if right else "WRONG")
    elif not right:
        line[0] += " WRONG"
    return line


def _spread(values: Iterable[float]) -> str:
    values = list(values)
    middle, least, most = statistics.median(values), min(values), max(values)
    digits = ".2f" if middle >= 1 else ".3f"
    return f"{middle:{digits}} ({least:{digits}} to {most:{digits}})"
