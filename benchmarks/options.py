"""The options that the benchmarks share."""

from __future__ import annotations

import argparse
import pathlib

import job
from ours import ENGINES
from row import Row

PEERS = (Row("bound", "bound.py"), Row("stock TFF", "stock_tff.py"))


def parser(purpose: str | None, clients: int, least: int) -> argparse.ArgumentParser:
    """A parser with the shared options, `clients` and `least` being the defaults."""
    defaults = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=purpose, formatter_class=defaults)
    add = parser.add_argument
    add("--data", default=str(job.DATA), help="an .npz, or synthetic:CLIENTS")
    add("--clients", type=int, default=clients, help="writers that take part")
    add("--least", type=int, default=least, help="images that they have at least")
    add("--most", type=int, default=400, help="images taken of one at most")
    add("--repeats", type=int, default=3, help="of the whole table")
    add("--engines", nargs="*", default=list(ENGINES), choices=ENGINES, help="of fedp")
    add("--seed", type=int, default=0, help="of all that is drawn at random")
    add("--json", type=pathlib.Path, help="file to write everything to")
    return parser


def rows(engines: list[str]) -> list[Row]:
    """The bound, stock TFF, and fedp's engines."""
    return [*PEERS, *(Row(f"fedp {e}", "ours.py", e) for e in engines)]
