"""A full disk: each change is made whole or not at all, and reads go on."""

import contextlib
import pathlib

import numpy as np
import pytest

from fedp.device_runtime.errors import StateError
from fedp.device_runtime.store import Store

from .test_pages import rows_of

ARTIFACT = "a" * 64
SIZE = 20_000
PAGE = 4096
CHANGES = {
    "add_example": lambda store: store.add_example(np.ones(3000, np.float32), 1),
    "delete_example": lambda store: store.delete_example(1),
    "configure": lambda store: store.configure(capacity=1),
    "commit": lambda store: store.commit(bytes(SIZE), "keep", "", "{}"),
    "withdraw": lambda store: store.commit(None, "revert", "", "{}", withdrawn=True),
    "rollback": Store.rollback,
    "reset": Store.reset,
    "forget": Store.forget,
    "save_unfinished": lambda store: store.save_unfinished(bytes(3 * SIZE), "key"),
    "clear_unfinished": Store.clear_unfinished,
    "log_outcome": lambda store: store.log_outcome(1.0),
    "clear_outcomes": Store.clear_outcomes,
    "release": lambda store: store.release(lambda _: (None, "new")),
}


def fill_up(path: pathlib.Path, room: int) -> None:
    """Leaves some pages free."""
    with path.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(PAGE))
        file.truncate(max(file.seek(0, 2) - room * PAGE, 0))


@pytest.mark.parametrize("change", CHANGES)
def test_full_disk(small_disk: pathlib.Path, change: str) -> None:
    store = Store.open(small_disk / "state", ARTIFACT, SIZE)
    for number in range(3):
        store.add_example(np.full(500, number, np.float32), number)
        store.commit(bytes([number]) * SIZE, "keep", "", "{}")
    store.log_outcome(0.5)
    store.save_unfinished(b"unfinished" * 900, "key")
    store.release(lambda _: (None, "remembered"))
    before, failed = rows_of(store), 0
    for room in range(40):
        fill_up(small_disk / "other", room)
        try:
            CHANGES[change](store)
            break
        except StateError as error:
            failed += 1
            assert "free some space; nothing stored was lost" in str(error)
            assert "\n" not in str(error)
        assert rows_of(store) == before
        assert store.newest().weights == b"\x02" * SIZE
        assert store.examples().ids.tolist() == [1, 2, 3]
        assert store.unfinished("key") == b"unfinished" * 900
        assert store.counters().adaptations == 3
        assert store.release(lambda memory: (memory, memory)) == "remembered"
    assert 0 < failed < 40 and rows_of(store) != before
    store.close()
    store = Store.open(small_disk / "state", ARTIFACT, SIZE)
    assert store.damage() == ""
    store.close()


def test_no_room_for_a_new_state(small_disk: pathlib.Path) -> None:
    fill_up(small_disk / "other", 0)
    with pytest.raises(StateError, match="free some space"):
        Store.open(small_disk / "state", ARTIFACT, SIZE)
    (small_disk / "other").unlink()
    Store.open(small_disk / "state", ARTIFACT, SIZE).close()
