"""Cuts each client's rows of a Parquet table in two by time, for `fedp train --data`.

A random split would test a device on windows that lie between those it adapted on, and
flatter it. Here, all that it adapts on came earlier: LEAF's folders train/ and test/.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet

TIME, CLIENT, LABEL = "time", "client", "label"


def cut(table: pa.Table, share: float) -> tuple[dict, dict]:
    """LEAF's objects of the earlier `share` of each client's rows, and of the rest."""
    features = [n for n in table.column_names if n not in (TIME, CLIENT, LABEL)]
    table = table.sort_by([(CLIENT, "ascending"), (TIME, "ascending")])
    x = np.stack([table[name].to_numpy() for name in features], axis=1)
    y, clients = table[LABEL].to_numpy(), table[CLIENT].to_numpy()
    names, starts = np.unique(clients, return_index=True)
    parts: tuple[dict, dict] = tuple(
        {"users": [], "num_samples": [], "user_data": {}} for _ in range(2)
    )
    for name, rows in zip(names, np.split(np.arange(len(y)), starts[1:]), strict=True):
        at = round(share * len(rows))
        for part, own in zip(parts, (rows[:at], rows[at:]), strict=True):
            examples = {"x": x[own].round(5).tolist(), "y": y[own].tolist()}
            part["users"].append(name)
            part["num_samples"].append(len(own))
            part["user_data"][name] = examples
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default="data")
    parser.add_argument("--earlier", type=float, default=0.5, help="Share to adapt on.")
    options = parser.parse_args()
    if not 0 < options.earlier < 1:
        parser.error(f"--earlier is {options.earlier}; allowed is a share within 0..1")
    try:
        table = pyarrow.parquet.read_table(options.table)
    except (OSError, pa.ArrowException) as error:
        sys.exit(f"error: {options.table} cannot be read: {error}")
    missing = {TIME, CLIENT, LABEL} - set(table.column_names)
    if missing:
        sys.exit(f"error: {options.table} has no column {', '.join(sorted(missing))}")
    for folder, part in zip(
        ("train", "test"), cut(table, options.earlier), strict=True
    ):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
        (options.out / folder / "data.json").write_text(json.dumps(part))
        print(f"{options.out / folder}: {sum(part['num_samples'])} rows")


if __name__ == "__main__":
    main()
