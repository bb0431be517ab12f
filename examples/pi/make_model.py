"""Trains the model of many machines on a server, as a Keras file for `fedp export`."""

from __future__ import annotations

import argparse
import os
import pathlib

import numpy as np
from sensor import FEATURES, STATES, Sensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, default=40)
    parser.add_argument("--readings", type=int, default=60, help="Of a machine.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default="washing.keras")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((FEATURES,)),
            layers.Dense(32, activation="relu", name="hidden1"),
            layers.Dense(16, activation="relu", name="hidden2"),
            layers.Dense(len(STATES), activation="softmax", name="state"),
        ]
    )
    gains = np.random.default_rng(options.seed).lognormal(0, 0.15, options.machines)
    readings = [
        Sensor(1000 * (options.seed + 1) + machine, gain).read(n)
        for machine, gain in enumerate(gains)
        for n in range(options.readings)
    ]
    x, y = (np.asarray(values) for values in zip(*readings, strict=True))
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x, y, 32, 15, verbose=0)
    model.save(options.out)
    print(f"{options.out}: accuracy {model.evaluate(x, y, verbose=0)[1]:.3f}")


if __name__ == "__main__":
    main()
