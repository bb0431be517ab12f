"""What the pages take as given: data, artifacts, a run, and commands in PATH."""

import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from .blocks import ROOT
from .shortened import SHORT

SHORTENED = pathlib.Path(__file__).with_name("shortened.py")
# `pip install` and `make TARGET` are steps of CI of their own: here pip does nothing,
# and make says whether the Makefile knows the target.
COMMANDS = {
    "fedp": f'exec "{sys.executable}" "{SHORTENED}" "$@"',
    "pip": 'test "$1" = install',
    "make": f'exec /usr/bin/env -i PATH=/usr/bin:/bin make -C "{ROOT}" --dry-run "$@"',
}


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs float32 [n, 6], and one of three labels that shows in them."""
    random = np.random.default_rng(3)
    y = random.integers(0, 3, count)
    noise = random.normal(0, 0.3, (count, 6))
    return (np.eye(3, 6)[y] + noise).astype(np.float32), y


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """PATH with the commands above first, and a home that is empty."""
    commands = tmp_path_factory.mktemp("commands")
    for name, code in COMMANDS.items():
        (commands / name).write_text(f"#!/bin/sh\n{code}\n")
        (commands / name).chmod(0o755)
    home = tmp_path_factory.mktemp("home")
    for folder in (".zfunc", ".config/fish/completions"):
        (home / folder).mkdir(parents=True)
    (home / ".local/share/bash-completion/completions").mkdir(parents=True)
    return {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{commands}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="session")
def given(small_export: Any, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with an artifact, one person's examples and a table of twenty people."""
    from fedp.export.exporter import write_artifact

    folder = tmp_path_factory.mktemp("given")
    write_artifact(
        small_export.content, folder / "model.tflite", small_export.certificate
    )
    x, y = examples(40)
    np.savez(folder / "me.npz", x=x, y=y)
    np.savez(folder / "x.npz", x=x[:5])
    x, y = examples(400)
    clients = np.array([f"writer{number:02}" for number in range(20)])
    client = clients[np.arange(len(y)) % len(clients)]
    np.savez(folder / "writers.npz", x=x, y=y, client=client)
    return folder


@pytest.fixture(scope="session")
def trained(
    given: pathlib.Path,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> pathlib.Path:
    """What is given, a run of three rounds and a Keras file; for the slow pages."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("trained") / "files"
    shutil.copytree(given, folder)
    layers = [tf.keras.layers.Input((6,)), tf.keras.layers.Dense(8, "relu")]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(3)])
    model.save(folder / "model.keras")
    command = ["fedp", "train", "--data", "writers.npz", "--out", "run", *SHORT]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder
