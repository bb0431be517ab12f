import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Evidence, Score
from fedp.device_runtime.guards import candidates_of, decide
from fedp.device_runtime.manifest_check import KINDS

from .conftest import needs_subnormals

JUDGING = [kind for kind in KINDS if kind not in ("always", "never")]
QUARTERS = (0.25, 0.5, 0.75, 1.0)


def score(losses, correct) -> Score:
    return Score(np.array(losses, np.float32), np.array(correct, np.float32))


def evidence(policy: Policy, before: Score, after: Score, **fields) -> Evidence:
    """Every candidate of the policy with the same result."""
    fields = {"examples": len(before.losses), "distinct": 2, **fields}
    return Evidence(before, dict.fromkeys(candidates_of(policy), after), **fields)


def clear(policy: Policy, count: int, **fields) -> Evidence:
    """A gain that nobody can doubt: all are hit that were missed, at half the loss."""
    before = score(np.linspace(1.8, 2.0, count), np.zeros(count))
    after = score(np.linspace(0.8, 1.0, count), np.ones(count))
    return evidence(policy, before, after, **fields)


@st.composite
def found(draw, *kinds: str):
    """A policy of one of these kinds, or of any, and evidence of any sort for it."""
    policy = Policy(guard=draw(st.sampled_from(kinds or KINDS)), blends=QUARTERS)
    count = draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shift = draw(st.sampled_from([-0.5, 0.0, 0.5]))

    def one(by: float) -> Score:
        losses = random.normal(2 + by, 0.5, count)
        return score(losses, random.random(count) < 0.5 - by)

    candidates = {candidate: one(-shift) for candidate in candidates_of(policy)}
    return policy, Evidence(one(0.0), candidates, count, 2)


def permuted(known: Evidence, order: np.ndarray) -> Evidence:
    def of(scored: Score) -> Score:
        return Score(scored.losses[order], scored.correct[order])

    candidates = {key: of(value) for key, value in known.candidates.items()}
    return dataclasses.replace(known, initial=of(known.initial), candidates=candidates)


@needs_subnormals
@given(found(), st.randoms())
def test_the_order_of_examples_does_not_matter(case, random):
    policy, known = case
    order = np.arange(known.judged)
    random.shuffle(order)
    assert decide(permuted(known, order), policy)[:2] == decide(known, policy)[:2]


@needs_subnormals
@given(found(), st.randoms())
def test_the_order_of_candidates_does_not_matter(case, random):
    policy, known = case
    pairs = list(known.candidates.items())
    random.shuffle(pairs)
    shuffled = dataclasses.replace(known, candidates=dict(pairs))
    assert decide(shuffled, policy) == decide(known, policy)


@needs_subnormals
@given(found("never", *JUDGING))
def test_nothing_is_kept_whose_losses_are_all_higher(case):
    policy, known = case
    worse = {
        key: Score(known.initial.losses + 0.1, value.correct)
        for key, value in known.candidates.items()
    }
    assert not decide(dataclasses.replace(known, candidates=worse), policy).keep


@needs_subnormals
@given(found(*JUDGING))
def test_what_lives_was_judged_and_saves_log_loss(case):
    policy, known = case
    decision = decide(known, policy)
    if decision.keep:
        after = known.candidates[decision[:2]].losses.astype(float)
        assert after.mean() < known.initial.losses.astype(float).mean()
    else:
        assert decision[:2] == (0, 0.0)


@needs_subnormals
@given(found("sure"))
def test_more_caution_never_keeps_more(case):
    policy, known = case
    bolder = dataclasses.replace(policy, caution=policy.caution / 2)
    assert decide(known, bolder).keep or not decide(known, policy).keep


@pytest.mark.parametrize("guard", JUDGING)
def test_a_clear_gain_lives_and_its_numbers_are_told(guard):
    policy = Policy(guard=guard, blends=QUARTERS)
    decision = decide(clear(policy, 10), policy)
    assert decision.keep
    assert f"after {decision.epochs} epochs at blend {decision.blend:g}" in (
        decision.reason
    )
    assert "log loss falls by 1.0000 +- 0.0000" in decision.reason
    assert "0/10 labels hit become 10" in decision.reason


@pytest.mark.parametrize("guard", JUDGING)
def test_the_reason_of_a_revert_has_the_numbers_of_the_best(guard):
    policy = Policy(guard=guard)
    known = clear(policy, 10)
    after = next(iter(known.candidates.values()))
    decision = decide(evidence(policy, after, known.initial), policy)
    assert decision[:2] == (0, 0.0)
    assert "nothing is surely better: " in decision.reason
    assert "10/10 labels hit become 0" in decision.reason


@pytest.mark.parametrize("guard", JUDGING)
@pytest.mark.parametrize(
    ("count", "fields", "reason"),
    [
        (0, {}, "there are no examples to adapt on"),
        (0, {"examples": 1, "distinct": 1}, "all examples have one label"),
        (
            0,
            {"examples": 2},
            "too few examples to judge by: there are 0, the guard nee",
        ),
        (
            2,
            {"examples": 5},
            "too few examples to judge by: there are 2, the guard nee",
        ),
        (20, {"distinct": 1}, "all examples have one label"),
        (20, {"finite": False}, "the training loss became NaN or Inf"),
    ],
)
def test_where_nothing_can_be_known_the_initial_model_stays(
    guard, count, fields, reason
):
    policy = Policy(guard=guard)
    decision = decide(clear(policy, count, **fields), policy)
    assert decision[:2] == (0, 0.0)
    assert reason in decision.reason


@pytest.mark.parametrize("guard", [k for k in JUDGING if k != "hold-out"])
def test_five_examples_can_be_enough(guard):
    policy = Policy(guard=guard)
    assert decide(clear(policy, 5), policy).keep


@pytest.mark.parametrize(
    ("examples", "distinct", "finite", "keep"),
    [(0, 0, True, False), (1, 1, True, True), (9, 1, True, True), (9, 2, False, False)],
)
def test_always_means_wherever_there_is_a_model(examples, distinct, finite, keep):
    policy = Policy(guard="always", epochs=7)
    nothing = Evidence(score([], []), {}, examples, distinct, finite)
    decision = decide(nothing, policy)
    assert decision[:2] == ((7, 1.0) if keep else (0, 0.0))


def test_never_means_never():
    policy = Policy(guard="never")
    assert decide(clear(policy, 20), policy)[:2] == (0, 0.0)


@pytest.mark.parametrize("guard", JUDGING)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_never_lives(guard, bad):
    policy = Policy(guard=guard)
    known = clear(policy, 10)
    after = next(iter(known.candidates.values()))
    broken = evidence(policy, known.initial, score([bad] * 10, after.correct))
    assert decide(broken, policy)[:2] == (0, 0.0)


def test_one_diverged_candidate_leaves_the_others():
    policy = Policy(guard="cross-validation", epochs=10)
    known = clear(policy, 10)
    first, last = candidates_of(policy)
    losses = np.full(10, np.nan, np.float32)
    known.candidates[last] = Score(losses, known.candidates[last].correct)
    assert decide(known, policy)[:2] == first


@pytest.mark.parametrize("guard", JUDGING)
def test_numbers_are_judged_by_their_loss_alone(guard):
    policy = Policy(guard=guard)
    known = clear(policy, 10, classes=False)
    missed = {
        key: Score(value.losses, known.initial.correct - 1)
        for key, value in known.candidates.items()
    }
    decision = decide(dataclasses.replace(known, candidates=missed), policy)
    assert decision.keep
    assert "labels hit" not in decision.reason


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(guard="hold-out", epochs=5), [(5, 1.0)]),
        (Policy(guard="paired", epochs=5, blends=QUARTERS), [(5, 1.0)]),
        (Policy(guard="cross-validation", epochs=5), [(3, 1.0), (5, 1.0)]),
        (Policy(guard="blend", epochs=5, blends=(1.0, 0.5)), [(5, 0.5), (5, 1.0)]),
        (Policy(guard="cross-validation", epochs=1), [(1, 1.0)]),
        (Policy(guard="sure", epochs=10), [(10, 1.0)]),
        (Policy(guard="sure", epochs=10, blends=(1.0, 0.5)), [(10, 0.5), (10, 1.0)]),
        (Policy(guard="sure", epochs=0), []),
    ],
)
def test_what_each_guard_wants_judged(policy, expected):
    assert list(candidates_of(policy)) == expected


def test_accuracy_must_gain_the_margin():
    before = score(np.full(20, 2.0), [0] * 20)
    after = score(np.full(20, 1.0), [1, 1] + [0] * 18)
    for margin, keep in ((0.0, True), (0.1, True), (0.11, False)):
        policy = Policy(guard="hold-out", margin=margin)
        assert decide(evidence(policy, before, after), policy).keep is keep


def test_a_paired_test_asks_for_standard_errors():
    saved = np.array([0.0, 1.0] * 8)  # Mean 0.5, standard error 0.5 / sqrt(15) = 0.129.
    before, after = score(2 + saved, [0] * 16), score(np.full(16, 2.0), [0] * 16)
    for caution, keep in ((3.87, True), (3.88, False)):
        policy = Policy(guard="paired", caution=caution)
        assert decide(evidence(policy, before, after), policy).keep is keep


@pytest.mark.parametrize(
    ("won", "lost", "keep"),
    [
        (0, 0, True),  # 0 + 5 >= 2.5 sqrt(0)
        (2, 2, True),  # 0 + 5 >= 2.5 sqrt(4)
        (3, 2, True),  # 1 + 5 >= 2.5 sqrt(5) = 5.6
        (3, 3, False),  # 0 + 5 < 2.5 sqrt(6) = 6.1
        (12, 6, True),  # 6 + 5 = 11 >= 2.5 sqrt(18) = 10.6
        (12, 7, False),  # 5 + 5 < 2.5 sqrt(19) = 10.9
        (0, 1, False),  # accuracy falls
    ],
)
def test_the_more_labels_flip_the_more_must_be_won(won, lost, keep):
    flips = [1] * won + [-1] * lost + [0] * (40 - won - lost)
    before = score(np.full(40, 2.0), np.array(flips) < 0)
    after = score(np.full(40, 1.0), np.array(flips) > 0)
    policy = Policy(guard="sure")
    assert decide(evidence(policy, before, after), policy).keep is keep
    paired = Policy(guard="paired")
    assert decide(evidence(paired, before, after), paired).keep


def test_of_several_the_least_loss_lives_and_of_equals_the_gentlest():
    policy = Policy(guard="blend", blends=QUARTERS)
    known = clear(policy, 10)
    assert decide(known, policy).blend == 0.25
    best = candidates_of(policy)[1]
    value = known.candidates[best]
    known.candidates[best] = Score(value.losses - 0.1, value.correct)
    assert decide(known, policy)[:2] == best
