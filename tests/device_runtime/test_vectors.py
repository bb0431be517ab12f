"""The vectors that other hosts check themselves with hold for the Python runtime."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

import fedp.device_runtime
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate, Evidence, Score
from fedp.device_runtime.guards import candidates_of, decide

from .vectors import texts

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


@pytest.mark.parametrize("name", sorted(path.name for path in INSTALLED.iterdir()))
def test_file_is_what_the_runtime_computes_now(name: str) -> None:
    assert (INSTALLED / name).read_text() == texts()[name], AGAIN


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
