"""The noise: its exact probabilities, its memory, and the means that it leaves."""

import itertools
import json
import math
import random
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError, FedpError
from fedp.device_runtime.local_privacy import (
    QUESTIONS,
    Release,
    _shares,
    chance_of_yes,
    estimate,
    questions_asked,
    release,
)
from fedp.device_runtime.metrics import Metrics, metrics_of

HASH, OTHER = "a" * 64, "b" * 64
DAMAGED = '[{"artifact": "a", "epsilon": 1, "spent": 0, "answers": {"kept": 1}}]'
EPSILONS = (0.001, 0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0)


def metrics(
    artifact: str = HASH,
    kept: int = 2,
    examples: int = 40,
    personalized: bool = True,
    before: float | None = 0.6,
    after: float | None = 0.8,
) -> Metrics:
    return metrics_of(
        artifact=artifact,
        adaptations=kept + 1,
        kept=kept,
        withdrawn=0,
        examples=examples,
        personalized=personalized,
        accuracy_before=before,
        accuracy_after=after,
    )


def below_e_to(epsilon: float, ratio: Fraction) -> bool:
    """Whether an exact ratio is at most e^epsilon: by a series that is too small."""
    exact, term, total = Fraction(epsilon), Fraction(1), Fraction(0)
    for n in range(1, 90):
        total += term
        term = term * exact / n
    return ratio <= total


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_no_answer_betrays_more_than_epsilon(epsilon: float) -> None:
    """Exactly, for every pair of numbers a question can be about."""
    shares = {Fraction(n, 100) for n in range(101)}
    shares |= {Fraction(n, 16) for n in range(17)} | {
        Fraction(n, 11) for n in range(12)
    }
    yes = [chance_of_yes(share, epsilon) for share in sorted(shares)]
    assert yes == sorted(yes)
    for answer in (yes, [1 - chance for chance in yes]):
        # Of all pairs, the worst has the largest chance above the smallest.
        assert below_e_to(epsilon, max(answer) / min(answer))
    worst = float(max(yes) / min(yes))
    assert worst == pytest.approx(math.exp(epsilon), rel=1e-4)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_whole_releases_betray_no_more_than_epsilon(epsilon: float) -> None:
    """The chance of every set of answers, from every pair of different devices."""
    devices = [
        metrics(kept=0, examples=0, personalized=False, before=None, after=None),
        metrics(kept=15, examples=5000, before=1.0, after=1.0),
        metrics(before=0.0, after=1.0),
        metrics(before=0.33, after=0.34, examples=3),
    ]
    count = questions_asked(epsilon)
    # Which questions are asked hangs on nothing, so that it is the same factor in all.
    for asked in itertools.combinations(QUESTIONS, count):
        yes = [
            [chance_of_yes(_shares(device)[name], epsilon / count) for name in asked]
            for device in devices
        ]
        for answers in itertools.product((0, 1), repeat=count):
            chances = [
                math.prod(p if a else 1 - p for p, a in zip(row, answers))
                for row in yes
            ]
            assert below_e_to(epsilon, Fraction(max(chances)) / min(chances))


@given(st.fractions(0, 1), st.fractions(0, 1), st.floats(0.001, 20))
def test_any_pair_of_numbers(a: Fraction, b: Fraction, epsilon: float) -> None:
    p, q = chance_of_yes(a, epsilon), chance_of_yes(b, epsilon)
    assert below_e_to(epsilon, p / q) and below_e_to(epsilon, (1 - p) / (1 - q))


def test_answers_come_as_often_as_they_should() -> None:
    source, device = random.Random(0), metrics(before=0.25)
    sent = [release(device, 2.0, random=source)[0] for _ in range(20_000)]
    answers = [r.answers["judged_before"] for r in sent if "judged_before" in r.answers]
    # One of eight questions is asked, each as often.
    assert len(answers) == pytest.approx(20_000 / 8, abs=4 * math.sqrt(20_000 * 7 / 64))
    chance = float(chance_of_yes(Fraction(1, 4), 2.0))
    error = math.sqrt(chance * (1 - chance) / len(answers))
    assert statistics.mean(answers) == pytest.approx(chance, abs=4 * error)


@pytest.mark.parametrize("epsilon", [1.0, 4.0, 10.0])
def test_means_over_clients_are_unbiased_with_honest_errors(epsilon: float) -> None:
    """20,000 devices: each estimate is within 4 of its own standard errors."""
    source = random.Random(1)
    devices = [
        metrics(
            kept=source.randrange(6),
            examples=source.randrange(200),
            before=None if source.random() < 0.3 else source.random(),
            after=source.random(),
        )
        for _ in range(20_000)
    ]
    sent = [release(device, epsilon, random=source)[0] for device in devices]
    truths = {
        "kept": [d.kept for d in devices],
        "doublings": [d.examples.bit_length() for d in devices],
        "personalized": [d.personalized for d in devices],
        "judged": [d.accuracy_before is not None for d in devices],
        "judged_before": [d.accuracy_before or 0.0 for d in devices],
    }
    for question, numbers in truths.items():
        found = estimate(sent, question)
        truth = statistics.fmean(numbers)
        assert abs(found.mean - truth) < 4 * found.standard_error
        low, high = QUESTIONS[question]
        each = epsilon / questions_asked(epsilon)
        # A bit's variance is at most 1/4, stretched by the inverse of its slope.
        widest = (high - low) / 2 / math.tanh(each / 2) / math.sqrt(found.clients)
        assert 0 < found.standard_error <= widest * 1.01


def test_standard_errors_are_what_repetitions_show() -> None:
    source, device = random.Random(2), metrics()
    means, errors = [], []
    for _ in range(200):
        sent = [release(device, 1.0, random=source)[0] for _ in range(400)]
        found = estimate(sent, "kept")
        means.append(found.mean)
        errors.append(found.standard_error)
    assert statistics.stdev(means) == pytest.approx(statistics.mean(errors), rel=0.2)
    assert statistics.mean(means) == pytest.approx(
        2, abs=4 * errors[0] / math.sqrt(200)
    )


def test_clients_of_several_epsilons_mix() -> None:
    source = random.Random(3)
    sent = [
        release(metrics(), epsilon, random=source)[0]
        for epsilon in (0.5, 6.0)
        for _ in range(8000)
    ]
    found = estimate(sent, "judged_after")
    assert abs(found.mean - 0.8) < 4 * found.standard_error


def test_asking_again_gives_the_same_answer() -> None:
    first, memory = release(metrics(), 1.0)
    for device in (metrics(), metrics(kept=9, before=None), metrics(examples=0)):
        assert release(device, 1.0, memory) == (first, memory)
    # The memory survives a file.
    assert json.loads(memory)[0]["answers"] == first.answers


def test_another_epsilon_is_no_way_around() -> None:
    _, memory = release(metrics(), 1.0)
    with pytest.raises(FedpError, match="has answered with epsilon 1: ask with that"):
        release(metrics(), 1.0001, memory)


def test_what_is_spent_adds_up_over_renewals_and_artifacts() -> None:
    _, memory = release(metrics(), 1.0)
    renewed, memory = release(metrics(), 2.0, memory, renew=True)
    assert (renewed.epsilon, renewed.spent) == (2.0, 3.0)
    other, memory = release(metrics(OTHER), 0.5, memory)
    assert (other.artifact, other.spent) == (OTHER, 3.5)
    # Going back to the first artifact is free: its answers stand.
    assert release(metrics(kept=7), 2.0, memory) == (renewed, memory)
    assert release(metrics(), 1.0, memory, renew=True)[0].spent == 4.5


@pytest.mark.parametrize(
    "memory", ["{", "5", '["a"]', "{}x", '[{"artifact": "a"}]', DAMAGED]
)
def test_a_damaged_memory_releases_nothing(memory: str) -> None:
    with pytest.raises(DataError, match="must release nothing more"):
        release(metrics(), 1.0, memory)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, 21.0, math.nan, math.inf])
def test_refuses_an_epsilon_that_means_nothing(epsilon: float) -> None:
    with pytest.raises(FedpError, match=r"give 0\.001 to 20"):
        release(metrics(), epsilon)


def test_randomness_is_the_operating_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    # Seeding Python's own generator must change nothing.
    found = set()
    for _ in range(64):
        random.seed(0)
        found.add(str(release(metrics(), 1.0)[0].answers))
    assert len(found) > 4


def test_means_need_two_clients_of_one_artifact() -> None:
    one = Release(HASH, 1.0, 1.0, {"kept": 1})
    with pytest.raises(DataError, match="1 answers to 'kept': at least 2"):
        estimate([one], "kept")
    with pytest.raises(DataError, match="of 2 artifacts: take those of one"):
        estimate([one, Release(OTHER, 1.0, 1.0, {"kept": 1})], "kept")
