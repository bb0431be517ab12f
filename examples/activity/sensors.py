"""Writes a table of phone-sensor windows of many people, who carry it differently.

A person's phone is turned in its pocket and lies more or less tight: the same activity
gives other features for each of them, which no model of all people can know.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet

WINDOW = 2.56  # seconds of a row
FEATURES = (
    *(f"acceleration_mean_{axis}" for axis in "xyz"),
    *(f"acceleration_deviation_{axis}" for axis in "xyz"),
    *(f"rotation_deviation_{axis}" for axis in "xyz"),
    *("energy_low", "energy_middle", "energy_high"),
    *("tilt_forward", "tilt_sideways", "step_frequency", "jerk"),
)
# Seen from the thigh, in g: where down is, how much the three axes shake, and in Hz.
ACTIVITIES = {
    "walk": ((0.0, 0.1, -1.0), (0.25, 0.12, 0.30), 1.8),
    "run": ((0.0, 0.2, -1.0), (0.60, 0.30, 0.85), 2.6),
    "stairs": ((0.0, 0.3, -0.9), (0.30, 0.14, 0.26), 1.5),
    "sit": ((0.1, -1.0, -0.2), (0.02, 0.02, 0.02), 0.0),
    "stand": ((0.0, 0.0, -1.0), (0.03, 0.03, 0.02), 0.0),
}


def turned(random: np.random.Generator, degrees: float) -> np.ndarray:
    """A rotation by about so much around a random axis, [3, 3]."""
    axis = random.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.radians(random.normal(0, degrees))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # Rodrigues' formula.
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def person(random: np.random.Generator, windows: int) -> dict[str, np.ndarray]:
    """One person's rows in the order of time, as columns."""
    placement, pace = turned(random, 70.0), random.normal(1.0, 0.12)
    tightness, noise = random.lognormal(0.0, 0.45), random.uniform(0.02, 0.06)
    labels, rows = [], []
    while len(labels) < windows:  # an activity lasts some windows
        label = int(random.integers(len(ACTIVITIES)))
        for _ in range(min(int(random.integers(3, 10)), windows - len(labels))):
            down, shakes, frequency = list(ACTIVITIES.values())[label]
            # The phone slips a little in its pocket, all the time.
            placement = placement @ turned(random, 0.5)
            mean = placement @ down + random.normal(0, noise, 3)
            shake = tightness * np.abs(placement) @ shakes
            shake = shake * random.lognormal(0, 0.15, 3)
            step = pace * frequency * random.normal(1.0, 0.05)
            energy = float(np.sum(shake**2))
            shares = np.array([0.6, 0.3, 0.1]) if step < 2 else [0.3, 0.5, 0.2]
            forward = np.arctan2(mean[1], -mean[2])
            sideways = np.arctan2(mean[0], -mean[2])
            turning = 1.5 * shake[::-1] * random.lognormal(0, 0.2, 3)
            last = [forward, sideways, step, energy**0.5 * (1 + step)]
            rows.append([*mean, *shake, *turning, *(energy * np.array(shares)), *last])
            labels.append(label)
    gaps = np.where(np.diff(labels, prepend=labels[0]) == 0, WINDOW, 600.0)
    values = np.asarray(rows, np.float32)
    columns = {name: values[:, i] for i, name in enumerate(FEATURES)}
    return {"time": np.cumsum(gaps), "label": np.asarray(labels), **columns}


def table(people: int, windows: int, seed: int) -> pa.Table:
    """All people's rows, one person after the other."""
    tables = []
    for number in range(people):
        columns = person(np.random.default_rng([seed, number]), windows)
        client = [f"person{number:03d}"] * windows
        tables.append(pa.table({"client": client, **columns}))
    return pa.concat_tables(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default="sensors.parquet")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--windows", type=int, default=240, help="Rows a person.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.people < 3 or options.windows < 10:
        parser.error("three people with ten windows each are the least to split")
    rows = table(options.people, options.windows, options.seed)
    pyarrow.parquet.write_table(rows, options.out)
    print(
        f"{options.out}: {len(rows)} windows of {options.people} people, "
        f"{len(FEATURES)} features, {len(ACTIVITIES)} activities"
    )


if __name__ == "__main__":
    main()
