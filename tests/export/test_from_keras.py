"""A Keras file of one's own: loaded, exported, and refused in one line."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from fedp.cli import cli
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.personalizer import Personalizer
from fedp.export.exporter import Target, write_artifact
from fedp.export.from_keras import export_keras

layers = tf.keras.layers


def saved(folder, last=3, name="model.keras"):
    tf.keras.utils.set_random_seed(0)
    net = tf.keras.Sequential(
        [layers.Input((12,)), layers.Dense(8, activation="relu"), layers.Dense(last)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the older format
        net.save(folder / name)
    return folder / name


def test_numbers_are_learned_on_the_device(tmp_path):
    done = export_keras(saved(tmp_path), loss="mean_squared_error")
    write_artifact(done.content, tmp_path / "m.tflite")
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 12)).astype(np.float32)
    y = x @ random.normal(size=(12, 3)) / 4
    with Personalizer.open(tmp_path / "m.tflite") as device:
        before = np.square(device.predict(x) - y).mean()
        outcome = device.personalize(x, y)
        after = np.square(device.predict(x) - y).mean()
    assert outcome.decision == "keep" and after < before
    assert outcome.initial_accuracy is None and "accuracy" not in outcome.reason
    assert outcome.personalized_loss < outcome.initial_loss


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "binary_crossentropy"], r"needs one number an example"),
        (["--classes", "a,b"], "2 class labels for a model with 3"),
        (["--stage", "reptile"], "--stage cannot go with a Keras file"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, arguments, message):
    path = saved(tmp_path)
    command = ["export", str(path), "--out", str(tmp_path / "m.tflite"), *arguments]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code
    text = getattr(result.exception, "message", None) or str(result.exception)
    assert message in text + result.output
    assert not (tmp_path / "m.tflite").exists()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"no zip")
    with pytest.raises(ExportError, match="cannot be loaded as a Keras model"):
        export_keras(tmp_path / "m.keras")


def test_classes_and_where_it_comes_from_are_in_the_file(tmp_path):
    done = export_keras(saved(tmp_path, name="m.h5"), classes=["a", "b", "c"])
    write_artifact(done.content, tmp_path / "m.tflite")
    manifest, _ = read_artifact(tmp_path / "m.tflite")
    assert manifest.classes == ("a", "b", "c")
    assert manifest.provenance["file"] == "m.h5"
    assert manifest.client_split == {}  # Nobody knows whom it was trained on.


def test_what_float16_costs_is_not_known_without_data(tmp_path):
    said: list[str] = []
    path = saved(tmp_path)
    export_keras(path, target=Target(initial_weights="float16"), report=said.append)
    assert any("not known: a Keras file brings no data" in line for line in said)
    said.clear()
    export_keras(path, report=said.append)
    assert not any("float16" in line for line in said)
