"""What the device's benchmarks run: the artifacts of `make device-artifacts`."""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

_FOLDER = pathlib.Path(__file__).parents[1] / "build" / "device_artifacts"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which artifacts, and where they are."""
    parser.add_argument("--models", nargs="+", default=["emnist_cnn", "mlp"])
    parser.add_argument(
        "--artifacts", type=pathlib.Path, default=_FOLDER, help="folder of their files"
    )


def chosen(given: argparse.Namespace) -> list[pathlib.Path]:
    """Paths of the artifacts that the options name."""
    paths: list[pathlib.Path] = [
        given.artifacts / f"{name}.tflite" for name in given.models
    ]
    for path in paths:
        if not path.exists():
            raise SystemExit(f"{path} is not there: run `make device-artifacts`")
    return paths


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Five easy classes: a random image each, and noise; uint8 [n, 28, 28], int [n]."""
    random = np.random.default_rng(0)
    y = random.integers(0, 5, count)
    patterns = random.integers(0, 200, (5, 28, 28))
    noise = random.integers(0, 55, (count, 28, 28))
    return (patterns[y] + noise).astype(np.uint8), y
