"""A Keras file that becomes an artifact, by the commands of the README."""

import json

import numpy as np
import pytest

from tests.examples.commands import commands, copied, run, start

pytest.importorskip("tensorflow", reason="exporting needs the training install")
pytest.importorskip("plotly", reason="the report needs it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copied("own_model", tmp_path_factory.mktemp("own_model"))


@pytest.fixture(scope="module")
def printed(folder):
    """What each command printed, by its verb."""
    return {c[1]: run(c, folder) for c in commands("own_model")}


def test_the_export_trains_as_tensorflow_does(printed):
    assert "all builtin" in printed["export"]
    assert printed["verify"].rstrip().endswith("PASS")
    assert "FAIL" not in printed["verify"]


def test_a_device_learns_its_user(printed, folder):
    assert "\nkeep: " in printed["personalize"]
    classes = np.load(folder / "users.npz")["classes"]
    later = np.load(folder / "later.npz")
    answers = np.load(folder / "answers.npz")["labels"]
    assert (answers == classes[later["y"]]).mean() > 0.9


def test_users_gain_and_nobody_is_hurt(printed, folder):
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert summary["deployed"]["value"] > summary["initial"]["value"] + 0.1
    assert summary["hurt_a_point_after_guard"]["count"] == 0


def test_classes_that_do_not_fit_are_one_line(printed, folder):
    command = ["fedp", "export", "gestures.keras", "--classes", "a,b", "--out", "b"]
    done = start(command, folder)
    assert done.returncode != 0
    assert "2 class labels for a model with 5" in done.stderr.splitlines()[-1]
    assert not (folder / "b").exists()
