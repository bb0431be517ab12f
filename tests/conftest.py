"""Fixtures that several folders share."""

import os
import pathlib
import shutil
import string
import types

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As `train` sets it in a process of its own; here TensorFlow is started by any test.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

CLASSES = string.digits + string.ascii_uppercase + string.ascii_lowercase
# What `make device-artifacts` exported, for where TensorFlow is not.
KEPT = os.environ.get("FEDP_DEVICE_ARTIFACTS")
SPLIT = {"seed": 0, "validation_from": 0.7, "test_from": 0.8}


def export_builtin_model(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Exports an untrained builtin model; weights are the same in every session."""
    pytest.importorskip("tensorflow", reason="exporting needs the training install")
    from fedp.export.exporter import export_model, write_artifact
    from fedp.training.models import build_model

    model = build_model(name, (28, 28, 1), len(CLASSES), seed=0)
    export = export_model(
        model,
        name=name,
        classes=CLASSES,
        client_split=SPLIT,
        provenance={"data": "none"},
    )
    out = folder / f"{name}.tflite"
    write_artifact(export.content, out, export.certificate)
    return out


def kept_artifact(name: str, folder: pathlib.Path) -> pathlib.Path:
    """A copy of an artifact that was exported elsewhere, and of its certificate."""
    out = folder / f"{name}.tflite"
    for file in pathlib.Path(KEPT or "").glob(f"{name}.tflite*"):
        shutil.copyfile(file, folder / file.name)
    if not out.exists():
        pytest.fail(f"{KEPT} has no {out.name}: run `make device-artifacts`")
    return out


@pytest.fixture(scope="session")
def mlp_artifact(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    export = kept_artifact if KEPT else export_builtin_model
    return export("mlp", tmp_path_factory.mktemp("artifact"))


@pytest.fixture(scope="session")
def cnn_artifact(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    export = kept_artifact if KEPT else export_builtin_model
    return export("emnist_cnn", tmp_path_factory.mktemp("artifact"))


def export_small_model():
    """A finished export of some 40 kB, which trains within a millisecond."""
    tf = pytest.importorskip("tensorflow", reason="exporting needs TensorFlow")
    from fedp.export.exporter import Target, export_model

    tf.keras.utils.set_random_seed(0)
    layers = [tf.keras.layers.Input((6,)), tf.keras.layers.Dense(8, "relu")]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(3)])
    target = Target(batch_size=6, client_optimizer="momentum")
    return export_model(
        model, name="small", classes=["a", "b", "c"], target=target, parity_steps=4
    )


@pytest.fixture(scope="session")
def small_export(tmp_path_factory: pytest.TempPathFactory):
    """What `export_small_model` gives, or the same from files."""
    return (
        _kept_export(tmp_path_factory.mktemp("small")) if KEPT else export_small_model()
    )


def _kept_export(folder: pathlib.Path) -> types.SimpleNamespace:
    """As `Export` is, without `fedp.export`, which needs TensorFlow."""
    from fedp.device_runtime.artifact_file import parse_artifact, seal
    from fedp.device_runtime.certificate import certificate_path

    path = kept_artifact("small", folder)

    def export(content: bytes) -> types.SimpleNamespace:
        return types.SimpleNamespace(
            content=content,
            manifest=parse_artifact(content),
            certificate=certificate_path(path).read_bytes(),
            signed=lambda sign: export(seal(content, sign)),
        )

    return export(path.read_bytes())
