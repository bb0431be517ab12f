"""Verbs on a model whose answers are numbers, where nothing is right or wrong."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from tests.cli.calling import fedp, refuses

tf = pytest.importorskip("tensorflow", reason="exporting needs TensorFlow")


@pytest.fixture(scope="module")
def numbers_artifact(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """From six numbers to two."""
    from fedp.export.exporter import Target, export_model, write_artifact

    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Input((6,)), tf.keras.layers.Dense(2)])
    done = export_model(
        model,
        name="numbers",
        classes=["height", "weight"],
        loss="mean_squared_error",
        target=Target(batch_size=4),
        parity_steps=2,
    )
    path = tmp_path_factory.mktemp("numbers") / "numbers.tflite"
    write_artifact(done.content, path, done.certificate)
    return path


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    random = np.random.default_rng(0)
    x = random.normal(size=(12, 6)).astype(np.float32)
    np.savez(tmp_path / "me.npz", x=x, y=x[:, :2] * 0.5)
    return tmp_path / "me.npz"


def test_predict_gives_numbers_and_no_labels(numbers_artifact, data, tmp_path):
    from fedp.device_runtime import Personalizer

    with np.load(data) as file, Personalizer.open(numbers_artifact) as device:
        expected = device.predict(file["x"])
    out = tmp_path / "numbers.npz"
    asked = ("predict", numbers_artifact, "--state", tmp_path / "s", "--input", data)
    found = json.loads(fedp(*asked, "--out", out, "--json").stdout)
    assert set(found) == {"live", "numbers"}
    np.testing.assert_array_equal(np.array(found["numbers"], np.float32), expected)
    with np.load(out) as file:
        assert file.files == ["numbers"]
        np.testing.assert_array_equal(file["numbers"], expected)
    lines = fedp(*asked).stdout.splitlines()
    first, second = expected[0]
    assert lines[0] == f"0\t{first:.6g}\t{second:.6g}" and len(lines) == 12


def test_personalize_has_a_loss_that_is_no_log_loss(numbers_artifact, data, tmp_path):
    asked = ("personalize", numbers_artifact, "--data", data)
    lines = fedp(*asked, "--state", tmp_path / "state").stdout.splitlines()
    assert lines[1].startswith("loss  ")
    assert not any("accuracy" in line or "log loss" in line for line in lines)


def test_evaluate_refuses_what_has_no_accuracy(numbers_artifact, tmp_path):
    asked = ("evaluate", numbers_artifact, "--data", "nonsense")
    line = refuses(*asked, "--report", tmp_path / "report", code=1)
    assert "mean_squared_error" in line and "only models of classes" in line
