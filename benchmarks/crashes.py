"""kill -9 at random instants of real processes that change a device's state, counted.

    python benchmarks/crashes.py [--kills 10000] [--artifact small.tflite] [--json out]

A light process forks a child, lets it work on a state for some microseconds to
milliseconds, kills it, and compares what is on disk with what the child said it had
begun and done: bit for bit what it was before or after the change that was cut. A fifth
of the kills come into a `Personalizer` that adapts, a twentieth into the mending of a
damaged file; after another twentieth all is forgotten, and no file may hold a byte of
it. It ends with an error at the first difference.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from kills.adaptations import kill_adaptations
from kills.changes import kill_changes, kill_mending
from kills.forgetting import kill_and_forget
from kills.process import Tally

_COLUMNS = ("completed", "kills", "half written", "came through")
# Keras and TensorFlow stay in a process of their own: forking them would be slow.
_EXPORT = """
import sys
import tensorflow as tf
from fedp.export.exporter import Target, export_model, write_artifact
tf.keras.utils.set_random_seed(0)
layers = [tf.keras.layers.Input((6,)), tf.keras.layers.Dense(8, "relu")]
model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(3)])
target = Target(batch_size=6, client_optimizer="momentum")
export = export_model(
    model, name="small", classes=["a", "b", "c"], target=target, parity_steps=4
)
write_artifact(export.content, sys.argv[1], export.certificate)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--artifact", type=pathlib.Path, help="a small one of classes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path)
    given = parser.parse_args()
    adapting, few = given.kills // 5, given.kills // 20
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        artifact = given.artifact or _export(pathlib.Path(name) / "small.tflite")
        parts = [
            kill_changes(given.kills - adapting - 2 * few, given.seed),
            kill_mending(few, given.seed),
            kill_and_forget(few, given.seed),
            kill_adaptations(artifact, adapting, given.seed),
        ]
    tally = _sum(parts)
    print(f"| the kill came into | {' | '.join(_COLUMNS)} |")
    print("|---|" + "---:|" * len(_COLUMNS))
    for phase, of in sorted(tally.items(), key=lambda item: -item[1]["kills"]):
        print(f"| {phase} | " + " | ".join(f"{of[c]:,}" for c in _COLUMNS) + " |")
    total = {c: sum(of[c] for of in tally.values()) for c in _COLUMNS}
    print("| all | " + " | ".join(f"{total[c]:,}" for c in _COLUMNS) + " |")
    print(f"\n{time.monotonic() - started:.0f} s, nothing lost")
    if given.json:
        given.json.write_text(json.dumps(tally, sort_keys=True))
    return 0


def _sum(parts: list[Tally]) -> Tally:
    tally: Tally = {}
    for part in parts:
        for phase, of in part.items():
            tally.setdefault(phase, collections.Counter()).update(of)
    return tally


def _export(path: pathlib.Path) -> pathlib.Path:
    subprocess.run(
        [sys.executable, "-c", _EXPORT, path], check=True, capture_output=True
    )
    return path


if __name__ == "__main__":
    sys.exit(main())
