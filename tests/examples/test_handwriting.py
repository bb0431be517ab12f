"""The handwriting example, with fewer writers than in the README."""

import doctest
import importlib.util
import json
import re

import numpy as np
import pytest

from tests.examples.commands import EXAMPLES, commands, copied, run, start

pytest.importorskip("tensorflow_federated", reason="training needs its install")

(COMMAND,) = commands("handwriting")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copied("handwriting", tmp_path_factory.mktemp("handwriting"))


def test_personalization_helps_new_writers_and_the_one_shown(folder):
    small = ("--data", "synthetic:20", "--rounds", "30", "--reptile-rounds", "5")
    text = run(COMMAND, folder, *small, "--max-examples", "80")
    summary = json.loads((folder / "handwriting/report/summary.json").read_text())
    assert summary["personalized"]["value"] > summary["initial"]["value"] + 0.05
    assert summary["deployed"]["value"] > summary["initial"]["value"] + 0.05
    assert f"deployed {summary['deployed']['value']:.3f}" in text
    assert ", the one helped most: keep" in text
    before, after = map(int, re.findall(r"before: (\d+), after: (\d+)", text)[0])
    assert after > before
    drawn = text.splitlines()[-1]
    assert re.fullmatch(r"(\w, now \w\s*)+", drawn)


def test_reads_an_npz_of_ones_own_and_names_what_is_wrong(folder, tmp_path):
    np.savez(tmp_path / "mine.npz", x=np.zeros((4, 28, 28), np.uint8), y=[0, 1, 0, 1])
    done = start(COMMAND, folder, "--data", str(tmp_path / "mine.npz"), "--out", "o")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "client" in last
    assert "Traceback" not in done.stderr


def test_drawing():
    path = EXAMPLES / "handwriting" / "drawing.py"
    spec = importlib.util.spec_from_file_location("drawing", path)
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert doctest.testmod(drawing) == (0, 1)
