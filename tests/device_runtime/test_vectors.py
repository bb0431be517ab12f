"""The vectors that other hosts check themselves with hold for the Python runtime."""

import base64
import json
import pathlib
from typing import Any

import numpy as np
import pytest

import fedp.device_runtime
from fedp.device_runtime import artifact_file, weights
from fedp.device_runtime.contract import Policy, WeightSpec
from fedp.device_runtime.evidence import Candidate, Evidence, Score, trials_of
from fedp.device_runtime.guards import candidates_of, decide
from fedp.device_runtime.watch import (
    Expected,
    OutcomePair,
    Watch,
    WatchPolicy,
    payoff_without,
)

from .vectors import MAKERS, text_of
from .vectors.seal import error_of

# Where the package was installed, as a host's build would take them from there.
INSTALLED = pathlib.Path(fedp.device_runtime.__file__).parent / "vectors"
AGAIN = "run `python -m tests.device_runtime.vectors` and read what changed"


def stored(name: str) -> list[dict[str, Any]]:
    return json.loads((INSTALLED / name).read_text(), parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def by_name(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def score(fields: dict[str, Any]) -> Score:
    """Of float32 numbers; float() reads "NaN" and "Infinity" too."""
    columns = [[float(v) for v in fields[name]] for name in ("losses", "correct")]
    found = Score(*(np.array(column, np.float32) for column in columns))
    for array, column in zip(found, columns):
        np.testing.assert_array_equal(array.astype(np.float64), column)
    return found


def assert_close(found: Any, wanted: Any) -> None:
    """Equal, but for the last bits of numbers: Python 3.12 adds more exactly."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted), AGAIN
        found, wanted = list(found.values()), list(wanted.values())
    if isinstance(wanted, list):
        assert len(found) == len(wanted), AGAIN
        for one, other in zip(found, wanted):
            assert_close(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-12, abs=0), AGAIN
    else:
        assert found == wanted, AGAIN


def test_no_file_is_left_behind() -> None:
    assert sorted(path.name for path in INSTALLED.glob("*")) == sorted(MAKERS)


@pytest.mark.parametrize("name", MAKERS)
def test_file_is_what_the_runtime_computes_now(name: str) -> None:
    if name == "seal.json":
        pytest.importorskip("cryptography")
    assert_close(stored(name), json.loads(text_of(name)))


@pytest.mark.parametrize("vector", by_name(stored("guard.json")))
def test_guard(vector: dict[str, Any]) -> None:
    evidence = dict(vector["evidence"])
    candidates = {
        Candidate(fields["epochs"], fields["blend"]): score(fields)
        for fields in evidence.pop("candidates")
    }
    initial = score(evidence.pop("initial"))
    found = decide(
        Evidence(initial, candidates, **evidence), Policy(**vector["policy"])
    )
    assert found._asdict() == vector["decision"]


@pytest.mark.parametrize("vector", by_name(stored("candidates.json")))
def test_candidates(vector: dict[str, Any]) -> None:
    found = candidates_of(Policy(**vector["policy"]))
    assert [c._asdict() for c in found] == vector["candidates"]


@pytest.mark.parametrize("vector", by_name(stored("trials.json")))
def test_trials(vector: dict[str, Any]) -> None:
    labels = np.array(vector["labels"], vector["label_dtype"])
    found = trials_of(Policy(**vector["policy"]), labels, vector["seed"])
    told = [{name: v.tolist() for name, v in t._asdict().items()} for t in found]
    assert told == vector["trials"]


@pytest.mark.parametrize("vector", by_name(stored("watch.json")))
def test_watch(vector: dict[str, Any]) -> None:
    policy, expected = WatchPolicy(**vector["policy"]), vector["expected"]
    expected = Expected(**expected) if expected else None
    least = expected.at_least(policy.caution) if expected else 0.0
    assert least == vector["least"]
    payoffs = [payoff_without(p, least) for p in (0.0, 0.5, 1.0)] if least else []
    assert payoffs == vector["payoffs"]
    watch = Watch(expected, policy, reverted=vector["reverted"])
    found = [watch.add(OutcomePair(*pair))[:3] for pair in vector["outcomes"]]
    assert_close([list(verdict) for verdict in found], vector["verdicts"])
    assert watch.verdict().reason == vector["reason"]


@pytest.mark.parametrize("vector", by_name(stored("seal.json")))
def test_seal(vector: dict[str, Any]) -> None:
    content = base64.b64decode(vector["file"])
    assert error_of(content, None) == vector["error"]
    if vector["begin"] is not None:
        begin, end = artifact_file.find_manifest(content)
        assert (begin, end) == (vector["begin"], vector["end"])
        assert artifact_file.file_hash(content, begin) == vector["file_hash"]
        message = artifact_file.signed_message(content, begin)
        assert message.hex() == vector["signed_message"]
    pytest.importorskip("cryptography")
    key = bytes.fromhex(vector["public_key"])
    assert error_of(content, key) == vector["error_with_key"]


@pytest.mark.parametrize("vector", by_name(stored("weights.json")))
def test_weights(vector: dict[str, Any]) -> None:
    specs = [WeightSpec(w["name"], "", tuple(w["shape"])) for w in vector["weights"]]
    blob = bytes.fromhex(vector["blob"])
    found = weights.from_blob(blob, specs)
    assert {name: w.tolist() for name, w in found.items()} == vector["values"]
    assert weights.to_blob(found, specs) == blob


@pytest.mark.parametrize("vector", by_name(stored("blend.json")))
def test_blend(vector: dict[str, Any]) -> None:
    theta, adapted = (
        {"w0": np.array(vector[name], np.float32)} for name in ("initial", "adapted")
    )
    live = weights.blended(theta, adapted, vector["blend"])["w0"]
    assert live.dtype == np.float32 and live.tolist() == vector["live"]
