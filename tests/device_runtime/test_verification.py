"""`verify`: the same steps as TensorFlow made, from the file beside the artifact."""

from __future__ import annotations

import dataclasses
import io
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime import artifact_file
from fedp.device_runtime.certificate import (
    Certificate,
    certificate_path,
    digest,
    read_certificate,
)
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.session import Session
from fedp.device_runtime.verification import verify, verify_artifact

from ..conftest import KEPT
from .conftest import KINDS, needs_subnormals


@pytest.fixture
def artifact(small_export, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_export.content)
    certificate_path(path).write_bytes(small_export.certificate)
    return path


@pytest.fixture
def proof(small_export) -> Certificate:
    return Certificate.from_bytes(small_export.certificate, small_export.manifest)


def with_certificate(artifact: pathlib.Path, certificate: bytes) -> None:
    """Replaces both files, as somebody can who has no key."""
    content = artifact.read_bytes()
    old = artifact_file.parse_artifact(content).certificate
    content = content.replace(old.encode(), digest(certificate).encode())
    artifact.write_bytes(artifact_file.seal(content))
    certificate_path(artifact).write_bytes(certificate)


def refused(artifact: pathlib.Path, message: str, **options: object) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        verify_artifact(artifact, **options)
    assert "\n" not in str(caught.value)


def test_every_interpreter_passes(mlp_artifact, artifact):
    for path in (mlp_artifact, artifact):
        results = verify_artifact(path)
        assert tuple(r.interpreter for r in results) == KINDS
        for result in results:
            assert result.passed and len(result.steps) >= 4
            assert all(step.strain < 0.2 for step in result.steps)
            assert result.version[0].isdigit()
            assert result.to_json()["steps"][0]["loss"] == result.steps[0].loss


def test_one_interpreter(artifact, kind):
    (result,) = verify_artifact(artifact, interpreter=kind)
    assert result.interpreter == kind and result.passed


def test_round_trip_and_the_same_bytes_again(small_export, proof):
    if not KEPT:  # Pythons 3.10 and 3.11 write other zip headers
        assert proof.to_bytes() == small_export.certificate
    assert digest(small_export.certificate) == small_export.manifest.certificate
    manifest = small_export.manifest
    assert proof.x.shape == (4, 6, 6) and proof.x.dtype == np.float32
    for at, values, spec in zip(proof.positions, proof.samples, manifest.weights):
        assert values.shape == (5, min(spec.size, 128)) == (5, len(set(at)))
    assert set(proof.interpreters) == set(manifest.parity)
    for kind, measured in proof.interpreters.items():
        assert measured["weights"] == manifest.parity[kind]["weights"]
    with np.load(io.BytesIO(small_export.certificate)) as file:
        assert file["x"].dtype == np.uint8  # 256ths


@needs_subnormals
def test_inputs_that_are_no_256ths_are_kept_as_they_are(small_export, proof):
    for x in (proof.x / 3, proof.x - 1, proof.x * np.nan, proof.x * 1e30):
        changed = dataclasses.replace(proof, x=x.astype(np.float32)).to_bytes()
        again = Certificate.from_bytes(changed, small_export.manifest)
        np.testing.assert_array_equal(again.x, x.astype(np.float32))


def test_a_device_that_trains_otherwise_fails(small_export, proof, kind, monkeypatch):
    step = Session.train_step

    def faster(self, x, y, weight, rate):
        return step(self, x, y, weight, rate * 1.1)

    monkeypatch.setattr(Session, "train_step", faster)
    result = verify(small_export.manifest, small_export.content, proof, kind)
    assert not result.passed
    names = {spec.layer for spec in small_export.manifest.weights}
    assert set(result.steps[0].failed) == names  # The loss is from before the step.
    assert result.steps[0].share == pytest.approx(0.1, rel=0.01)


def test_a_loss_that_is_nan_fails(small_export, proof, monkeypatch):
    monkeypatch.setattr(Session, "train_step", lambda *_: float("nan"))
    result = verify(small_export.manifest, small_export.content, proof)
    assert all("loss" in step.failed for step in result.steps)
    assert result.to_json()["steps"][0]["loss"] is None


def test_certificate_elsewhere(artifact, tmp_path):
    other = tmp_path / "other.npz"
    shutil.move(certificate_path(artifact), other)
    assert verify_artifact(artifact, other)[0].passed
    refused(artifact, r"small\.tflite\.certificate\.npz: No such file.*beside")


def test_certificate_changed_or_of_another_artifact(artifact, mlp_artifact):
    path = certificate_path(artifact)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(artifact, "damaged, or another artifact's")
    refused(
        artifact,
        "damaged, or another artifact's",
        certificate=certificate_path(mlp_artifact),
    )


def test_exported_without_one(small_export, tmp_path):
    manifest = dataclasses.replace(small_export.manifest, certificate="0" * 64)
    with pytest.raises(ArtifactError, match="without a certificate"):
        read_certificate(tmp_path / "x.npz", manifest)


@needs_subnormals
def test_forged_numbers_fail_and_do_not_fit(artifact, proof):
    with_certificate(
        artifact, dataclasses.replace(proof, losses=proof.losses + 1).to_bytes()
    )
    assert not any(result.passed for result in verify_artifact(artifact))
    shorter = tuple(values[:-1] for values in proof.samples)
    for change, message in (
        ({"x": proof.x[:, :, :5]}, "x is float32"),
        ({"x": proof.x.astype(np.float64)}, "x is float64"),
        ({"x": proof.x[:0]}, "x is float32"),
        ({"y": proof.y + 3}, "a label"),
        ({"y": proof.y.astype(np.float32)}, "y is float32"),
        ({"weight": proof.weight[0]}, "weight is"),
        ({"losses": proof.losses[:0]}, "does not fit"),
        ({"losses": np.float32(1)}, "cannot be read"),
        ({"moved": proof.moved[:, :1]}, "moved is"),
        ({"positions": tuple(at - 1 for at in proof.positions)}, "positions in w0"),
        ({"positions": tuple(at + 9 for at in proof.positions)}, "positions in w0"),
        ({"samples": shorter}, "samples of w0"),
        ({"learning_rate": None}, "learning rate"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"random": 1}, "random"),
    ):
        changed = dataclasses.replace(proof, **change).to_bytes()
        with_certificate(artifact, changed)
        refused(artifact, message)


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_what_is_no_certificate(small_export):
    text = np.frombuffer(b'{"version": 2}', np.uint8)
    for content, message in (
        (b"", "cannot be read"),
        (b"PK\3\4", "cannot be read"),
        (npz(x=np.zeros(3)), "certificate is not a file"),
        (npz(certificate=np.array([{}], object)), "cannot be read"),
        (npz(certificate=np.frombuffer(b"[" * 10**5, np.uint8)), "cannot be read"),
        (npz(certificate=text), "version 2"),
    ):
        with pytest.raises(ArtifactError, match=message) as caught:
            Certificate.from_bytes(content, small_export.manifest)
        assert "\n" not in str(caught.value)
    draw = random.Random(0)
    for _ in range(300):
        changed = bytearray(small_export.certificate)
        for _ in range(draw.choice((1, 2, 8))):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            Certificate.from_bytes(bytes(changed), small_export.manifest)
        except ArtifactError as error:
            assert "\n" not in str(error)


def test_without_tensorflow(artifact):
    code = """
import sys
for name in ("tensorflow", "fedp.export", "fedp.training", "cryptography"):
    sys.modules[name] = None
from fedp.device_runtime.verification import verify_artifact
print(all(result.passed for result in verify_artifact(sys.argv[1])))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, artifact], capture_output=True, text=True
    )
    assert done.stdout == "True\n", done.stderr
