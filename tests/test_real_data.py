"""The main job on real handwriting, in small: minutes long, so marked slow."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

DATA = pathlib.Path(__file__).parents[2] / "shared/data/unipen62/unipen62.npz"


def fedp(folder: pathlib.Path, *arguments: object) -> dict:
    command = [sys.executable, "-m", "fedp.cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data/unipen62")
@pytest.mark.timeout(900)
def test_personalization_helps_unseen_writers_and_the_guard_spares_some(tmp_path):
    data = ("--data", DATA, "--max-examples", 200)
    rounds = ("--rounds", 40, "-E", 2, "--reptile-rounds", 30, "--eval-every", 0)
    fedp(tmp_path, "train", *data, *rounds, "--out", "run")
    fedp(tmp_path, "export", "run", "--out", "model.tflite")
    found = {}
    for kind in ("ai_edge_litert", "tflite_runtime"):
        asked = (*data, "--interpreter", kind, "--report", kind)
        found[kind] = fedp(tmp_path, "evaluate", "model.tflite", *asked)

    summary = found["ai_edge_litert"]
    assert summary["clients"] == 51
    assert summary["personalized_gain"]["value"] > 0.005
    assert summary["deployed_gain"]["value"] > 0.005
    hurt = (summary["hurt_before_guard"]["count"], summary["hurt_after_guard"]["count"])
    assert hurt[1] < hurt[0]
    # One example of a client more or less, where two classes are all but equal.
    for name in ("initial", "personalized", "deployed"):
        values = [found[kind][name]["value"] for kind in found]
        assert values[0] == pytest.approx(values[1], abs=0.002)
