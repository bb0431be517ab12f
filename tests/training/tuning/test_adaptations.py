"""One client through one adaptation, as an evaluation of the same file sees it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate
from fedp.device_runtime.guards import decide
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.training.data import Examples
from fedp.training.evaluation.one_client import evaluate_client
from fedp.training.tuning.adaptations import Task, adapt_client
from fedp.training.tuning.choice import judge


def examples(session: Session, count: int, seed: int) -> Examples:
    """Labels of several classes, most of which the initial model does not hit."""
    x = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
    y = session.infer(x).argmax(axis=1)
    return Examples(x, np.where(x[:, 0] > -0.7, (y + 1) % 3, y).astype(np.int32))


@pytest.mark.parametrize(("rate", "finite"), [(0.1, [True] * 3), (1e30, [False] * 3)])
def test_a_record_is_what_an_evaluation_measures(small_export, tmp_path, rate, finite):
    manifest, content = small_export.manifest, small_export.content
    policy = Policy(learning_rate=rate, epochs=3)
    session = Session.open(manifest, content)
    support, query = examples(session, 60, 1), examples(session, 20, 2)
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with Personalizer.open(path) as device:
        device.manifest = dataclasses.replace(manifest, policy=policy)
        other = Session.open(dataclasses.replace(manifest, policy=policy), content)
        found = evaluate_client("ann", support, query, device, other, seed=0)
    task = Task(policy, "ann")
    wanted = (Candidate(1, 1.0), Candidate(2, 1.0), Candidate(3, 1.0))
    record = adapt_client(task, support, query, session, wanted, seed=0)
    assert [m.finite for m in record.after.values()] == finite
    assert record.initial.accuracy == pytest.approx(found.initial)
    assert record.after[wanted[2]].accuracy == pytest.approx(found.personalized)
    row = judge([record], policy)
    assert row.deployed == pytest.approx(found.deployed)
    assert row.kept == found.kept == finite[0]
    assert decide(record.evidence(policy), policy).reason == found.reason
    if not all(finite):  # What is not finite answers with the first class.
        assert found.personalized < found.initial
        assert record.lasted == 0
