"""Results on stdout, remarks on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click


def say(line: str) -> None:
    """A remark, on stderr."""
    click.echo(line, err=True)


def print_result(as_json: bool, result: dict[str, Any], hint: str = "") -> None:
    """A line a field, or JSON; the hint is for people only."""
    if as_json:
        print_json(result)
        return
    print_table((key, _cell(value)) for key, value in result.items())
    if hint:
        click.echo(f"\n{hint}")


def print_json(result: Any) -> None:
    """One JSON value in one line."""
    click.echo(json.dumps(result))


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, two spaces apart."""
    rows = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def number_or_dash(value: float | None) -> str:
    """Four decimals, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:.4f}"
