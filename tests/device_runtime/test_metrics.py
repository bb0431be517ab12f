"""Nothing but a few small numbers and the artifact's hash leaves a device."""

import dataclasses
import json
import math
import pathlib
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import FedpError
from fedp.device_runtime.local_privacy import QUESTIONS, release
from fedp.device_runtime.metrics import Metrics, metrics_of
from fedp.device_runtime.personalizer import Personalizer

HASH = "0123456789abcdef" * 4
FIELDS = {
    "artifact": HASH,
    "adaptations": 3,
    "kept": 2,
    "withdrawn": 1,
    "examples": 37,
    "personalized": True,
    "accuracy_before": 7 / 9,
    "accuracy_after": 8 / 9,
}
accuracy = st.none() | st.floats(0, 1)
states = st.fixed_dictionaries(
    {
        "artifact": st.binary(min_size=32, max_size=32).map(bytes.hex),
        "adaptations": st.integers(0, 10**9),
        "kept": st.integers(0, 10**9),
        "withdrawn": st.integers(0, 10**9),
        "examples": st.integers(0, 10**9),
        "personalized": st.booleans(),
        "accuracy_before": accuracy,
        "accuracy_after": accuracy,
    }
)
# Every number that may leave, in JSON, and nothing that could spell anything else.
COUNTS = {str(n) for n in range(17)}
EXAMPLES = {"0", *(str(2**n) for n in range(11))}
ACCURACIES = {"null", *(json.dumps(n / 100) for n in range(101))}
ALLOWED = {
    "adaptations": COUNTS,
    "kept": COUNTS,
    "withdrawn": COUNTS,
    "examples": EXAMPLES,
    "personalized": {"true", "false"},
    "accuracy_before": ACCURACIES,
    "accuracy_after": ACCURACIES,
}


def check_metrics(text: str, artifact: str) -> None:
    """The whole JSON is rebuilt from the allow-list: there is room for nothing more."""
    found = json.loads(text)
    assert found.pop("artifact") == artifact
    assert found.keys() == ALLOWED.keys()
    assert all(json.dumps(value) in ALLOWED[name] for name, value in found.items())
    assert text == json.dumps({"artifact": artifact, **found})


def check_release(text: str, artifact: str, epsilon: float) -> None:
    found = json.loads(text)
    assert found["artifact"] == artifact
    assert found["epsilon"] == found["spent"] == epsilon
    assert found["answers"].keys() <= QUESTIONS.keys()
    assert all(type(a) is int and a in (0, 1) for a in found["answers"].values())
    assert found.keys() == {"artifact", "epsilon", "spent", "answers"}


@given(state=states)
def test_only_allowed_numbers_whatever_the_state(state: dict[str, Any]) -> None:
    metrics = metrics_of(**state)
    check_metrics(metrics.to_json(), state["artifact"])
    sent, memory = release(metrics, 1.0)
    check_release(sent.to_json(), state["artifact"], 1.0)
    # What is stored besides holds no more than what was sent.
    assert memory == f"[{sent.to_json()}]"


def test_what_the_numbers_are() -> None:
    assert json.loads(metrics_of(**FIELDS).to_json()) == {
        "artifact": HASH,
        "adaptations": 3,
        "kept": 2,
        "withdrawn": 1,
        "examples": 32,
        "personalized": True,
        "accuracy_before": 0.78,
        "accuracy_after": 0.89,
    }


@pytest.mark.parametrize(
    ("count", "rounded"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (1023, 512), (1024, 1024), (10**9, 1024)],
)
def test_examples_are_told_in_powers_of_two(count: int, rounded: int) -> None:
    assert metrics_of(**{**FIELDS, "examples": count}).examples == rounded


def test_numpy_numbers_become_plain_ones() -> None:
    fields = {**FIELDS, "kept": np.int64(2), "accuracy_after": np.float32(0.5)}
    check_metrics(metrics_of(**fields).to_json(), HASH)


def test_an_accuracy_without_the_other_is_dropped() -> None:
    metrics = metrics_of(**{**FIELDS, "accuracy_before": None})
    assert metrics.accuracy_before is None and metrics.accuracy_after is None


SECRET = "/home/anna/writing.npz"


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Metrics)])
@pytest.mark.parametrize(
    "value", [SECRET, b"\x01", [0.123], {"x": 1}, np.ones(3), 0.123456, -1, 3, math.nan]
)
def test_nothing_else_gets_in(name: str, value: object) -> None:
    fine = metrics_of(**FIELDS)
    if json_of(value) in ALLOWED.get(name, ()):
        return
    with pytest.raises(FedpError) as error:
        dataclasses.replace(fine, **{name: value})
    assert SECRET not in str(error.value)


def json_of(value: object) -> str:
    return json.dumps(value) if isinstance(value, (int, float)) else ""


def test_a_hash_is_no_place_for_a_message() -> None:
    for artifact in (HASH[:-1], HASH.upper(), HASH + "\n", HASH[:-1] + "g"):
        with pytest.raises(FedpError, match="artifact"):
            metrics_of(**{**FIELDS, "artifact": artifact})


def test_a_real_device_gives_nothing_of_its_user_away(
    small_export, tmp_path: pathlib.Path
) -> None:
    """Marked examples, a marked path, and weights: no trace of them in what leaves."""
    path = tmp_path / "MARKED-artifact.tflite"
    path.write_bytes(small_export.content)
    state = tmp_path / "MARKED-state"
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 40)
    x = random.normal(0, 0.3, (40, 6)).astype(np.float32)
    x[np.arange(40), y] += 2
    with Personalizer.open(path, state) as personalizer:
        outcome = personalizer.personalize(x, y)
        weights = personalizer._store.newest().weights
        metrics, sent = personalizer.metrics(), personalizer.private_metrics(1.0)
    manifest, _ = read_artifact(path)
    assert outcome.decision == "keep" and weights
    for text in (metrics.to_json(), sent.to_json()):
        assert "MARKED" not in text and str(tmp_path) not in text
        assert not re.search(r"[a-z]:|\\|/", text.replace('": ', ""))
        found = {float(n) for n in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)}
        marked = {*x.ravel().tolist(), *np.frombuffer(weights, "<f4").tolist()}
        assert not found & (marked - {0.0, 1.0})
        for raw in (x.tobytes()[:24], weights[:24]):
            assert raw not in text.encode() and raw.hex() not in text
    check_metrics(metrics.to_json(), manifest.sha256)
    check_release(sent.to_json(), manifest.sha256, 1.0)
