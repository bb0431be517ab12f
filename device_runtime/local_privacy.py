"""Metrics under local differential privacy: one noisy bit, and its mean over clients.

A device is asked for k of its numbers, drawn at random, and answers each with one bit
of eps / k: yes with a probability that grows with the number. Asking few spends epsilon
better than splitting it among all (Wang et al., "Collecting and Analyzing
Multidimensional Data with Local Differential Privacy", arXiv 1907.00782); a bit is near
the best that a small epsilon allows (Duchi, Jordan and Wainwright, "Minimax Optimal
Procedures for Locally Private Estimation", arXiv 1604.02390), and has no floating-point
noise that could betray what it hides. An answer is given once and remembered, so that
asking again averages nothing away.
"""

from __future__ import annotations

import dataclasses
import json
import math
import secrets
from collections.abc import Iterable
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

import numpy as np

from fedp.device_runtime.errors import DataError, FedpError
from fedp.device_runtime.metrics import MOST, MOST_EXAMPLES, Metrics

# Questions, and the number that an answer stands for at its lower and its upper end.
QUESTIONS: dict[str, tuple[float, float]] = {
    "adaptations": (0, MOST),
    "kept": (0, MOST),
    "withdrawn": (0, MOST),
    "doublings": (0, MOST_EXAMPLES.bit_length()),  # 0, 1, 2, 4 ... examples: 0, 1, 2, 3
    "personalized": (0, 1),
    "judged": (0, 1),  # whether there is an accuracy
    "judged_before": (0, 1),  # the accuracy, 0 where there is none
    "judged_after": (0, 1),
}
# Up to this a single question is asked (Wang et al., equation 12).
_EPSILON_A_QUESTION = 2.5
# Draws are integers below this; probabilities are exact multiples of 1 / _DRAWS.
_DRAWS = 2**48
_LEAST_EPSILON, _MOST_EPSILON = 0.001, 20.0


@dataclasses.dataclass(frozen=True)
class Release:
    """What leaves the device.

    Attributes:
        artifact: SHA-256 of the artifact, in hex.
        epsilon: what these answers cost: their chance is at most e^epsilon times the
            chance that any other device would give the same.
        spent: epsilon of all that this device has released, these answers included.
        answers: 0 or 1 to each question that was drawn.
    """

    artifact: str
    epsilon: float
    spent: float
    answers: dict[str, int]

    def to_json(self) -> str:
        """One JSON object with the attributes as its keys."""
        return json.dumps(dataclasses.asdict(self))


class Estimate(NamedTuple):
    """A mean over all clients.

    Attributes:
        mean: unbiased, so that it may lie outside of what is possible.
        standard_error: of the draw of clients and of the noise together.
        clients: how many were asked.
    """

    mean: float
    standard_error: float
    clients: int


def release(
    metrics: Metrics,
    epsilon: float,
    memory: str = "",
    *,
    renew: bool = False,
    random: Random | None = None,
) -> tuple[Release, str]:
    """Answers a few questions about these metrics, with noise.

    The first answers for an artifact stand, whatever becomes of the metrics.

    Args:
        metrics: what the device knows.
        epsilon: 0.001 to 20; the smaller, the more noise.
        memory: what the last call gave, whatever the artifact; "" before the first.
        renew: answer anew, from the present metrics: costs another epsilon. Call it at
            times that do not depend on the user's data, such as once a month.
        random: by default the operating system's.

    Returns:
        What may be sent, and what the device must have stored before it is sent.

    Raises:
        FedpError: an epsilon out of range, or another than was answered with.
        DataError: the memory is damaged.
    """
    if not _LEAST_EPSILON <= epsilon <= _MOST_EPSILON:
        raise FedpError(f"epsilon of {epsilon}: give 0.001 to 20")
    remembered = _remembered(memory)
    same = remembered.get(metrics.artifact)
    if same and not renew:
        if same.epsilon != epsilon:
            raise FedpError(
                f"this device has answered with epsilon {same.epsilon:g}: ask with "
                "that again, or renew, which adds to what is spent"
            )
        return same, memory
    random = random or secrets.SystemRandom()
    asked = random.sample(sorted(QUESTIONS), questions_asked(epsilon))
    shares = _shares(metrics)
    answers = {
        name: int(random.randrange(_DRAWS) < _yes(shares[name], epsilon / len(asked)))
        for name in sorted(asked)
    }
    spent = epsilon + max((one.spent for one in remembered.values()), default=0.0)
    new = Release(metrics.artifact, float(epsilon), spent, answers)
    remembered[metrics.artifact] = new
    return new, json.dumps([dataclasses.asdict(one) for one in remembered.values()])


def questions_asked(epsilon: float) -> int:
    """How many questions share an epsilon."""
    return max(1, min(int(epsilon / _EPSILON_A_QUESTION), len(QUESTIONS)))


def estimate(releases: Iterable[Release], question: str) -> Estimate:
    """The mean over many clients' answers to one question, in its own unit.

    Args:
        releases: one a client, of one artifact; epsilons may differ.
        question: one of `QUESTIONS`.

    Raises:
        DataError: of several artifacts, or fewer than two clients were asked.
    """
    artifacts, values = set(), []
    for one in releases:
        artifacts.add(one.artifact)
        if question in one.answers:
            no, yes = _ends(one.epsilon / len(one.answers))
            # E[answer] = no + share (yes - no), solved for the share.
            values.append((one.answers[question] * _DRAWS - no) / (yes - no))
    if len(artifacts) > 1:
        raise DataError(f"releases of {len(artifacts)} artifacts: take those of one")
    if len(values) < 2:
        raise DataError(
            f"{len(values)} answers to {question!r}: at least 2 are needed for a mean"
        )
    low, high = QUESTIONS[question]
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    mean = low + (high - low) * float(np.mean(values))
    return Estimate(mean, (high - low) * error, len(values))


def chance_of_yes(share: Fraction, epsilon: float) -> Fraction:
    """The exact probability of answer 1, where a number is `share` of its range."""
    return Fraction(_yes(share, epsilon), _DRAWS)


def _ends(epsilon: float) -> tuple[int, int]:
    """Of _DRAWS draws, those that say yes at the lower and at the upper end.

    Rounded inwards, also against the last bit of exp: never more than epsilon.
    """
    no = math.ceil(_DRAWS / (math.exp(epsilon) + 1)) + 1
    return no, _DRAWS - no


def _yes(share: Fraction, epsilon: float) -> int:
    no, yes = _ends(epsilon)
    return no + math.floor(share * (yes - no) + Fraction(1, 2))


def _shares(metrics: Metrics) -> dict[str, Fraction]:
    """Each number as an exact part of its range, 0..1."""
    numbers: dict[str, float] = {
        "adaptations": metrics.adaptations,
        "kept": metrics.kept,
        "withdrawn": metrics.withdrawn,
        "doublings": metrics.examples.bit_length(),
        "personalized": metrics.personalized,
        "judged": metrics.accuracy_before is not None,
        "judged_before": metrics.accuracy_before or 0.0,
        "judged_after": metrics.accuracy_after or 0.0,
    }
    ranges = {name: Fraction(high) for name, (_, high) in QUESTIONS.items()}
    return {name: Fraction(numbers[name]) / ranges[name] for name in QUESTIONS}


def _remembered(memory: str) -> dict[str, Release]:
    """The last release for each artifact."""
    try:
        fields: list[dict[str, Any]] = json.loads(memory) if memory else []
        found = [Release(**one) for one in fields]
        if not all(one.spent >= one.epsilon > 0 and one.answers for one in found):
            raise ValueError("no epsilon or no answers")
    except (ValueError, TypeError) as error:
        # Answering again would spend more than anybody says.
        raise DataError(
            "what this device has released cannot be read: it must release nothing "
            "more, or begin to count anew with `fedp reset`"
        ) from error
    return {one.artifact: one for one in found}
