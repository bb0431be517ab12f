"""A Keras model that somebody has already: trained centrally, saved as a .keras file.

Strokes of a finger on a touch screen, 32 points each, told apart by a functional model
with two branches: convolutions see the shape, a dense one the numbers that a person
would name. People draw the same gesture with their own slant, speed and tremor.
"""

from __future__ import annotations

import argparse
import os
import pathlib

import numpy as np

GESTURES = ("circle", "check", "cross", "line", "zigzag")
POINTS = 32
PATHS = {  # corners in the order in which a finger passes them
    "check": ((-0.8, 0.1), (-0.3, -0.7), (0.9, 0.8)),
    "cross": ((-0.8, -0.8), (0.8, 0.8), (0.8, -0.8), (-0.8, 0.8)),
    "line": ((-0.9, 0.0), (0.9, 0.0)),
    "zigzag": ((-0.9, 0.5), (-0.3, -0.5), (0.3, 0.5), (0.9, -0.5)),
}


def stroke(gesture: str) -> np.ndarray:
    """The gesture as everybody knows it, [32, 2] in -1..1."""
    at = np.linspace(0, 1, POINTS)
    if gesture == "circle":
        return 0.8 * np.stack([np.cos(2 * np.pi * at), np.sin(2 * np.pi * at)], axis=1)
    corners = np.array(PATHS[gesture])
    places = np.linspace(0, 1, len(corners))
    return np.stack([np.interp(at, places, corners[:, axis]) for axis in (0, 1)], 1)


def person(
    random: np.random.Generator, strokes: int, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    """One person's strokes [n, 32, 2] and their gestures [n].

    Args:
        spread: how far hands are from the usual one; 0: everybody draws alike.
    """
    turn = spread * random.normal(0, 0.9)
    slant = spread * random.normal(0, 0.5)
    shape = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shape = shape @ np.array([[1, slant], [0, spread * random.normal(0, 0.2) + 1]])
    # Some begin a gesture where others end it.
    backwards = {g for g in GESTURES if random.random() < 0.4 * spread}
    y = random.integers(len(GESTURES), size=strokes)
    x = []
    for gesture in (GESTURES[label] for label in y):
        points = stroke(gesture)[:: -1 if gesture in backwards else 1]
        tremor = np.cumsum(random.normal(0, 0.04, points.shape), axis=0)
        x.append(random.lognormal(0, 0.2) * (points @ shape.T) + tremor)
    return np.asarray(x, np.float32), y


def build():
    """The functional model; every layer of it is in docs/layers.md."""
    import tensorflow as tf

    layers = tf.keras.layers
    points = layers.Input((POINTS, 2), name="points")
    shape = layers.Conv1D(16, 5, activation="relu", name="shape1")(points)
    shape = layers.MaxPooling1D(2, name="shape_pool")(shape)
    shape = layers.Conv1D(24, 3, activation="relu", name="shape2")(shape)
    shape = layers.GlobalAveragePooling1D(name="shape_mean")(shape)
    # Only the ends and the middle: where a stroke begins, turns and stops.
    places = layers.MaxPooling1D(8, name="places")(points)
    places = layers.Flatten(name="places_flat")(places)
    places = layers.Dense(24, activation="tanh", name="places_dense")(places)
    both = layers.Concatenate(name="both")([shape, places])
    both = layers.LayerNormalization(name="norm")(both)
    hidden = layers.Dense(32, activation="relu", name="hidden")(both)
    again = layers.Dense(32, activation="relu", name="again")(hidden)
    hidden = layers.Add(name="residual")([hidden, again])
    answer = layers.Dense(len(GESTURES), activation="softmax", name="gesture")(hidden)
    return tf.keras.Model(points, answer, name="gestures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=30, help="To train on.")
    parser.add_argument("--users", type=int, default=12, help="Who come later.")
    parser.add_argument("--me", type=int, default=4, help="Which of them I am.")
    parser.add_argument("--strokes", type=int, default=120, help="Of each of them.")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=".")
    options = parser.parse_args()
    if not 0 <= options.me < options.users:
        parser.error(f"--me is {options.me}; allowed is 0 to {options.users - 1}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    options.out.mkdir(parents=True, exist_ok=True)
    tf.keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    people = [
        person(np.random.default_rng([options.seed, 0, n]), options.strokes, 0.5)
        for n in range(options.people)
    ]
    x, y = (np.concatenate(parts) for parts in zip(*people, strict=True))
    model.fit(x, y, 32, options.epochs, verbose=0)
    model.save(options.out / "gestures.keras")
    accuracy = model.evaluate(x, y, verbose=0)[1]
    print(f"gestures.keras: accuracy {accuracy:.3f} on the strokes it was trained on")

    users = [
        person(np.random.default_rng([options.seed, 1, n]), options.strokes, 1.0)
        for n in range(options.users)
    ]
    x, y = (np.concatenate(parts) for parts in zip(*users, strict=True))
    names = np.repeat([f"user{n:02d}" for n in range(options.users)], options.strokes)
    np.savez(options.out / "users.npz", x=x, y=y, client=names, classes=GESTURES)
    x, y = users[options.me]
    half = len(y) // 2
    np.savez(options.out / "me.npz", x=x[:half], y=y[:half])
    np.savez(options.out / "later.npz", x=x[half:], y=y[half:])
    print(f"users.npz: {options.users} users; me.npz, later.npz: user{options.me:02d}")


if __name__ == "__main__":
    main()
