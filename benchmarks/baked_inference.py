"""Inference in milliseconds: baked on the device, a plain TFLite export, variables.

    python benchmarks/baked_inference.py [--model emnist_cnn] [--rounds 60]

The three run in turns in one process, and ratios are taken within a round. Exits with 1
if baked is slower than the plain export by more than 5 %, or predicts otherwise.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import table
import tensorflow as tf

from fedp.device_runtime import Personalizer, Session, available_interpreters
from fedp.device_runtime.baking import bake
from fedp.device_runtime.interpreter import load_interpreter
from fedp.device_runtime.skeleton import read_skeleton
from fedp.device_runtime.weights import to_blob
from fedp.export.conversion import quiet
from fedp.export.exporter import export_model
from fedp.training.endings import ends_in_softmax
from fedp.training.models import build_model

Predict = Callable[[np.ndarray], np.ndarray]

_BATCHES = (1, 20)
_SLOWER = 1.05
_DIFFERENCE = 1e-5


def main() -> int:
    """Measures, prints the table, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="emnist_cnn", help="a builtin one")
    parser.add_argument("--rounds", type=int, default=60, help="of each batch size")
    given = parser.parse_args()
    model = build_model(given.model, (28, 28, 1), 62, seed=0)
    for variable in model.trainable_variables:  # No bias is zero once trained.
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.01))
    done = export_model(
        model,
        name=given.model,
        classes=[str(n) for n in range(62)],
        parity_steps=1,
    )
    plain = plain_export(model)
    skeleton = read_skeleton(done.content)
    if skeleton is None:
        print(f"WRONG: {given.model} has no skeleton")
        return 1
    print(
        f"{given.model} on {table.machine()}; skeleton {len(skeleton.pack()):,} bytes, "
        f"medians of {given.rounds} rounds"
    )
    faults = []
    for kind in available_interpreters():
        session = Session.open(done.manifest, done.content, kind)
        weights = to_blob(session.save(), done.manifest.weights)
        started = time.perf_counter()
        baked = bake(done.content, skeleton, weights)
        seconds = time.perf_counter() - started
        print(f"\n{kind}: {len(baked):,} bytes baked in {1e3 * seconds:.1f} ms")
        with opened(done.content, kind) as personalizer:
            predict = {
                "plain export": stock(plain, kind),
                "baked": stock(baked, kind),
                "predict": personalizer.predict,
                "variables": session.infer,
            }
            for batch in _BATCHES:
                faults += compare(kind, predict, batch, given.rounds)
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


def plain_export(model: tf.keras.Model) -> bytes:
    """What TensorFlow's own guide makes of the model, with a softmax."""
    whole = model
    if not ends_in_softmax(model):
        output = tf.keras.layers.Softmax()(model.outputs[0])
        whole = tf.keras.Model(model.inputs, output)
    with quiet():
        return bytes(tf.lite.TFLiteConverter.from_keras_model(whole).convert())


def stock(content: bytes, kind: str) -> Predict:
    """A file with one signature in an interpreter of one thread."""
    interpreter = load_interpreter(content, kind, one_signature=True)
    (name,) = interpreter.inputs("serving_default")

    def predict(x: np.ndarray) -> np.ndarray:
        (output,) = interpreter.run("serving_default", **{name: x}).values()
        return output

    return predict


def opened(artifact: bytes, kind: str) -> Personalizer:
    """A device with the initial model, as apps use it."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(artifact)
        file.flush()
        return Personalizer.open(file.name, interpreter=kind)


def compare(
    kind: str, predict: dict[str, Predict], batch: int, rounds: int
) -> list[str]:
    """Prints a table's rows for one batch size; returns what is wrong."""
    shape = (batch, 28, 28, 1)
    x = np.random.default_rng(batch).random(shape).astype(np.float32)
    expected = predict["plain export"](x)
    faults = [
        f"{name} on {kind} differs from the plain export by {found:.1e}"
        for name, run in predict.items()
        if not (found := np.abs(run(x) - expected).max()) <= _DIFFERENCE
    ]
    times: dict[str, list[float]] = {name: [] for name in predict}
    names = list(predict)
    for number in range(rounds):
        turn = number % len(names)
        for name in [*names[turn:], *names[:turn]]:
            times[name].append(seconds_of(functools.partial(predict[name], x), batch))
    for name, found in times.items():
        pairs = zip(found, times["plain export"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        middle = 1e3 * statistics.median(found)
        print(f"batch {batch:2}  {name:12}  {middle:.3f} ms  {ratio:.3f} of plain")
        if name == "baked" and ratio > _SLOWER:
            faults.append(f"baked takes {ratio:.3f} of the plain export on {kind}")
    return faults


def seconds_of(run: Callable[[], object], batch: int) -> float:
    """Seconds of one run, the median of some after one that warms the caches."""
    found = []
    for _ in range(1 + max(3, 40 // batch)):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])


if __name__ == "__main__":
    sys.exit(main())
