"""What a personalization did and what is live, as people and programs are told."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np

from fedp.device_runtime.adaptation import Adaptation
from fedp.device_runtime.guard import Decision, Evidence


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one personalization did.

    Attributes:
        decision: "keep" (the personalized model is live) or "revert" (the initial one).
        reason: the guard's sentence.
        generation: id under which it is stored.
        initial_accuracy: of the initial model on the hold-out, 0..1.
        personalized_accuracy: of the adapted model on the same examples.
        initial_loss: mean loss of the initial model on the hold-out; where labels are
            classes, the log loss.
        personalized_loss: of the adapted model. Accuracies and losses are None where
            they are not finite numbers, as on an empty hold-out, and accuracies where
            labels are not classes.
        examples: how many examples the model was adapted on.
        hold_out: how many were held out.
        epochs: local epochs completed.
        steps: optimizer steps taken.
        stopped_by: see `Adaptation`.
        seconds: wall time of it all.
    """

    decision: str
    reason: str
    generation: int
    initial_accuracy: float | None
    personalized_accuracy: float | None
    initial_loss: float | None
    personalized_loss: float | None
    examples: int
    hold_out: int
    epochs: int
    steps: int
    stopped_by: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Status:
    """What is live on this device, and why.

    Attributes:
        live: id of the generation whose personalized model is live, or "initial".
        generations: how many are stored.
        artifact: SHA-256 of the artifact, in hex.
        decision: the last decision, "keep" or "revert"; None before any.
        reason: its reason.
        created: its time, UTC, ISO 8601.
        state: path of the state file; None in memory.
        warnings: what is damaged, one sentence each.
    """

    live: int | str
    generations: int
    artifact: str
    decision: str | None
    reason: str | None
    created: str | None
    state: str | None
    warnings: tuple[str, ...]


def describe(
    generation: int,
    decision: Decision,
    evidence: Evidence,
    adaptation: Adaptation,
    seconds: float,
) -> Outcome:
    """Puts an outcome together from what adaptation and guard say."""
    classes = evidence.classes
    return Outcome(
        decision="keep" if decision.keep else "revert",
        reason=decision.reason,
        generation=generation,
        initial_accuracy=_mean(evidence.initial.correct) if classes else None,
        personalized_accuracy=_mean(evidence.personalized.correct) if classes else None,
        initial_loss=_mean(evidence.initial.losses),
        personalized_loss=_mean(evidence.personalized.losses),
        examples=evidence.examples,
        hold_out=evidence.hold_out,
        epochs=adaptation.epochs,
        steps=adaptation.steps,
        stopped_by=adaptation.stopped_by,
        seconds=seconds,
    )


def _mean(values: np.ndarray) -> float | None:
    mean = float(values.mean(dtype=np.float64)) if len(values) else math.nan
    return mean if math.isfinite(mean) else None


def to_json(evidence: Evidence) -> str:
    """All that the guard saw, by example; a number that is not finite is null."""

    def numbers(losses: np.ndarray) -> list[float | None]:
        return [float(v) if math.isfinite(v) else None for v in losses]

    fields = {
        "examples": evidence.examples,
        "finite": evidence.finite,
        "initial_losses": numbers(evidence.initial.losses),
        "initial_correct": evidence.initial.correct.tolist(),
        "personalized_losses": numbers(evidence.personalized.losses),
        "personalized_correct": evidence.personalized.correct.tolist(),
    }
    return json.dumps(fields)
