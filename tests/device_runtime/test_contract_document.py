"""The procedure in docs/contract.md, run as it stands, is that of the runtime."""

import math
import pathlib
import re
from typing import Any

import numpy as np
import pytest

from fedp.device_runtime.contract import LOSSES, Manifest, Policy
from fedp.device_runtime.manifest_check import KINDS
from fedp.device_runtime.personalization import Personalization
from fedp.device_runtime.session import Session
from fedp.device_runtime.weights import from_blob, to_blob

from .test_vectors import assert_close, by_name, stored

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "contract.md"
TEXT = DOCUMENT.read_text()
told: dict[str, Any] = {}
for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
    exec(block, told)


def numbers(fields: dict[str, Any]) -> dict[str, Any]:
    """Losses and hits, of which "NaN" and "Infinity" are texts."""
    for name in ("losses", "correct"):
        fields[name] = [float(value) for value in fields[name]]
    return fields


@pytest.mark.parametrize("vector", by_name(stored("guard.json")))
def test_guard(vector: dict[str, Any]) -> None:
    evidence = vector["evidence"]
    for scores in (evidence["initial"], *evidence["candidates"]):
        numbers(scores)
    decision = vector["decision"]
    found = told["decide"](evidence, vector["policy"])
    assert found == (decision["epochs"], decision["blend"])


@pytest.mark.parametrize("vector", by_name(stored("candidates.json")))
def test_candidates(vector: dict[str, Any]) -> None:
    wanted = [(c["epochs"], c["blend"]) for c in vector["candidates"]]
    assert told["candidates_of"](vector["policy"]) == wanted


@pytest.mark.parametrize("vector", by_name(stored("trials.json")))
def test_trials(vector: dict[str, Any]) -> None:
    y = vector["labels"]
    shape = np.shape(y)[1:]
    classes = vector["label_dtype"] == "int32"
    label = {"loss": LOSSES[0] if classes else "mean_squared_error", "shape": [*shape]}
    flat = [row[0] for row in y] if not classes else y
    found = told["trials_of"](vector["policy"], flat, label, vector["order"])
    assert found == vector["trials"]


@pytest.mark.parametrize("vector", by_name(stored("watch.json")))
def test_watch(vector: dict[str, Any]) -> None:
    watch = told["Watch"](vector["expected"], vector["policy"], vector["reverted"])
    assert watch.least == pytest.approx(vector["least"], rel=1e-12, abs=0)
    assert_close([watch.add(*pair) for pair in vector["outcomes"]], vector["verdicts"])


@pytest.mark.parametrize("vector", by_name(stored("blend.json")))
def test_blend(vector: dict[str, Any]) -> None:
    found = told["blended"](vector["initial"], vector["adapted"], vector["blend"])
    assert found == vector["live"]


class Host:
    """The document's `model`, on lists; its orders are those of the runtime."""

    def __init__(self, session: Session, seed: int) -> None:
        self.batch_size = session.manifest.batch_size
        self._session, self._seed = session, seed
        self._random: np.random.Generator | None = None

    def shuffled(self, count: int) -> list[int]:
        random = self._random or np.random.default_rng((self._seed, 1))
        return random.permutation(count).tolist()

    def reset(self) -> None:
        # The first one comes before the trials' order, each other before an adaptation.
        first = not hasattr(self, "_started")
        self._started = True
        self._random = None if first else np.random.default_rng(self._seed)
        self._session.reset()

    def features(self, x: list) -> list:
        return self._session.features(_floats(x)).tolist()

    def train(self, x: list, y: list, rate: float) -> float:
        ones = np.ones(len(y), np.float32)
        return self._session.train_step(_floats(x), np.array(y, np.int32), ones, rate)

    def evaluate(self, x: list, y: list) -> list[list[float]]:
        inputs = _floats(x).reshape(-1, *self._session.manifest.input_shape)
        found = self._session.evaluate(inputs, np.array(y, np.int32))
        return [column.tolist() for column in found]

    def save(self) -> list[float]:
        return _flat(to_blob(self._session.save(), self._session.manifest.weights))

    def save_slots(self) -> list[float]:
        return _flat(to_blob(self._session.save_slots(), self._session.manifest.slots))

    def restore(self, flat: list[float]) -> None:
        specs = self._session.manifest.weights
        self._session.restore(from_blob(_floats(flat).tobytes(), specs))

    def restore_slots(self, flat: list[float]) -> None:
        specs = self._session.manifest.slots
        self._session.restore_slots(from_blob(_floats(flat).tobytes(), specs))


def _floats(values: list) -> np.ndarray:
    return np.array(values, np.float32)


def _flat(blob: bytes) -> list[float]:
    return np.frombuffer(blob, "<f4").tolist()


@pytest.mark.parametrize("guard", KINDS)
@pytest.mark.parametrize("rate", [0.1, 1e6])
def test_loop(small_export: Any, guard: str, rate: float) -> None:
    manifest: Manifest = small_export.manifest
    random = np.random.default_rng(5)
    y = random.integers(0, 3, 16).astype(np.int32)
    x = random.random((16, 6), np.float32) + np.eye(3, 6, dtype=np.float32)[y]
    policy = Policy(guard=guard, learning_rate=rate, blends=(0.3, 1.0), caution=0.0)
    session = Session.open(manifest, small_export.content)
    run = Personalization(session, x, y, policy, seed=4)
    wanted = run.run()
    fields = {name: getattr(policy, name) for name in vars(policy)}
    label = {"loss": manifest.labels.loss, "shape": [*manifest.labels.shape]}
    host = Host(Session.open(manifest, small_export.content), seed=4)
    (epochs, blend), evidence, live = told["personalize"](
        host, x.tolist(), y.tolist(), fields, label, host.shuffled
    )
    assert wanted is not None
    assert (epochs, blend) == wanted.decision[:2]
    assert evidence["finite"] == wanted.evidence.finite
    assert evidence["distinct"] == wanted.evidence.distinct
    assert evidence["initial"]["losses"] == wanted.evidence.initial.losses.tolist()
    for candidate in evidence["candidates"]:
        scores = wanted.evidence.candidates[candidate["epochs"], candidate["blend"]]
        assert candidate["losses"] == scores.losses.tolist()
        assert candidate["correct"] == scores.correct.tolist()
    assert (blend > 0) == (guard != "never" and rate < 1)
    if wanted.weights is None:
        assert live is None
    else:
        assert live == _flat(to_blob(wanted.weights, manifest.weights))
        assert all(map(math.isfinite, live))


def test_every_field_of_the_manifest_is_named() -> None:
    names = [f"`{name}`" for name in (*vars(Policy()), *Manifest.__annotations__)]
    names.remove("`labels`")
    assert [name for name in names if name not in TEXT] == []
    assert "`labels.loss`, `labels.shape`" in TEXT
