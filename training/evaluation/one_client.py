"""One client through the real device path: adapt, guard, deploy; then the test part.

The device gets the client's support part and never sees the query part, on which all
accuracies are measured (arXiv 1909.12488, section 4).
"""

from __future__ import annotations

import numpy as np

from fedp.device_runtime.adaptation import adapt
from fedp.device_runtime.examples import examples_for
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.training.data import Examples
from fedp.training.evaluation.calibration import bins_of
from fedp.training.evaluation.results import ClientResult


def evaluate_client(
    client: str,
    support: Examples,
    query: Examples,
    device: Personalizer,
    session: Session,
    seed: int,
) -> ClientResult:
    """Personalizes a device that starts afresh and measures it on the query part.

    Args:
        client: its name.
        support: what the device gets.
        query: what it never sees; at least one example.
        device: reset before anything else.
        session: a fresh one of the same artifact, for what no guard would look at.
        seed: of the guard's trials and of the order of examples.

    Raises:
        DataError: the examples do not fit the model.
    """
    device.reset()
    before = device.predict(query.x)
    outcome = device.personalize(support.x, support.y, seed=seed)
    after = device.predict(query.x)
    initial = _accuracy(before, query.y)
    curve = [initial, *adapt_and_measure(support, query, session, seed)]
    return ClientResult(
        client=client,
        adapt_examples=len(support.y),
        test_examples=len(query.y),
        initial=initial,
        personalized=curve[-1],
        deployed=_accuracy(after, query.y),
        kept=outcome.decision == "keep",
        reason=outcome.reason,
        curve=tuple(curve),
        initial_bins=bins_of(before, query.y),
        deployed_bins=bins_of(after, query.y),
    )


def adapt_and_measure(
    support: Examples, query: Examples, session: Session, seed: int
) -> list[float]:
    """Adapts to all of a client's support examples, whatever a guard would say.

    Returns:
        Accuracy on the query part after each local epoch.
    """
    manifest = session.manifest
    x, y = examples_for(*support, manifest)
    unseen, wanted = examples_for(*query, manifest)
    unseen = session.features(unseen)
    found = []

    def measure(_epoch: int, _loss: float, _session: Session) -> None:
        found.append(float(session.evaluate(unseen, wanted)[1].mean(dtype=np.float64)))

    adapt(
        session,
        session.features(x),
        y,
        manifest.policy,
        batch_size=manifest.batch_size,
        seed=seed,
        on_epoch=measure,
    )
    return found


def _accuracy(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Mean over examples of the share of labels that are hit; -1 is no label."""
    hits = (probabilities.argmax(axis=-1) == y).reshape(len(y), -1)
    labelled = (y >= 0).reshape(len(y), -1)
    return float(np.mean(hits.sum(axis=1) / np.maximum(labelled.sum(axis=1), 1)))
