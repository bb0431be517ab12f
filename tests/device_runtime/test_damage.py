"""Damaged state files: the newest good generation is live, and nobody is lied to."""

import os
import pathlib
import sqlite3
import tempfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import StateError
from fedp.device_runtime.store import Store, forget_state

ARTIFACT = "a" * 64
SIZE = 6_000


def weights(number: int) -> bytes:
    return bytes([number]) * SIZE


def write_state(directory: pathlib.Path) -> pathlib.Path:
    """A state with generations 1, 2 and 3."""
    store = Store.open(directory, ARTIFACT, SIZE)
    for number in (1, 2, 3):
        store.commit(weights(number), "keep", f"reason {number}", "{}")
    store.close()
    return directory / "state.sqlite"


def flip_in(path: pathlib.Path, needle: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(needle) + len(needle) // 2] ^= 0x10
    path.write_bytes(content)


def test_flipped_bit_in_the_newest_weights(tmp_path: pathlib.Path) -> None:
    flip_in(write_state(tmp_path), b"\x03" * 1000)
    for _ in range(2):  # It stays known until something new is stored.
        store = Store.open(tmp_path, ARTIFACT, SIZE)
        assert store.newest().weights == weights(2)
        assert store.damage() == "generation 3 does not match its hash"
        store.close()
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    store.commit(weights(4), "keep", "", "{}")
    assert store.damage() == ""
    assert [store.newest(skip).weights[0] for skip in range(3)] == [4, 2, 1]
    store.close()


def test_end_in_the_middle_of_mending(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file would be renamed next, the good generations are still found."""
    flip_in(write_state(tmp_path), b"\x03" * 1000)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            Store.open(tmp_path, ARTIFACT, SIZE)
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert store.newest().weights == weights(2)
    store.close()


def test_flipped_bit_in_an_older_generation(tmp_path: pathlib.Path) -> None:
    flip_in(write_state(tmp_path), b"\x01" * 1000)
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert store.newest().weights == weights(3) and store.count() == 2
    assert "generation 1" in store.damage()
    store.close()


def test_flipped_bit_in_a_reason(tmp_path: pathlib.Path) -> None:
    flip_in(write_state(tmp_path), b"reason 3")
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert store.newest().reason == "reason 2"
    store.close()


def test_all_weights_damaged(tmp_path: pathlib.Path) -> None:
    path = write_state(tmp_path)
    for number in (1, 2, 3):
        flip_in(path, bytes([number]) * 1000)
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert store.newest() is None
    assert store.damage() == "generation 1, 2, 3 does not match its hash"
    store.close()


@pytest.mark.parametrize(
    "garbage",
    [b"garbage" * 1000, b"x", b"SQLite format 3\0"],
    ids=["long", "one byte", "mark alone"],
)
def test_garbage_file(tmp_path: pathlib.Path, garbage: bytes) -> None:
    path = write_state(tmp_path)
    path.write_bytes(garbage)
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert store.newest() is None and store.damage()
    assert (tmp_path / "state.sqlite.damaged").read_bytes() == garbage
    store.commit(weights(9), "keep", "", "{}")
    store.close()
    again = Store.open(tmp_path, ARTIFACT, SIZE)
    assert again.newest().weights == weights(9)
    again.close()


def test_empty_file_is_a_new_state(tmp_path: pathlib.Path) -> None:
    # What a crash leaves between making the file and its first transaction.
    (tmp_path / "state.sqlite").write_bytes(b"")
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert store.newest() is None and store.damage() == ""
    store.close()


def test_foreign_length_of_weights_is_damage(tmp_path: pathlib.Path) -> None:
    store = Store.open(tmp_path, ARTIFACT, 8)
    store.commit(b"12345678", "keep", "", "{}")
    store.close()
    store = Store.open(tmp_path, ARTIFACT, 12)
    assert store.newest() is None and "generation 1" in store.damage()
    store.close()


@st.composite
def damages(draw: st.DrawFn):
    """What to do to a file of some length: flip bits, overwrite a run, cut it short."""
    kind = draw(st.sampled_from(["flip", "overwrite", "cut"]))
    places = st.floats(0, 1, exclude_max=True)
    if kind == "flip":
        return kind, draw(st.lists(st.tuples(places, st.integers(0, 7)), min_size=1))
    if kind == "overwrite":
        return kind, draw(places), draw(st.binary(min_size=1, max_size=5000))
    return kind, draw(places)


def apply(content: bytes, damage: tuple) -> bytes:
    changed = bytearray(content)
    kind, *rest = damage
    if kind == "cut":
        return content[: int(rest[0] * len(content))]
    if kind == "overwrite":
        start = int(rest[0] * len(content))
        return (content[:start] + rest[1] + content[start + len(rest[1]) :])[
            : len(content)
        ]
    for place, bit in rest[0]:
        changed[int(place * len(changed))] ^= 1 << bit
    return bytes(changed)


@pytest.fixture(scope="module")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_state(tmp_path_factory.mktemp("good")).read_bytes()


@settings(max_examples=100, deadline=None)
@given(damage=damages())
# SQLite's message about it is no UTF-8.
@example(damage=("overwrite", 0.0670028497909152, b"\x80"))
def test_any_damage(good_file: bytes, damage: tuple) -> None:
    """Never another error than StateError, and never weights that were not stored."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        content = apply(good_file, damage)
        (directory / "state.sqlite").write_bytes(content)
        try:
            store = Store.open(directory, ARTIFACT, SIZE)
        except StateError as error:
            assert "\n" not in str(error)
            return
        row = store.newest()
        assert row is None or row.weights in (weights(1), weights(2), weights(3))
        if row is None or row.weights != weights(3):
            assert store.damage() or not content  # Cut to nothing, it is new.
        try:
            store.commit(weights(4), "keep", "", "{}")
            assert store.newest().weights == weights(4)
            store.reset()
            assert os.listdir(directory) == ["state.sqlite"]
        except StateError:  # A header that makes the file read-only.
            pass
        store.close()


def test_damaged_hash_of_the_artifact(tmp_path: pathlib.Path) -> None:
    """The row's own hash is the second witness of whose weights they are."""
    flip_in(write_state(tmp_path), ARTIFACT.encode())
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert [store.newest(skip).weights[0] for skip in range(3)] == [3, 2, 1]
    assert store.damage() == "the hash of its artifact is damaged"
    store.close()


def test_damaged_hash_opened_for_another_artifact(tmp_path: pathlib.Path) -> None:
    flip_in(write_state(tmp_path), ARTIFACT.encode())
    store = Store.open(tmp_path, "b" * 64, SIZE)
    assert store.newest() is None and store.damage()
    store.close()


def test_damaged_owner_and_damaged_weights(tmp_path: pathlib.Path) -> None:
    path = write_state(tmp_path)
    flip_in(path, ARTIFACT.encode())
    flip_in(path, b"\x03" * 1000)
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    assert store.newest().weights == weights(2)
    assert "artifact" in store.damage() and "generation 3" in store.damage()
    store.close()


def leave_traces(directory: pathlib.Path) -> list[pathlib.Path]:
    """What damage, mending and crashes leave beside the state, all with weights."""
    flip_in(write_state(directory), b"\x03" * 1000)
    Store.open(directory, ARTIFACT, SIZE).close()
    names = ["damaged-journal", "mended", "mended-journal"]
    for name in names:
        (directory / f"state.sqlite.{name}").write_bytes(weights(3) * 400)  # 2.4 MB
    return [directory / f"state.sqlite.{name}" for name in ["damaged", *names]]


def forget_by_reset(directory: pathlib.Path) -> None:
    store = Store.open(directory, ARTIFACT, SIZE)
    store.reset()
    store.close()


@pytest.mark.parametrize(
    ("forget", "left"),
    [(forget_by_reset, ["state.sqlite"]), (forget_state, [])],
    ids=["reset", "forget_state"],
)
def test_forgetting_overwrites_and_removes_every_trace(
    tmp_path: pathlib.Path, forget, left: list[str]
) -> None:
    state, kept = tmp_path / "state", tmp_path / "kept"
    traces = leave_traces(state)
    (state / "notes.txt").write_text("of someone else")
    traces += [state / "state.sqlite"]
    kept.mkdir()
    for path in traces:  # A second name shows what becomes of the bytes.
        os.link(path, kept / path.name)
        assert b"\x03" * 500 in path.read_bytes() or b"\x02" * 500 in path.read_bytes()
    forget(state)
    assert sorted(os.listdir(state)) == ["notes.txt", *left]
    for path in kept.iterdir():
        content = path.read_bytes()
        assert not any(bytes([n]) * 100 in content for n in (1, 2, 3)), path.name


def test_mending_again_overwrites_what_it_replaces(tmp_path: pathlib.Path) -> None:
    (tmp_path / "state").mkdir()
    path = write_state(tmp_path / "state")
    flip_in(path, b"\x03" * 1000)
    Store.open(path.parent, ARTIFACT, SIZE).close()
    os.link(path.parent / "state.sqlite.damaged", tmp_path / "first")
    flip_in(path, b"\x02" * 1000)
    Store.open(path.parent, ARTIFACT, SIZE).close()
    assert not (tmp_path / "first").read_bytes().strip(b"\0")
    assert b"\x01" * 1000 in (path.parent / "state.sqlite.damaged").read_bytes()


def test_forgetting_what_cannot_be_removed(tmp_path: pathlib.Path) -> None:
    """A file that is no state file, such as a directory, is an error and stays."""
    (tmp_path / "state.sqlite.damaged").mkdir()
    with pytest.raises(StateError, match="cannot be forgotten"):
        forget_state(tmp_path)


def test_reset_that_fails_keeps_what_was_live(tmp_path: pathlib.Path) -> None:
    write_state(tmp_path)
    (tmp_path / "state.sqlite.damaged").mkdir()
    store = Store.open(tmp_path, ARTIFACT, SIZE)
    with pytest.raises(StateError, match="cannot be written"):
        store.reset()
    assert store.newest().weights == weights(3) and store.count() == 3
    store.close()


def test_mended_file_is_sound(tmp_path: pathlib.Path) -> None:
    flip_in(write_state(tmp_path), b"\x03" * 1000)
    Store.open(tmp_path, ARTIFACT, SIZE).close()
    connection = sqlite3.connect(tmp_path / "state.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
