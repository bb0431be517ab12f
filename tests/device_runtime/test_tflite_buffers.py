"""Buffers and metadata as the schema's own reader finds them; damage is an error."""

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.artifact_file import find_manifest
from fedp.device_runtime.contract import MANIFEST_METADATA
from fedp.device_runtime.errors import ArtifactError
from fedp.device_runtime.tflite_buffers import BufferReader

from .test_contract import GOOD


def test_buffers_are_those_of_the_schema(mlp_artifact: pathlib.Path) -> None:
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    content = mlp_artifact.read_bytes()
    model, buffers = schema.Model.GetRootAs(content, 0), BufferReader(content)
    assert len(buffers) == model.BuffersLength()
    for number in range(len(buffers)):
        begin, end = buffers.range(number)
        expected = model.Buffers(number)
        assert end - begin == expected.DataLength()
        if end > begin:
            assert content[begin:end] == expected.DataAsNumpy().tobytes()


def test_metadata() -> None:
    buffers = BufferReader(GOOD)
    assert buffers.metadata(MANIFEST_METADATA) == find_manifest(GOOD)
    assert buffers.metadata("fedp_nonsense") is None


@pytest.mark.parametrize("number", [-1, 1, 10**9])
def test_no_such_buffer(number: int) -> None:
    with pytest.raises(ArtifactError, match=f"buffer {number} is damaged"):
        BufferReader(GOOD).range(number)


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
    try:
        buffers = BufferReader(bytes(changed[:cut]))
        buffers.metadata(MANIFEST_METADATA)
        for number in range(min(len(buffers), 9)):
            begin, end = buffers.range(number)
            assert 0 <= begin <= end <= cut
    except ArtifactError as error:
        assert "\n" not in str(error)
