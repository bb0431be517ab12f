"""Writes the tables, figures and claims from what has been computed so far."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import claims
import figures
import tabulating
from outcomes import Outcomes
from settings import Settings

from fedp.training.checkpoints import write_run_file

_TABLES = {
    "table1": tabulating.table1,
    "table2": tabulating.table2,
    "table3": tabulating.table3,
}
_FIGURES = {
    "figure1": figures.figure1,
    "figure2": figures.figure2,
    "figure3": figures.figure3,
    "figure4": figures.figure4,
}


def draw(
    settings: Settings, out: pathlib.Path, outputs: Sequence[str]
) -> list[pathlib.Path]:
    """Writes the outputs; returns their paths."""
    outcomes = Outcomes(settings, out)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for output in outputs:
        if output in _TABLES:
            table = _TABLES[output](outcomes)
            written.append(_text(out / f"{output}.md", table.markdown()))
            written.append(_text(out / f"{output}.csv", table.csv()))
        elif output in _FIGURES:
            path = out / f"{output}.png"
            figure = _FIGURES[output](outcomes)
            figure.savefig(path, dpi=150, bbox_inches="tight")
            written.append(path)
        else:
            written.append(_text(out / "claims.md", claims.claims_page(outcomes)))
    return written


def _text(path: pathlib.Path, text: str) -> pathlib.Path:
    write_run_file(path, lambda file: file.write(text.encode()))
    return path
