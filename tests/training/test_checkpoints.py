import errno

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import RunError
from fedp.training.checkpoints import (
    drop_checkpoints,
    read_arrays,
    read_checkpoint,
    write_arrays,
    write_checkpoint,
    write_run_file,
)

STATE = [np.arange(1000, dtype=np.float32).reshape(10, 100), np.int32(7)]


def assert_same(found, expected):
    assert [a.dtype for a in found] == [a.dtype for a in expected]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_newest_is_read_and_two_are_kept(tmp_path):
    for number in (1, 2, 30):
        write_checkpoint(tmp_path, number, [STATE[0] * number, STATE[1]])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["round_000002.npz", "round_000030.npz"]
    number, arrays = read_checkpoint(tmp_path)
    assert number == 30
    assert_same(arrays, [STATE[0] * 30, STATE[1]])


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_checkpoint_cut_short_gives_way_to_the_one_before(tmp_path, share):
    write_checkpoint(tmp_path, 1, STATE)
    write_checkpoint(tmp_path, 2, STATE)
    newest = tmp_path / "round_000002.npz"
    content = newest.read_bytes()
    newest.write_bytes(content[: int(len(content) * share)])
    number, arrays = read_checkpoint(tmp_path)
    assert number == 1
    assert_same(arrays, STATE)


def test_a_flipped_byte_gives_way_too(tmp_path):
    write_checkpoint(tmp_path, 1, STATE)
    write_checkpoint(tmp_path, 2, STATE)
    newest = tmp_path / "round_000002.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert read_checkpoint(tmp_path)[0] == 1


def test_none_is_none(tmp_path):
    assert read_checkpoint(tmp_path) is None


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def run_out_of_room(file):
        file.write(b"n")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match="No space left on device.*make room"):
        write_run_file(path, run_out_of_room)
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and path.read_bytes() == b"old"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_noticed(data, tmp_path_factory):
    """Also in the zip's own directory, where NumPy would return fewer arrays."""
    path = tmp_path_factory.mktemp("flip") / "state.npz"
    arrays = [np.arange(6, dtype=np.float32), np.array(b"noise"), np.array(3)]
    write_arrays(path, arrays)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found = read_arrays(path)
    except RunError as error:
        assert "state.npz" in str(error) and "\n" not in str(error)
    else:  # a time stamp, say, that nothing depends on
        for a, b in zip(found, arrays, strict=True):
            np.testing.assert_array_equal(a, b)


def test_damaged_checkpoints_do_not_push_out_good_ones(tmp_path):
    for number in (10, 20):
        write_checkpoint(tmp_path, number, [np.zeros(3)])
    newest = tmp_path / "round_000020.npz"
    newest.write_bytes(newest.read_bytes()[:50])
    done, _ = read_checkpoint(tmp_path)
    assert done == 10
    drop_checkpoints(tmp_path, after=done)
    write_checkpoint(tmp_path, 11, [np.ones(3)])
    assert sorted(p.stem for p in tmp_path.iterdir()) == [
        "round_000010",
        "round_000011",
    ]
