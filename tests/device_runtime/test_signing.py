"""Who signed an artifact: other files never reach an interpreter."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from fedp.device_runtime import (
    Personalizer,
    artifact_file,
    inference_model,
    session,
)
from fedp.device_runtime.baking import bake, initial_weights
from fedp.device_runtime.errors import ArtifactError, SigningKeyError
from fedp.device_runtime.signing import raw_public_key
from fedp.device_runtime.skeleton import read_skeleton

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
RAW = KEY.public_key().public_bytes_raw()
PEM = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object) -> None:
        raise AssertionError("the file reached an interpreter")

    for module in (session, inference_model):
        monkeypatch.setattr(module, "load_interpreter", reached)


@pytest.fixture
def signed(small_export, tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "signed.tflite"
    path.write_bytes(small_export.signed(KEY.sign).content)
    return path


def refused(path: pathlib.Path, message: str, public_key: object = RAW) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        Personalizer.open(path, public_key=public_key)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_rfc_8032_vector() -> None:
    """Section 7.1, test 2: another implementation's signature is accepted."""
    public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    from fedp.device_runtime.signing import check_signature

    check_signature(b"\x72", bytes.fromhex(signature), bytes.fromhex(public))
    with pytest.raises(ArtifactError, match="not of this public key"):
        check_signature(b"\x73", bytes.fromhex(signature), bytes.fromhex(public))


def test_signed_file_opens_with_the_key_and_without(signed, small_export, tmp_path):
    (tmp_path / "key.pub").write_bytes(PEM)
    for key in (None, RAW, PEM, tmp_path / "key.pub", str(tmp_path / "key.pub")):
        with Personalizer.open(signed, public_key=key) as device:
            assert device.manifest.signed
    assert not small_export.manifest.signed
    assert device.manifest.sha256 != small_export.manifest.sha256


def test_signing_changes_the_seal_alone(signed, small_export):
    """Hash and signature: 64 and 128 digits at fixed places of the manifest."""
    one, other = small_export.content, signed.read_bytes()
    begin, _ = artifact_file.find_manifest(one)
    places = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    allowed = {*range(begin + 11, begin + 75), *range(begin + 90, begin + 218)}
    assert set(places) <= allowed


@pytest.mark.usefixtures("no_interpreter")
def test_what_a_key_refuses(signed, small_export, tmp_path):
    content = signed.read_bytes()
    refused(signed, "not of this public key", OTHER.public_key().public_bytes_raw())
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(small_export.content)
    refused(bad, "not signed")
    bad.write_bytes(small_export.signed(OTHER.sign).content)
    refused(bad, "not of this public key")
    # One weight changed, and the hash made to fit again, with the signature kept.
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    bad.write_bytes(changed)
    refused(bad, "hash mismatch")
    kept = bytes.fromhex(small_export.signed(KEY.sign).manifest.signature)
    bad.write_bytes(artifact_file.seal(changed, lambda _: kept))
    refused(bad, "not of this public key")
    bad.write_bytes(artifact_file.seal(content, lambda _: bytes(63) + b"\1"))
    refused(bad, "not of this public key")


def test_the_bytes_that_were_checked_are_the_ones_that_run(
    signed, monkeypatch: pytest.MonkeyPatch
):
    """The file is read once: what it becomes afterwards does not matter."""
    content, given = signed.read_bytes(), []

    skeleton = read_skeleton(content)
    assert skeleton
    baked = bake(content, skeleton, initial_weights(content, skeleton) or b"")

    def load(data: bytes, *_: object, **__: object) -> None:
        given.append(data)
        raise ArtifactError("stop here")

    read = pathlib.Path.read_bytes

    def read_and_swap(path: pathlib.Path) -> bytes:
        found = read(path)
        path.write_bytes(b"another file")
        return found

    monkeypatch.setattr(pathlib.Path, "read_bytes", read_and_swap)
    monkeypatch.setattr(inference_model, "load_interpreter", load)
    with pytest.raises(ArtifactError, match="stop here"):
        Personalizer.open(signed, public_key=RAW)
    assert given == [baked]


def pem_of(kind: str) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec

    if kind == "private":
        return KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no PEM public key"),
        (b"x" * 31, "no PEM public key"),
        (PEM[:60], "no PEM public key"),
        (pem_of("private"), "a private key"),
        (pem_of("elliptic"), "kind EC"),
    ],
    ids=["empty", "short", "cut", "private", "elliptic"],
)
def test_not_a_public_key(content, found, tmp_path):
    path = tmp_path / "key.pub"
    path.write_bytes(content)
    for key in (path, content):
        with pytest.raises(SigningKeyError, match=found) as caught:
            raw_public_key(key)
        assert "\n" not in str(caught.value) and "fedp keygen" in str(caught.value)


def test_no_such_key(tmp_path):
    with pytest.raises(SigningKeyError, match="No such file"):
        raw_public_key(tmp_path / "none.pub")


def test_without_the_package(signed):
    """An artifact still opens; a key is an error that says what to install."""
    code = """
import sys
sys.modules["cryptography"] = None
from fedp.device_runtime import Personalizer
from fedp.device_runtime.errors import MissingDependencyError
Personalizer.open(sys.argv[1]).close()
try:
    Personalizer.open(sys.argv[1], public_key=bytes(32))
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, signed], capture_output=True, text=True, check=True
    )
    assert "pip install 'cryptography>=42'" in done.stdout
    assert done.stdout.count("\n") == 1
