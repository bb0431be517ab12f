import io
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.contract import CROSS_ENTROPY, SQUARED, Labels, Manifest
from fedp.device_runtime.errors import DataError
from fedp.device_runtime.examples import (
    as_labels,
    as_model_input,
    as_tokens,
    examples_for,
    read_arrays,
)

SHAPE = (28, 28, 1)
MANIFEST = Manifest("mlp", SHAPE, 20, tuple(map(str, range(62))), ())


def test_uint8_is_scaled_and_gets_its_channel() -> None:
    x = as_model_input(np.full((2, 28, 28), 51, np.uint8), SHAPE)
    assert x.shape == (2, 28, 28, 1) and x.dtype == np.float32
    assert (x == np.float32(51) / np.float32(255)).all()  # 0.2


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_as_they_are(dtype: type) -> None:
    x = as_model_input(np.full((1, *SHAPE), 0.25, dtype), SHAPE)
    assert x.dtype == np.float32 and (x == 0.25).all()


def test_no_examples() -> None:
    assert as_model_input(np.zeros((0, 28, 28)), SHAPE).shape == (0, 28, 28, 1)


def test_a_client_without_data() -> None:
    for empty in ([], np.zeros((0, 28, 28)), np.zeros((0, 3), np.int64)):
        x, y = examples_for(empty, [], MANIFEST)
        assert (x.shape, x.dtype, y.shape, y.dtype) == (
            (0, *SHAPE),
            np.float32,
            (0,),
            np.int32,
        )


@pytest.mark.parametrize("x", [np.array(0.5), np.zeros((0, 28, 28)), None])
@pytest.mark.parametrize("y", [np.array(0), 0, None])
def test_examples_without_a_length(x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(DataError, match="shape|dtype"):
        examples_for(x, y, MANIFEST)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 27, 28)), r"shape \[2, 27, 28\]; the model takes \[n, 28"),
        (np.zeros((28, 28)), "reshape"),
        (np.zeros((2, 28, 28, 3)), "reshape"),
        (np.array(3.0), "reshape"),
        (np.zeros((2, 28, 28), np.int64), "dtype int64"),
        (np.array(["a"]), "dtype <U1"),
        (None, "dtype object"),
        ([[1.0], [1.0, 2.0]], "different shapes"),
        (np.full((2, 28, 28), 1e300), "NaN or Inf, first in example 0"),
    ],
)
def test_wrong_inputs(x: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_model_input(x, SHAPE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(bad: float) -> None:
    x = np.zeros((3, 28, 28), np.float32)
    x[1, 4, 5] = bad
    with pytest.raises(DataError, match="first in example 1"):
        as_model_input(x, SHAPE)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i4", np.uint64])
def test_labels(dtype: str) -> None:
    y = as_labels(np.array([0, 61], dtype), 62, (2,))
    assert y.dtype == np.int32 and y.tolist() == [0, 61]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 62]), r"label 62 of example 1 .* 0\.\.61"),
        (np.array([-1, 0]), "label -1 of example 0"),
        (np.array([2**63, 0], np.uint64), "label 9223372036854775808"),
        (np.array([0.0, 1.0]), "dtype float64"),
        (np.array([0]), r"shape \[1\] for 2 examples"),
        (np.zeros((2, 1), int), r"shape \[2, 1\]"),
        ([[1], [1, 2]], "different shapes"),
    ],
)
def test_wrong_labels(y: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_labels(y, 62, (2,))


def npz(compressed: bool) -> bytes:
    out = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(out, x=np.zeros((3, 28, 28), np.uint8), y=np.arange(3))
    return out.getvalue()


def test_read_arrays(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.npz").write_bytes(npz(True))
    x, y = read_arrays(tmp_path / "a.npz", "x", "y")
    assert x.shape == (3, 28, 28) and y.tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="no array 'z'"):
        read_arrays(tmp_path / "a.npz", "z")


def test_files_that_are_no_npz(tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "pickled.npz", x=np.array([object()], object))
    (tmp_path / "empty.npz").write_bytes(b"")
    for path in (*tmp_path.iterdir(), tmp_path, tmp_path / "none.npz"):
        with pytest.raises(DataError, match=str(path)):
            read_arrays(path, "x")


@settings(max_examples=200, deadline=None)
@given(
    compressed=st.booleans(),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4
    ),
    cut=st.floats(0, 1) | st.just(1.0),
)
def test_any_bytes_are_a_data_error(
    compressed: bool, edits: list[tuple[float, int]], cut: float
) -> None:
    content = bytearray(npz(compressed))
    for place, value in edits:
        content[int(place * len(content))] = value
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "a.npz"
        path.write_bytes(content[: int(cut * len(content))])
        try:
            x, y = read_arrays(path, "x", "y")
            as_labels(y, 62, (len(as_model_input(x, SHAPE)),))
        except DataError as error:
            assert "\n" not in str(error)


TEXT = Manifest(
    "lstm",
    (4,),
    20,
    ("a", "b", "c"),
    (),
    input_dtype="int32",
    tokens=3,
    labels=Labels(CROSS_ENTROPY, (4,)),
)


def test_tokens_and_a_label_each_of_which_some_are_none() -> None:
    x, y = examples_for(np.array([[0, 1, 2, 2]]), np.array([[1, 2, -1, -1]]), TEXT)
    assert x.dtype == y.dtype == np.int32
    assert x.tolist() == [[0, 1, 2, 2]] and y.tolist() == [[1, 2, -1, -1]]
    x, y = examples_for([], [], TEXT)
    assert x.shape == y.shape == (0, 4) and x.dtype == np.int32


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[0, 1, 2, 3]], [[0, 0, 0, 0]], r"token 3 of example 0 .* 0\.\.2"),
        ([[0, 1, -2, 0]], [[0, 0, 0, 0]], "token -2 of example 0"),
        ([[0.5, 1, 2, 0]], [[0, 0, 0, 0]], "dtype float64; tokens are integers"),
        ([[0, 1, 2]], [[0, 0, 0]], r"shape \[1, 3\]; the model takes \[n, 4\]"),
        ([[0, 1, 2, 0]], [0], r"labels of shape \[4\] an example"),
        ([[0, 1, 2, 0]], [[0, 0, 0, -2]], r"label -2 of example 0 .* -1\.\.2"),
        ([[0, 1, 2, 0]], [[0, 0, 0, 3]], "label 3 of example 0"),
    ],
)
def test_bad_sequences(x: list, y: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        examples_for(np.array(x), np.array(y), TEXT)


def test_tokens_without_a_limit() -> None:
    assert as_tokens(np.array([[2**31 - 1]]), (1,), 0).tolist() == [[2**31 - 1]]
    for token in (-1, 2**31):
        with pytest.raises(DataError, match=r"allowed are 0\.\.2147483647"):
            as_tokens(np.array([[token]]), (1,), 0)


NUMBERS = Manifest("mlp", (2,), 20, ("a",), (), labels=Labels(SQUARED, (1,)))


def test_numbers_of_a_regression() -> None:
    _, y = examples_for(np.zeros((2, 2)), np.array([[1], [-3]]), NUMBERS)
    assert y.dtype == np.float32 and y.tolist() == [[1.0], [-3.0]]
    for y, message in (
        (np.zeros(2), r"labels of shape \[1\]"),
        (np.array([["a"], ["b"]]), "numbers are needed"),
        (np.array([[np.nan], [0]]), "NaN or Inf"),
    ):
        with pytest.raises(DataError, match=message):
            examples_for(np.zeros((2, 2)), y, NUMBERS)
