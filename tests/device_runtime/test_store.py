"""State on real files: what is live, what is forgotten, who may read it."""

import os
import pathlib
import sqlite3
import stat

import numpy as np
import pytest

from fedp.device_runtime import facts
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.store import KEPT_GENERATIONS, Store

ARTIFACT = "a" * 64
SIZE = 40_000


def weights(number: int) -> bytes:
    return bytes([number]) * SIZE


def open_store(directory: pathlib.Path | None, artifact: str = ARTIFACT) -> Store:
    return Store.open(directory, artifact, SIZE)


def commit(store: Store, number: int) -> int:
    return store.commit(weights(number), "keep", f"reason {number}", "{}")


def live(store: Store) -> bytes | None:
    row = store.newest()
    return row.weights if row else None


@pytest.fixture(params=["file", "memory"])
def directory(request: pytest.FixtureRequest, tmp_path: pathlib.Path):
    return tmp_path / "new" / "state" if request.param == "file" else None


def test_newest_is_live_and_last_ones_stay(directory: pathlib.Path | None) -> None:
    store = open_store(directory)
    assert store.newest() is None and store.count() == 0
    ids = [commit(store, number) for number in range(1, 6)]
    assert ids == [1, 2, 3, 4, 5]
    assert store.count() == KEPT_GENERATIONS == 3
    assert [store.newest(skip).id for skip in range(3)] == [5, 4, 3]
    row = store.newest()
    assert (row.weights, row.decision, row.reason) == (weights(5), "keep", "reason 5")
    store.close()


def test_rollback_and_reset(directory: pathlib.Path | None) -> None:
    store = open_store(directory)
    commit(store, 1)
    commit(store, 2)
    store.commit(None, "revert", "worse", "{}")
    assert store.newest().decision == "revert" and live(store) is None
    store.rollback()
    assert live(store) == weights(2)
    store.rollback()
    assert live(store) == weights(1)
    store.rollback()
    store.rollback()
    assert store.newest() is None
    assert commit(store, 3) == 4  # An id is never given twice.
    store.reset()
    assert store.newest() is None and store.count() == 0
    store.close()


def test_another_opening_sees_the_same(tmp_path: pathlib.Path) -> None:
    first = open_store(tmp_path)
    commit(first, 7)
    first.close()
    second = open_store(tmp_path)
    assert live(second) == weights(7) and second.damage() == ""
    second.close()


def test_only_the_owner_may_read(tmp_path: pathlib.Path) -> None:
    old = os.umask(0)
    try:
        store = open_store(tmp_path / "state")
        commit(store, 1)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    store.close()


def test_one_file_between_transactions(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    commit(store, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["state.sqlite"]
    store.close()


def test_forgotten_weights_are_overwritten(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    commit(store, 0xAB)
    assert b"\xab" * 1000 in store.path.read_bytes()
    store.reset()
    store.close()
    assert b"\xab" * 1000 not in store.path.read_bytes()


def test_another_artifact_meets_old_state(tmp_path: pathlib.Path) -> None:
    """Examples are everyone's; weights are of one artifact alone."""
    store = open_store(tmp_path)
    first = commit(store, 1)
    kept = store.add_example(np.arange(6), 1)
    store.close()
    other = Store.open(tmp_path, "b" * 64, 8)
    assert other.newest() is None and other.count() == 0 and other.damage() == ""
    assert other.examples().ids.tolist() == [kept]
    other.rollback()
    assert other.commit(b"12345678", "keep", "of b", "{}") == first + 1
    other.close()
    again = open_store(tmp_path)
    assert live(again) == weights(1)
    again.close()
    other = Store.open(tmp_path, "b" * 64, 8)
    for _ in range(KEPT_GENERATIONS - 1):  # The other's give way first.
        other.commit(b"12345678", "keep", "of b", "{}")
    other.close()
    again = open_store(tmp_path)
    assert again.newest() is None and again.example_count() == 1
    again.close()


def test_newer_schema(tmp_path: pathlib.Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        connection.execute("PRAGMA user_version = 9")
        facts.put(connection, "schema", 9)  # One word alone would be damage.
    connection.close()
    with pytest.raises(StateError, match="schema 9, this fedp knows 1 to 2"):
        open_store(tmp_path)


def test_database_of_another_program_is_left_alone(tmp_path: pathlib.Path) -> None:
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        connection.execute("CREATE TABLE photos (name)")
    connection.close()
    before = (tmp_path / "state.sqlite").read_bytes()
    with pytest.raises(StateError, match="another program's database"):
        open_store(tmp_path)
    assert (tmp_path / "state.sqlite").read_bytes() == before


def test_directory_is_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="cannot be opened"):
        open_store(tmp_path / "state")


def test_locked_by_another_process_is_not_damage(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    commit(store, 1)
    store._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateError, match="cannot be written.*locked.*try again"):
        commit(store, 2)
    other.execute("ROLLBACK")
    other.close()
    assert live(store) == weights(1) and commit(store, 2) == 2
    store.close()


def test_closed(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StateError, match="open it again"):
        commit(store, 1)


def test_failing_transaction_changes_nothing(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    commit(store, 1)
    with pytest.raises(TypeError):
        store.commit(weights(2), "keep", None, "{}")  # type: ignore[arg-type]
    assert live(store) == weights(1) and store.count() == 1
    assert commit(store, 3) == 2
    store.close()
