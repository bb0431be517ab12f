"""Rows measured in turns, and the table, the checks and the JSON made of them.

All ratios are taken within a repeat, where the rows ran minutes apart: a shared
machine's speed drifts from hour to hour by more than the rows differ.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from job import Job, Measured
from row import Row, others_busy

Results = dict[str, list[Measured]]

_QUIET = 0.15  # share of the machine that others may use


def in_turns(
    rows: Sequence[Row], verb: str, job: Job, repeats: int
) -> tuple[Results, float]:
    """Runs every row once per repeat, each repeat beginning with another row.

    Returns:
        The results by the rows' names, and the largest share (0..1) of the machine
        that others kept busy just before a row.
    """
    results: Results = {row.name: [] for row in rows}
    busiest = 0.0
    for repeat in range(repeats):
        turn = repeat % len(rows)
        for row in [*rows[turn:], *rows[:turn]]:
            busiest = max(busiest, others_busy())
            measured = row.run(verb, job)
            results[row.name].append(measured)
            print(
                f"repeat {repeat + 1} of {repeats}, E={job.epochs}, {row.name}: "
                f"{measured.rate:,.4g} a second",
                file=sys.stderr,
            )
    return results, busiest


def ratios(results: Results, name: str, to: str) -> list[float]:
    """One row's rate over another's, in each repeat."""
    return [a.rate / b.rate for a, b in zip(results[name], results[to], strict=True)]


def show(results: Results, unit: str) -> None:
    """Prints medians, with the least and the most of the repeats."""
    table = [("", unit, "of the bound", "times stock TFF")]
    for name, measured in results.items():
        table.append(
            (
                name,
                spread((m.rate for m in measured), ",.0f" if unit[0] == "e" else ".2f"),
                spread(ratios(results, name, "bound"), ".3f"),
                spread(ratios(results, name, "stock TFF"), ".2f"),
            )
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    for name, measured in results.items():
        if measured[0].parts:
            print(f"{name}: of its time {_parts(measured)}")


def check_near(what: str, found: dict[str, float], tolerance: float) -> list[str]:
    """What is wrong if the rows' values lie further than that from their median."""
    middle = statistics.median(found.values())
    return [
        f"{what} of {name} is {value:.4f}, the rows' median {middle:.4f}, allowed is a "
        f"difference of {tolerance:.4f}: it does not do the same work"
        for name, value in found.items()
        # Not <= so that NaN is wrong.
        if not abs(value - middle) <= tolerance
    ]


def finish(faults: list[str], report: dict[str, Any], path: pathlib.Path | None) -> int:
    """Writes the JSON, prints what is wrong, and returns the exit code."""
    if path is not None:
        path.write_text(json.dumps({**report, "faults": faults}, indent=1) + "\n")
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


def as_json(results: Results, job: Job, busiest: float) -> dict[str, Any]:
    """A table's part of the JSON."""
    return {
        "job": dataclasses.asdict(job),
        "others_busy": busiest,
        "rows": {
            name: [{**dataclasses.asdict(m), "rate": m.rate} for m in measured]
            for name, measured in results.items()
        },
        "of_the_bound": {n: ratios(results, n, "bound") for n in results},
        "times_stock_tff": {n: ratios(results, n, "stock TFF") for n in results},
    }


def conditions(repeats: int, busiest: float) -> str:
    """How the numbers came about, for a table's heading."""
    noisy = "; TOO NOISY to quote" if busiest > _QUIET else ""
    return (
        f"median (least to most) of {repeats}; {machine()}, of which others used up to "
        f"{busiest:.0%}{noisy}"
    )


def machine() -> str:
    """Cores and processor."""
    found = platform.processor() or platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            found = line.partition(":")[2].strip()
            break
    return f"{len(os.sched_getaffinity(0))} cores of {found}"


def spread(values: Iterable[float], digits: str) -> str:
    """Median, with the least and the most."""
    values = list(values)
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:{digits}} ({least:{digits}} to {most:{digits}})"


def _parts(measured: list[Measured]) -> str:
    """Shares of the median repeat; what no part accounts for comes last."""
    typical = sorted(measured, key=lambda m: m.seconds)[len(measured) // 2]
    named = {**typical.parts}
    named["the rest"] = typical.seconds - sum(typical.parts.values())
    return ", ".join(f"{n} {s / typical.seconds:.1%}" for n, s in named.items())
