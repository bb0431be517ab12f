"""Examples, and directories that refuse to be written, for the device's tests."""

import contextlib
import os
import pathlib
import subprocess
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.store import Store

KINDS = available_interpreters()
# Hypothesis and NumPy refuse to work so. Asked after the interpreters were imported.
needs_subnormals = pytest.mark.skipif(
    float("5e-324") * 1.0 == 0,
    reason="an interpreter's library flushes subnormal numbers to zero",
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each installed interpreter."""
    return request.param


def make_examples(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Five easy classes: a random image each, and noise; uint8 [n, 28, 28]."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).integers(0, 200, (5, 28, 28))
    y = random.integers(0, 5, count)
    noise = random.integers(0, 55, (count, 28, 28))
    return (patterns[y] + noise).astype(np.uint8), y


def closing_itself(store: Store) -> Store:
    """Python 3.13 warns of databases that nobody closed."""
    weakref.finalize(store, store._connection.close)
    return store


@contextlib.contextmanager
def _mounted(directory: pathlib.Path, size: str) -> Iterator[pathlib.Path]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True)
    except OSError:
        pytest.skip("needs the `mount` command")
    if done.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A directory on a file system of 2 MB."""
    (tmp_path / "disk").mkdir()
    with _mounted(tmp_path / "disk", "2m") as directory:
        yield directory


@pytest.fixture
def write_protect(
    tmp_path: pathlib.Path,
) -> Iterator[tuple[pathlib.Path, Callable[[], None]]]:
    """A directory, and what makes it read-only, also for root."""
    directory = tmp_path / "protected"
    directory.mkdir()
    if os.geteuid():
        yield directory, lambda: directory.chmod(0o500)
        directory.chmod(0o700)
        return
    with _mounted(directory, "20m"):
        again = ["mount", "-o", "remount,ro", str(directory)]
        yield directory, lambda: subprocess.run(again, check=True) and None
