"""One client through one adaptation, as an evaluation of the same file sees it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.training.data import Examples
from fedp.training.evaluation.clients import evaluate_client
from fedp.training.tuning.adaptations import Task, adapt_client


def examples(session: Session, count: int, seed: int) -> Examples:
    """Labels of several classes, all of which the initial model hits."""
    x = np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)
    return Examples(x, session.infer(x).argmax(axis=1).astype(np.int32))


@pytest.mark.parametrize(
    ("rate", "finite"), [(0.05, [True, True]), (1e30, [False, False])]
)
def test_a_record_is_what_an_evaluation_measures(small_export, tmp_path, rate, finite):
    manifest, content = small_export.manifest, small_export.content
    policy = Policy(learning_rate=rate, epochs=3)
    session = Session.open(manifest, content)
    support, query = examples(session, 24, 1), examples(session, 20, 2)
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with Personalizer.open(path) as device:
        device.manifest = dataclasses.replace(manifest, policy=policy)
        found = evaluate_client("ann", support, query, device, seed=0)
    task = Task(policy, "ann")
    record = adapt_client(task, support, query, manifest, session, (1, 3), seed=0)
    assert [m.finite for m in record.after.values()] == finite
    assert record.initial.accuracy == pytest.approx(found.initial)
    assert record.after[3].accuracy == pytest.approx(found.personalized)
    if not all(finite):  # What is not finite answers with the first class.
        assert found.personalized < found.initial == 1
        assert record.after[1] is record.after[3]
