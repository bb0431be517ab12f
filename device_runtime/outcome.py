"""What a personalization did and what is live, as people and programs are told."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np

from fedp.device_runtime.budget import Meter
from fedp.device_runtime.counters import Figures
from fedp.device_runtime.evidence import Candidate, Evidence, Score
from fedp.device_runtime.guards import Decision
from fedp.device_runtime.personalization import Personalization, Result


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one personalization did.

    Attributes:
        decision: "keep" (a personalized model is live), "revert" (the initial one is),
            or "unfinished": it was stopped, and what was live still is.
        reason: the guard's sentence, or how far it came.
        generation: id under which it is stored; None if unfinished.
        initial_accuracy: of the initial model on the judged examples, 0..1.
        personalized_accuracy: of models adapted like the one that is live, or that
            nearly was, on the same examples, which they had not seen.
        initial_loss: mean loss of the initial model on them; where labels are classes,
            the log loss.
        personalized_loss: of the adapted models. Accuracies and losses are None where
            they are not finite numbers, as where nothing was judged, and accuracies
            where labels are not classes.
        examples: how many examples the model was adapted on.
        judged: how many examples the guard judged by.
        epochs: local epochs of the model that is live; 0 is the initial one.
        blend: how far it is from the initial to the adapted weights, 0..1.
        steps: optimizer steps of this call, those for the evidence included.
        stopped_by: "epochs" (nothing), "loss" (NaN, Inf or exploded), or the limit
            that was reached: a name of `Budget`'s, or "should_stop".
        seconds: wall time of this call.
    """

    decision: str
    reason: str
    generation: int | None
    initial_accuracy: float | None
    personalized_accuracy: float | None
    initial_loss: float | None
    personalized_loss: float | None
    examples: int
    judged: int
    epochs: int
    blend: float
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
    generation: int, result: Result, run: Personalization, meter: Meter
) -> Outcome:
    """The outcome of a personalization that came to its end."""
    decision, evidence = result.decision, result.evidence
    initial, after = evidence.initial, _shown(decision, evidence)
    classes = evidence.classes
    return Outcome(
        decision="keep" if decision.keep else "revert",
        reason=decision.reason,
        generation=generation,
        initial_accuracy=_mean(initial.correct) if classes else None,
        personalized_accuracy=_mean(after.correct) if classes else None,
        initial_loss=_mean(initial.losses),
        personalized_loss=_mean(after.losses),
        examples=evidence.examples,
        judged=evidence.judged,
        epochs=decision.epochs,
        blend=decision.blend,
        steps=meter.steps,
        stopped_by=run.stopped_by,
        seconds=meter.seconds,
    )


def describe_stop(run: Personalization, meter: Meter) -> Outcome:
    """The outcome of one that a limit stopped."""
    evidence = run.evidence()
    return Outcome(
        decision="unfinished",
        reason=f"stopped by {run.stopped_by} after {run.steps} of at most "
        f"{run.all_steps} steps: the next personalize goes on from there",
        generation=None,
        initial_accuracy=_mean(evidence.initial.correct) if evidence.classes else None,
        personalized_accuracy=None,
        initial_loss=_mean(evidence.initial.losses),
        personalized_loss=None,
        examples=evidence.examples,
        judged=evidence.judged,
        epochs=0,
        blend=0.0,
        steps=meter.steps,
        stopped_by=run.stopped_by,
        seconds=meter.seconds,
    )


def figures_of(result: Result) -> Figures:
    """What the state counts of it."""
    decision, evidence = result.decision, result.evidence
    live = _shown(decision, evidence) if decision.keep else evidence.initial
    if not evidence.classes:
        return Figures(evidence.examples)
    accuracies = _mean(evidence.initial.correct), _mean(live.correct)
    return Figures(evidence.examples, *accuracies)


def _shown(decision: Decision, evidence: Evidence) -> Score:
    """Of the candidate that was chosen; else of the most adapted one."""
    if decision.keep and evidence.candidates:
        return evidence.candidates[Candidate(decision.epochs, decision.blend)]
    if not evidence.candidates:
        return Score(np.zeros(0, np.float32), np.zeros(0, np.float32))
    return evidence.candidates[max(evidence.candidates)]


def _mean(values: np.ndarray) -> float | None:
    mean = float(values.mean(dtype=np.float64)) if len(values) else math.nan
    return mean if math.isfinite(mean) else None


def to_json(decision: Decision, evidence: Evidence) -> str:
    """All that the guard saw, by example; a number that is not finite is null."""

    def numbers(values: np.ndarray) -> list[float | None]:
        return [float(v) if math.isfinite(v) else None for v in values]

    fields = {
        "examples": evidence.examples,
        "distinct": evidence.distinct,
        "finite": evidence.finite,
        "epochs": decision.epochs,
        "blend": decision.blend,
        "initial_losses": numbers(evidence.initial.losses),
        "initial_correct": evidence.initial.correct.tolist(),
        "candidates": [
            {
                "epochs": candidate.epochs,
                "blend": candidate.blend,
                "losses": numbers(score.losses),
                "correct": numbers(score.correct),
            }
            for candidate, score in evidence.candidates.items()
        ],
    }
    return json.dumps(fields)
