"""Reading an artifact: whatever is in the file, only ArtifactError comes out."""

import dataclasses
import json
import pathlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime import artifact_file
from fedp.device_runtime.contract import Manifest, Policy, WeightSpec
from fedp.device_runtime.errors import ArtifactError

from .conftest import needs_subnormals

MANIFEST = Manifest(
    model="mlp",
    input_shape=(28, 28, 1),
    batch_size=20,
    classes=("0", "1", "é"),
    weights=(WeightSpec("w0", "dense/kernel:0", (784, 3)), WeightSpec("w1", "b", (3,))),
    policy=Policy(learning_rate=0.1, epochs=3),
    provenance={"rounds": [300, 100]},
)


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def flatbuffer(manifest: bytes, name: bytes = b"fedp_manifest") -> bytes:
    """The least TFLite file with metadata: Model{buffers: [b], metadata: [m]}.

    Written by hand from the flatbuffers format, as a second opinion on the reader.
    """
    out = bytearray(u32(28) + b"TFL3")
    # vtable at 8: size 18, table size 12, fields 0..6; field 4 at +4, field 6 at +8.
    out += struct.pack("<9H", 18, 12, 0, 0, 0, 0, 4, 0, 8) + bytes(2)
    assert len(out) == 28
    out += struct.pack("<iII", 28 - 8, 0, 0)  # Model at 28
    vector = len(out)
    struct.pack_into("<I", out, 32, vector - 32)
    out += u32(1) + u32(0)
    vtable = len(out)
    out += struct.pack("<3H", 6, 8, 4) + bytes(2)
    buffer = len(out)
    struct.pack_into("<I", out, vector + 4, buffer - vector - 4)
    out += struct.pack("<iI", buffer - vtable, 4) + u32(len(manifest)) + manifest
    out += bytes(-len(out) % 4)
    vector = len(out)
    struct.pack_into("<I", out, 36, vector - 36)
    out += u32(1) + u32(0)
    vtable = len(out)
    out += struct.pack("<4H", 8, 12, 4, 8)
    entry = len(out)
    struct.pack_into("<I", out, vector + 4, entry - vector - 4)
    out += struct.pack("<iII", entry - vtable, 8, 0) + u32(len(name)) + name
    return bytes(out)


def sealed(manifest: bytes) -> bytes:
    content = bytearray(flatbuffer(manifest))
    begin, _ = artifact_file.find_manifest(bytes(content))
    digest = artifact_file.file_hash(bytes(content), begin)
    content[begin + 11 : begin + 75] = digest.encode()
    return bytes(content)


BLANK = b'{"sha256":"%s","signature":"%s"' % (b"0" * 64, b"0" * 128)
GOOD = sealed(MANIFEST.to_json())


def read(tmp_path: pathlib.Path, content: bytes) -> Manifest:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    return artifact_file.read_artifact(path)[0]


def test_round_trip(tmp_path: pathlib.Path) -> None:
    manifest = read(tmp_path, GOOD)
    assert manifest == dataclasses.replace(MANIFEST, sha256=manifest.sha256)
    assert manifest.sha256 != MANIFEST.sha256


def test_exported_artifact(mlp_artifact: pathlib.Path) -> None:
    manifest, content = artifact_file.read_artifact(mlp_artifact)
    assert content == mlp_artifact.read_bytes()
    assert manifest.input_shape == (28, 28, 1) and len(manifest.classes) == 62


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TFLite file"),
        (b"PK\x03\x04 an npz, say", "not a TFLite file"),
        (GOOD[:100], "cut short"),
        (GOOD[:-1], "hash mismatch|damaged|manifest"),
        (flatbuffer(b"{}", name=b"min_runtime_version"), "no fedp manifest"),
        (
            u32(20)
            + b"TFL3"
            + bytes(4)
            + struct.pack("<2H", 4, 4)
            + bytes(4)
            + u32(8)[:4]
            + u32(0),
            "no fedp manifest",
        ),
        (sealed(BLANK + b"}"), "manifest cannot be read"),
        (sealed(BLANK + b", ["), "manifest cannot be read"),
        (sealed(dataclasses.replace(MANIFEST, contract=3).to_json()), "contract 3"),
    ],
)
def test_not_an_artifact(tmp_path: pathlib.Path, content: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "m.tflite") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        artifact_file.read_artifact(tmp_path / "none.tflite")
    with pytest.raises(ArtifactError, match="Is a directory"):
        artifact_file.read_artifact(tmp_path)


def test_every_flipped_bit_is_found() -> None:
    begin, _ = artifact_file.find_manifest(GOOD)
    for at in range(len(GOOD)):
        changed = bytearray(GOOD)
        changed[at] ^= 1 << (at % 8)
        try:
            start, end = artifact_file.find_manifest(bytes(changed))
            stored = changed[start + 11 : start + 75].decode()
        except ArtifactError:
            continue
        assert stored != artifact_file.file_hash(bytes(changed), start)


def test_flipped_byte_of_an_exported_file(
    tmp_path: pathlib.Path, mlp_artifact: pathlib.Path
) -> None:
    content = bytearray(mlp_artifact.read_bytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(ArtifactError, match="hash mismatch"):
        read(tmp_path, bytes(content))


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=6)),
        max_size=6,
    ),
    cut=st.integers(0, len(GOOD)) | st.just(len(GOOD)),
)
def test_any_bytes_are_an_artifact_error(
    edits: list[tuple[int, bytes]], cut: int
) -> None:
    changed = bytearray(GOOD)
    for at, new in edits:
        changed[at : at + len(new)] = new
    content = bytes(changed[:cut])
    try:
        begin, end = artifact_file.find_manifest(content)
        Manifest.from_json(content[begin:end])
    except ArtifactError as error:
        assert "\n" not in str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "shape", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@needs_subnormals
@settings(max_examples=300, deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(Manifest)]),
        json_values,
        min_size=1,
        max_size=3,
    ),
    dropped=st.sets(st.sampled_from(["weights", "policy", "classes", "model"])),
)
def test_any_manifest_is_an_artifact_error(
    changes: dict[str, object], dropped: set[str]
) -> None:
    fields = {**json.loads(MANIFEST.to_json()), **changes}
    for name in dropped:
        fields.pop(name, None)
    try:
        Manifest.from_json(json.dumps(fields).encode())
    except ArtifactError as error:
        assert "\n" not in str(error)
