"""A state of the first release goes on living in today's format."""

import hashlib
import os
import pathlib
import sqlite3

import pytest

from fedp.device_runtime.errors import StateError
from fedp.device_runtime.store import Store

from .old_state import write_old_state
from .test_damage import ARTIFACT, SIZE, flip_in, weights


@pytest.fixture
def old(tmp_path: pathlib.Path) -> pathlib.Path:
    write_old_state(tmp_path, ARTIFACT, [weights(n) for n in (1, 2, 3)])
    return tmp_path / "state.sqlite"


def numbers(store: Store) -> list[int]:
    rows = [store.newest(skip) for skip in range(store.count())]
    return [row.weights[0] for row in rows]


def test_nothing_is_lost(old: pathlib.Path) -> None:
    for _ in range(2):
        store = Store.open(old.parent, ARTIFACT, SIZE)
        assert numbers(store) == [3, 2, 1] and store.damage() == ""
        assert store.newest().created == "2026-01-01T00:00:00+00:00"
        assert store.newest().reason == "reason 3" and store.newest().id == 3
        store.close()
    assert os.listdir(old.parent) == ["state.sqlite"]
    store = Store.open(old.parent, ARTIFACT, SIZE)
    store.rollback()
    assert store.commit(weights(4), "keep", "", "{}") == 4
    store.close()


def test_opened_for_another_artifact(old: pathlib.Path) -> None:
    store = Store.open(old.parent, "b" * 64, SIZE)
    assert store.newest() is None
    store.close()
    store = Store.open(old.parent, ARTIFACT, SIZE)
    assert numbers(store) == [3, 2, 1]
    store.close()


def test_ids_of_forgotten_generations_stay_taken(old: pathlib.Path) -> None:
    connection = sqlite3.connect(old)
    with connection:
        connection.execute("DELETE FROM generations WHERE id = 3")
    connection.close()
    store = Store.open(old.parent, ARTIFACT, SIZE)
    assert store.commit(weights(4), "keep", "", "{}") == 4
    store.close()


def test_damaged_generation(old: pathlib.Path) -> None:
    flip_in(old, b"\x03" * 1000)
    store = Store.open(old.parent, ARTIFACT, SIZE)
    assert numbers(store) == [2, 1]
    assert store.damage() == "generation 3 does not match its hash"
    store.close()


@pytest.mark.parametrize("witness", ["hash", "check"])
def test_one_damaged_witness_of_the_owner(old: pathlib.Path, witness: str) -> None:
    """The artifact's hash and the hash of that vouch for each other."""
    check = hashlib.sha256(ARTIFACT.encode()).hexdigest()
    flip_in(old, (ARTIFACT if witness == "hash" else check).encode())
    store = Store.open(old.parent, ARTIFACT, SIZE)
    assert numbers(store) == [3, 2, 1]
    assert store.damage() == "the hash of its artifact is damaged"
    store.close()


@pytest.mark.parametrize("opened_as", [ARTIFACT, "b" * 64])
def test_weights_of_an_unknown_owner(old: pathlib.Path, opened_as: str) -> None:
    flip_in(old, ARTIFACT.encode())
    flip_in(old, hashlib.sha256(ARTIFACT.encode()).hexdigest().encode())
    store = Store.open(old.parent, opened_as, SIZE)
    assert store.newest() is None and "unknown" in store.damage()
    store.close()


def test_full_disk(small_disk: pathlib.Path) -> None:
    """Where there is no room for the new format, the old file stays as it is."""
    size = 400_000
    blobs = [bytes([n]) * size for n in (1, 2)]
    write_old_state(small_disk / "state", ARTIFACT, blobs)
    with pytest.raises(OSError):
        (small_disk / "other").write_bytes(bytes(3_000_000))
    before = (small_disk / "state" / "state.sqlite").read_bytes()
    with pytest.raises(StateError, match="free some space"):
        Store.open(small_disk / "state", ARTIFACT, size)
    assert (small_disk / "state" / "state.sqlite").read_bytes() == before
    (small_disk / "other").unlink()
    store = Store.open(small_disk / "state", ARTIFACT, size)
    assert store.newest().weights == blobs[1]
    store.close()
