"""Local examples: bounded, aged, deletable, forgotten with all that came of them."""

import math
import os
import pathlib
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError, StateError
from fedp.device_runtime.store import Store

from .conftest import closing_itself

ARTIFACT = "a" * 64
SIZE = 4000
DAY = 86_400.0


class Clock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def open_store(directory: pathlib.Path | None, clock=None) -> Store:
    store = Store.open(directory, ARTIFACT, SIZE, clock=clock or Clock())
    return closing_itself(store)


def example(number: int) -> np.ndarray:
    return np.full((3, 2), number, np.float32)


def add(store: Store, *numbers: int) -> list[int]:
    return [store.add_example(example(n), n % 5) for n in numbers]


def held(store: Store) -> list[int]:
    return (
        store.examples().x[:, 0, 0].astype(int).tolist()
        if len(store.examples().x)
        else []
    )


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, ">f4", np.float64])
def test_arrays_come_back_as_they_were(tmp_path: pathlib.Path, kind) -> None:
    store = open_store(tmp_path)
    x = np.arange(24).reshape(2, 3, 4).astype(kind)
    ids = [store.add_example(x.T[:, :, i].T, np.array([1, 2])) for i in range(2)]
    ids.append(store.add_example(np.ascontiguousarray(x.T[:, :, 0].T), [5, 6]))
    store.close()
    store = open_store(tmp_path)
    found = store.examples()
    assert found.ids.tolist() == ids == [1, 2, 3]
    assert (found.x[:2] == x).all() and found.x.dtype == np.dtype(kind).newbyteorder(
        "="
    )
    assert found.y.tolist() == [[1, 2], [1, 2], [5, 6]]
    store.close()


def test_newest_first(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    assert store.examples().ids.tolist() == [] and store.example_count() == 0
    store.configure(capacity=3)
    add(store, *range(5))
    assert held(store) == [2, 3, 4] and store.example_count() == 3
    store.close()
    store = open_store(tmp_path)
    assert add(store, 5) == [6] and held(store) == [3, 4, 5]  # The settings stay too.
    store.configure(capacity=2)
    assert held(store) == [4, 5]
    store.close()


def test_only_the_newest_kind_is_given_out() -> None:
    store = open_store(None)
    add(store, 1, 2)
    store.add_example(np.zeros(7, np.uint8), 1)
    assert store.examples().x.shape == (1, 7) and store.example_count() == 3
    add(store, 3)
    assert held(store) == [1, 2, 3]


def test_deleted_example_is_overwritten(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    ids = add(store, 1, 2, 3)
    raw = example(2).tobytes()
    assert raw in store.path.read_bytes()
    assert store.delete_example(ids[1]) and not store.delete_example(ids[1])
    assert held(store) == [1, 3] and raw not in store.path.read_bytes()
    assert add(store, 4) == [4]  # An id is never given twice.
    store.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"capacity": 0},
        {"age_limit_seconds": 0},
        {"age_limit_seconds": math.nan},
        {"policy": "old"},
    ],
)
def test_wrong_settings(wrong: dict) -> None:
    with pytest.raises(DataError, match="give"):
        open_store(None).configure(**wrong)


def test_no_numbers() -> None:
    store = open_store(None)
    with pytest.raises(DataError, match="give numbers"):
        store.add_example(np.array(["a"]), 1)
    assert store.example_count() == 0


def test_reservoir_is_uniform_over_all_that_came() -> None:
    """A chi-square of 30 places over 400 reservoirs, far below its 0.9999 quantile."""
    came, capacity, runs = 30, 10, 400
    hits = np.zeros(came)
    for seed in range(runs):
        store = open_store(None)
        store.configure(capacity=capacity, policy="reservoir", seed=seed + 1)
        add(store, *range(came))
        assert len(held(store)) == capacity
        hits[held(store)] += 1
        store.close()
    expected = runs * capacity / came
    # Of each place: binomial, so its variance is that of Poisson times 1 - 1/3.
    chi = ((hits - expected) ** 2 / expected / (1 - capacity / came)).sum()
    assert chi < 70, hits  # 29 degrees of freedom.


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 2**40),
    st.lists(st.sampled_from(["add", "delete", "reopen"]), max_size=30),
)
def test_reservoir_survives_closing(capacity: int, seed: int, steps: list[str]) -> None:
    """Opened again at any point it draws as if it had stayed open."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        stores = [open_store(None), open_store(pathlib.Path(name))]
        for store in stores:
            store.configure(capacity=capacity, policy="reservoir", seed=seed)
        for at, step in enumerate(steps):
            if step == "reopen":
                stores[1].close()
                stores[1] = open_store(pathlib.Path(name))
            for store in stores:
                if step == "add":
                    assert add(store, at) and len(held(store)) <= capacity
                elif step == "delete" and held(store):
                    store.delete_example(int(store.examples().ids[0]))
            assert held(stores[0]) == held(stores[1])
        for store in stores:
            store.close()


def test_age_limit(tmp_path: pathlib.Path, clock: Clock) -> None:
    store = open_store(tmp_path, clock)
    store.configure(age_limit_seconds=10 * DAY)
    for day in range(14):
        add(store, day)
        clock.now += DAY
    assert held(store) == list(range(4, 14))
    clock.now += 3 * DAY
    assert held(store) == list(range(7, 14)) and store.example_count() == 7
    store.log_outcome(1.0)  # Any change drops them from the file as well.
    assert example(5).tobytes() not in store.path.read_bytes()
    store.configure(age_limit_seconds=math.inf)
    clock.now += 1000 * DAY
    assert held(store) == list(range(7, 14))
    store.close()


@pytest.mark.parametrize("jump", [-20_000 * DAY, -DAY, 400 * DAY, 20_000 * DAY])
def test_a_clock_that_jumps_and_comes_back(
    tmp_path: pathlib.Path, clock: Clock, jump: float
) -> None:
    """Neither way does one jump expire what came shortly before it."""
    store = open_store(tmp_path, clock)
    store.configure(age_limit_seconds=10 * DAY)
    add(store, 1)
    clock.now += jump
    assert held(store) == [1]
    add(store, 2)
    assert held(store) == [1, 2]
    store.close()
    clock.now -= jump
    store = open_store(tmp_path, clock)
    add(store, 3)
    assert held(store)[-2:] == [2, 3]
    assert store.commit(None, "revert", "", "{}") == 1
    for _ in range(25):  # By days that really pass they go all the same.
        clock.now += DAY
        store.log_outcome(1.0)
    assert held(store) == []
    store.close()


def test_a_device_without_a_clock_of_its_own(clock: Clock) -> None:
    """It begins in 1970 every day, for an hour, until a network tells it the time."""
    store, true = open_store(None, clock), clock.now
    store.configure(age_limit_seconds=10 * DAY)
    for day in range(30):
        for clock.now in (0.0, 600.0, 3600.0, true + 3600):
            store.log_outcome(1.0)
        add(store, day)
        true += DAY
        assert held(store) == list(range(max(0, day - 10), day + 1))


def test_order_of_generations_is_not_the_clocks(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    for number in (1, 2, 3):
        store.commit(bytes([number]) * SIZE, "keep", "", "{}")
    with store._connection as connection:
        query = "SELECT id, created FROM generations ORDER BY id"
        created = [text for _, text in connection.execute(query)]
    assert store.newest().id == 3 and created == sorted(created)
    store.close()


def test_forget_leaves_no_byte(tmp_path: pathlib.Path) -> None:
    """Not in the file, nor in its journal, which a second name keeps in sight."""
    store = open_store(tmp_path / "state")
    chance = np.random.default_rng(0)
    x = [chance.standard_normal(600).astype(np.float32) for _ in range(30)]
    for row in x:
        store.add_example(row, 1, source="a very private source")
    blobs = [chance.bytes(SIZE) for _ in range(3)]
    for blob in blobs:
        store.commit(blob, "keep", "a very private reason", "{}")
    store.save_unfinished(chance.bytes(9000), "key")
    store.log_outcome(0.25)
    traces = [row.tobytes()[:40] for row in x] + [blob[:40] for blob in blobs]
    traces += [b"very private"]
    before = store.path.read_bytes()
    assert all(trace in before for trace in traces)
    os.link(store.path, tmp_path / "second name")
    journals = []

    def keep(statement: str) -> None:
        journal = tmp_path / "state" / "state.sqlite-journal"
        if journal.exists():
            name = tmp_path / f"journal {len(journals)}"
            os.link(journal, name)
            journals.append(name)

    store._connection.set_trace_callback(keep)
    store.forget()
    store._connection.set_trace_callback(None)
    assert journals
    assert os.listdir(tmp_path / "state") == ["state.sqlite"]
    for path in (store.path, tmp_path / "second name", *journals):
        content = path.read_bytes()
        assert not [trace for trace in traces if trace in content], path
    assert store.newest() is None and store.examples().ids.tolist() == []
    assert store.outcomes() == [] and store.unfinished("key") is None
    assert store.commit(None, "revert", "", "{}") == 4
    assert add(store, 1) == [31]
    store.close()


def test_outcomes(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    store.log_outcome(1)
    number = store.commit(bytes(SIZE), "keep", "", "{}")
    store.log_outcome(0.5, 0.25)
    store.log_outcome(0.0, generation=None)
    rows = store.outcomes()
    assert [row[1:4] for row in rows] == [
        (None, 1.0, None),
        (number, 0.5, 0.25),
        (None, 0.0, None),
    ]
    assert store.outcomes(2) == rows[1:]
    store.clear_outcomes()
    assert store.outcomes() == [] and store.log_outcome(1.0) == 4
    store.close()


def test_outcomes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedp.device_runtime.outcome_log.KEPT_OUTCOMES", 5)
    store = open_store(None)
    for _ in range(9):
        store.log_outcome(1.0)
    assert [row.id for row in store.outcomes()] == [5, 6, 7, 8, 9]


def test_unfinished_adaptation(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    store.save_unfinished(b"one", "key")
    store.save_unfinished(b"two", "key")
    assert store.unfinished("key") == b"two" and store.unfinished("other") is None
    store.close()
    other = Store.open(tmp_path, "b" * 64, SIZE)
    assert other.unfinished("key") is None
    other.close()
    store = open_store(tmp_path)
    assert store.unfinished("key") == b"two" and store.count() == 0
    store.commit(None, "revert", "", "{}", withdrawn=True)
    store.rollback()
    assert store.unfinished("key") == b"two"  # Adaptations begin at the initial model.
    number = store.add_example(example(1), 1)
    ends = {
        "commit": lambda: store.commit(None, "revert", "", "{}"),
        "clear": store.clear_unfinished,
        "delete": lambda: store.delete_example(number),
        "reset": store.reset,
        "forget": store.forget,
    }
    for name, end in ends.items():
        store.save_unfinished(b"three" * 9000, "key")
        end()
        assert store.unfinished("key") is None, name
        assert b"threethree" not in store.path.read_bytes(), name
    store.close()


@pytest.mark.parametrize("table", ["examples", "outcomes", "unfinished", "facts"])
def test_damaged_row_is_dropped_and_named(tmp_path: pathlib.Path, table: str) -> None:
    store = open_store(tmp_path)
    store.configure(capacity=7)
    add(store, 1, 2)
    store.log_outcome(1.0)
    store.save_unfinished(b"one", "key")
    store.close()
    connection = sqlite3.connect(tmp_path / "state.sqlite")
    with connection:
        query = (
            f"UPDATE {table} SET sha256 = 'x' WHERE id = (SELECT max(id) FROM {table})"
        )
        connection.execute(query)
    connection.close()
    store = open_store(tmp_path)
    assert "does not match its hash" in store.damage()
    assert held(store) == ([1] if table == "examples" else [1, 2])
    assert len(store.outcomes()) == (table != "outcomes")
    assert (store.unfinished("key") is None) == (table == "unfinished")
    assert add(store, 3) == [3]
    store.close()


@pytest.mark.parametrize("how", ["forget", "reset"])
def test_forgetting_during_an_adaptation(tmp_path: pathlib.Path, how: str) -> None:
    """What is being learned from forgotten examples is never stored."""
    adapter, other = open_store(tmp_path), open_store(tmp_path)
    with adapter.adapting():
        getattr(other, how)()
        with pytest.raises(StateError, match="forgotten.*adapt again"):
            adapter.commit(bytes(SIZE), "keep", "", "{}")
        with pytest.raises(StateError, match="forgotten"):
            adapter.save_unfinished(b"", "key")
    assert adapter.newest() is None
    with adapter.adapting():
        adapter.commit(bytes(SIZE), "keep", "", "{}")
    assert other.newest().id == 1
    adapter.close()
    other.close()
