"""The watch of a state's live generation: logged outcomes in, one verdict out.

The log is what remains of them after a restart.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.generations import Row
from fedp.device_runtime.store import Store
from fedp.device_runtime.watch import (
    Expected,
    OutcomePair,
    Verdict,
    Watch,
    WatchPolicy,
)


class LiveWatch:
    """Follows the personalized model that is live; not for two threads at a time."""

    def __init__(self, store: Store, policy: WatchPolicy) -> None:
        """Starts from what the store has logged, once it is asked."""
        self._store = store
        # A revert is a generation of its own, and stands until the next one.
        self._policy = dataclasses.replace(policy, restore_evidence=None)
        self._generation: int | None = None
        self._watch = Watch(None, self._policy)

    def record(self, live: Row, outcome: OutcomePair) -> Verdict:
        """Logs an outcome of the live generation and follows it.

        Args:
            live: the generation that answered.
            outcome: of its model, and of the initial one where that was asked too.

        Raises:
            DataError: a share is no number from 0 to 1.
            StateError: the state cannot be read or written.
        """
        if self._generation != live.id:
            self._watch = Watch(_expected(live.evidence), self._policy)
            for row in self._store.outcomes():
                if row.generation == live.id:
                    self._watch.add(OutcomePair(row.live_correct, row.initial_correct))
            self._generation = live.id
        verdict = self._watch.add(outcome)
        if outcome.personalized is not None:
            self._store.log_outcome(
                outcome.personalized, outcome.initial, generation=live.id
            )
        return verdict

    def settle(self) -> None:
        """Ends what a revert was decided on: whoever takes it back starts afresh.

        Raises:
            StateError: the state cannot be written.
        """
        self._generation = None
        self._store.clear_outcomes()


def share_hit(answer: np.ndarray, y: np.ndarray) -> float:
    """Share of one example's labels that are hit; -1 is no label.

    Args:
        answer: class probabilities [*label_shape, C].
        y: labels [*label_shape].
    """
    labelled = y >= 0
    hits = (answer.argmax(axis=-1) == y) & labelled
    return float(hits.sum() / max(int(labelled.sum()), 1))


def compare(
    live: np.ndarray, initial: np.ndarray, y: np.ndarray, manifest: Manifest
) -> OutcomePair:
    """Both models' answers to one example; numbers count by the smaller error."""
    if manifest.labels.are_classes:
        return OutcomePair(share_hit(live, y), share_hit(initial, y))
    errors = [float(np.square(answer - y).sum()) for answer in (live, initial)]
    return OutcomePair(float(errors[0] <= errors[1]), float(errors[1] <= errors[0]))


def _expected(evidence: str) -> Expected | None:
    """What the guard saw of the initial model."""
    correct = json.loads(evidence or "{}").get("initial_correct", [])
    return Expected(float(sum(correct)), len(correct)) if correct else None
