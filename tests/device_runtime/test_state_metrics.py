"""What a state counts and lets out: numbers that outlive crashes, and nothing else."""

import concurrent.futures
import json
import pathlib

import numpy as np
import pytest

from fedp.device_runtime.counters import Counters, Figures
from fedp.device_runtime.errors import DataError, FedpError
from fedp.device_runtime.state_metrics import metrics_of_state, release_of_state
from fedp.device_runtime.store import Store

from .conftest import closing_itself
from .old_state import write_old_state
from .test_damage import flip_in
from .test_metrics import check_metrics, check_release

ARTIFACT = "a" * 64
SIZE = 4000
FIGURES = Figures(37, 0.7777777, 0.8888888)


def open_store(directory: pathlib.Path | None, artifact: str = ARTIFACT) -> Store:
    return closing_itself(Store.open(directory, artifact, SIZE))


def keep(store: Store, figures: Figures | None = FIGURES) -> None:
    store.commit(bytes(SIZE), "keep", "", "{}", figures=figures)


def used(directory: pathlib.Path | None) -> Store:
    """A state with 3 adaptations, 2 of them kept, one withdrawn, and a rollback."""
    store = open_store(directory)
    keep(store, None)
    keep(store, Figures(9, 0.1, 0.2))
    store.commit(None, "revert", "the watch", "{}", withdrawn=True)
    store.rollback()
    store.commit(None, "revert", "worse", "{}", figures=FIGURES)
    return store


def test_what_is_counted(tmp_path: pathlib.Path) -> None:
    used(tmp_path).close()
    store = open_store(tmp_path)
    assert store.counters() == Counters(3, 2, 1, 1, FIGURES)
    assert store.counters().reverted == 1
    metrics = metrics_of_state(store)
    assert json.loads(metrics.to_json()) == {
        "artifact": ARTIFACT,
        "adaptations": 3,
        "kept": 2,
        "withdrawn": 1,
        "examples": 32,
        "personalized": False,
        "accuracy_before": 0.78,
        "accuracy_after": 0.89,
    }
    keep(store, Figures(4, float("nan"), 1.0))
    metrics = metrics_of_state(store)
    assert metrics.personalized and metrics.accuracy_after is None
    with pytest.raises(TypeError):  # What is not stored is not counted.
        store.commit(bytes(SIZE), "keep", None, "{}")  # type: ignore[arg-type]
    assert store.counters().adaptations == 4
    store.close()


def test_rollback_of_nothing_is_none() -> None:
    store = open_store(None)
    store.rollback()
    assert store.counters() == Counters()


def test_reset_keeps_the_counts_and_forget_does_not(tmp_path: pathlib.Path) -> None:
    """How well forgotten examples could be learned is learned from them, too."""
    store = used(tmp_path)
    store.reset()
    assert store.counters() == Counters(3, 2, 1, 1, FIGURES)
    store.forget()
    assert store.counters() == Counters()
    assert b"0.8888888" not in store.path.read_bytes()
    store.close()


def test_each_artifact_has_its_own_counts(tmp_path: pathlib.Path) -> None:
    used(tmp_path).close()
    others = [character * 64 for character in "bcde"]
    for number, artifact in enumerate(others):
        store = open_store(tmp_path, artifact)
        assert store.counters() == Counters()
        keep(store)
        assert metrics_of_state(store).adaptations == 1
        store.close()
        first = open_store(tmp_path)
        # A device does not remember artifacts for ever.
        assert first.counters().adaptations == (3 if number < 3 else 0)
        first.close()


def test_nothing_of_the_user_is_in_it(tmp_path: pathlib.Path) -> None:
    """Whatever the state holds, what leaves is rebuilt from a list of allowed words."""
    random = np.random.default_rng(0)
    store = open_store(tmp_path / "MARKED-state")
    x = random.standard_normal((9, 50)).astype(np.float32)
    for row in x:
        store.add_example(row, 1, source="MARKED-source")
    for _ in range(5):
        weights = random.standard_normal(SIZE // 4).astype("<f4")
        evidence = json.dumps({"MARKED": x[0].tolist()})
        texts = ("keep", "MARKED-reason", evidence)
        figures = Figures(9, float(abs(x[0, 0]) % 1), float(abs(weights[0]) % 1))
        store.commit(weights.tobytes(), *texts, figures=figures)
        store.log_outcome(float(abs(x[0, 1]) % 1))
        store.save_unfinished(weights.tobytes(), "MARKED-key")
    check_metrics(metrics_of_state(store).to_json(), ARTIFACT)
    check_release(release_of_state(store, 1.0).to_json(), ARTIFACT, 1.0)
    store.close()


def test_asking_again_spends_nothing(tmp_path: pathlib.Path) -> None:
    """Not after other numbers, reset, forget or another opening; renewal adds up."""
    store = used(tmp_path)
    first = release_of_state(store, 20.0)
    assert len(first.answers) == 8 and first.spent == 20.0
    keep(store)
    assert release_of_state(store, 20.0) == first
    store.reset()
    store.forget()
    assert release_of_state(store, 20.0) == first
    store.close()
    store = open_store(tmp_path)
    assert release_of_state(store, 20.0) == first
    with pytest.raises(FedpError, match="answered with epsilon 20"):
        release_of_state(store, 1.0)
    assert release_of_state(store, 1.0, renew=True).spent == 21.0
    store.close()
    other = open_store(tmp_path, "b" * 64)
    assert release_of_state(other, 1.0).spent == 22.0
    other.close()


def test_of_many_askers_at_once_all_get_one_answer(tmp_path: pathlib.Path) -> None:
    used(tmp_path).close()

    def ask(_: int) -> str:
        store = open_store(tmp_path)
        try:
            return release_of_state(store, 20.0).to_json()
        finally:
            store.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1


@pytest.mark.parametrize("damage", ["row", "file"])
def test_what_was_released_is_damaged(tmp_path: pathlib.Path, damage: str) -> None:
    """Nobody can say what is spent: nothing more may leave."""
    store = used(tmp_path)
    release_of_state(store, 1.0)
    store.close()
    if damage == "row":
        content = store.path.read_bytes()
        store.path.write_bytes(content.replace(b"epsilon", b"nothing"))
    else:
        store.path.write_bytes(b"garbage" * 1000)
    store = open_store(tmp_path)
    assert store.damage()
    for _ in range(2):
        with pytest.raises(DataError, match="fedp reset"):
            release_of_state(store, 1.0)
        store.forget()
    store.close()


def test_a_state_of_the_first_release_has_released_nothing(
    tmp_path: pathlib.Path,
) -> None:
    write_old_state(tmp_path, ARTIFACT, [b"\x01" * SIZE, b"\x02" * SIZE])
    flip_in(tmp_path / "state.sqlite", b"\x02" * 1000)
    store = open_store(tmp_path)
    assert store.damage() and store.newest().weights == b"\x01" * SIZE
    assert release_of_state(store, 1.0).spent == 1.0
    store.close()
