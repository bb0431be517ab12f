"""The watch: sure of what it reverts, soon where it matters, and without flapping."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedp.device_runtime.adaptation import adapt
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import DataError, FedpError
from fedp.device_runtime.session import Session
from fedp.device_runtime.watch import (
    Expected,
    OutcomePair,
    Watch,
    WatchPolicy,
    payoff_without,
    verdict,
)

WON, LOST, EVEN = OutcomePair(1, 0), OutcomePair(0, 1), OutcomePair(1, 1)
HIT, MISS = OutcomePair(1, None), OutcomePair(0, None)
EXPECTED = Expected(32, 40)

share = st.floats(0, 1)
pairs = st.builds(OutcomePair, share | st.none(), share | st.none())
extreme = st.sampled_from([WON, LOST, EVEN, HIT, MISS])
expecteds = st.integers(1, 50).flatmap(
    lambda n: st.builds(Expected, st.integers(0, n).map(float), st.just(n))
)


def changes(
    outcomes: Sequence[OutcomePair],
    expected: Expected | None = EXPECTED,
    policy: WatchPolicy | None = None,
) -> list[int]:
    watch = Watch(expected, policy)
    return [n for n, o in enumerate(outcomes, 1) if watch.add(o).changed]


def test_reverts_after_a_run_of_losses() -> None:
    # Wealth of a stake s after n losses is (1 + s)^n; at n = 13 their mean is
    # (1.1^13 + 1.3^13 + 1.6^13 + 1.9^13) / 4 = 1172, at 12 it is 630.
    assert changes([LOST] * 13) == [13]
    found = verdict([LOST] * 13)
    assert found.reverted and found.changed
    assert found.reason == (
        "the personalized model has become worse than the initial one: of the last 13 "
        "outcomes the personalized one hit 0, the initial one hit 13; "
        "evidence 1172, needed 1000"
    )


def test_a_long_good_past_delays_nothing() -> None:
    assert changes([WON] * 900 + [LOST] * 13) == [913]


def test_agreement_says_nothing() -> None:
    assert changes([EVEN] * 5000) == []
    # A worse model is found by the outcomes that differ, however many do not.
    assert changes([LOST, *[EVEN] * 50] * 13) == [12 * 51 + 1]


def test_a_revert_is_undone_on_ten_times_the_evidence() -> None:
    # (1.1^16 + 1.3^16 + 1.6^16 + 1.9^16) / 4 = 7690 and 14462 with a 17th.
    assert changes([LOST] * 13 + [WON] * 17) == [13, 30]
    found = verdict([WON] * 17, reverted=True)
    assert not found.reverted and found.changed
    assert found.reason.startswith("the initial model has become worse than the pers")


def test_a_revert_can_be_made_to_stand() -> None:
    policy = WatchPolicy(restore_evidence=None)
    assert changes([LOST] * 13 + [WON] * 500, policy=policy) == [13]
    found = verdict([WON] * 500, policy=policy, reverted=True)
    assert found.reverted and not found.changed


@given(
    runs=st.lists(st.tuples(pairs | extreme, st.integers(1, 40)), max_size=12),
    expected=expecteds,
)
def test_live_model_never_flaps(
    runs: list[tuple[OutcomePair, int]], expected: Expected
) -> None:
    """A revert takes 7 outcomes, a restore 17 more: none change twice within 23.

    The luckiest outcome pays 3 without the initial model, 1 with it, as a restore
    needs: (1.3^7 + 1.9^7 + 2.8^7 + 3.7^7) / 4 = 2734, with 6 of them 775; and
    (1.1^17 + 1.3^17 + 1.6^17 + 1.9^17) / 4 = 14462, with 16 of them 7690.
    """
    outcomes = [outcome for outcome, count in runs for _ in range(count)]
    found = [0, *changes(outcomes, expected)]
    gaps = [after - before for before, after in zip(found, found[1:])]
    assert all(gap >= 7 for gap in gaps[::2]) and all(gap >= 17 for gap in gaps[1::2])


@given(outcomes=st.lists(pairs, max_size=80), expected=expecteds, start=st.booleans())
def test_all_at_once_is_one_by_one(
    outcomes: list[OutcomePair], expected: Expected, start: bool
) -> None:
    watch = Watch(expected, reverted=start)
    for outcome in outcomes:
        before = watch.reverted
        found = watch.add(outcome)
        assert found.changed == (watch.reverted != before)
        assert found.reverted == watch.reverted
        assert found.evidence >= 1 and "\n" not in found.reason
    last = verdict(outcomes, expected, reverted=start)
    assert last.reverted == watch.reverted and last.changed == (last.reverted != start)


@given(least=st.floats(0.001, 1), accuracy=share, hit=share, miss=share)
def test_no_bet_gains_on_a_model_that_is_no_worse(
    least: float, accuracy: float, hit: float, miss: float
) -> None:
    """E[1 + stake payoff] <= 1, and no factor is negative: the guarantee's premises."""
    gains = payoff_without(hit, least), payoff_without(miss, least)
    assert all(-1 - 1e-9 <= gain <= 3 + 1e-9 for gain in gains)
    if accuracy * hit + (1 - accuracy) * miss >= least:
        assert accuracy * gains[0] + (1 - accuracy) * gains[1] <= 1e-9


def test_feedback_alone_is_compared_with_the_guards_evidence() -> None:
    # Wilson: (0.8 + z^2/2n - z sqrt(0.16/n + z^2/4n^2)) / (1 + z^2/n) at z = 1.65 and
    # n = 40 is (0.8 + 0.03403 - 1.65 * 0.06652) / 1.06806.
    assert EXPECTED.at_least(1.65) == pytest.approx(0.6781, abs=1e-4)
    good = [MISS if n % 4 == 3 else HIT for n in range(1000)]  # 75 %
    assert changes(good) == []
    bad = [HIT if n % 4 == 3 else MISS for n in range(100)]  # 25 %
    (at,) = changes(good + bad)
    assert 1005 < at < 1030
    reason = verdict(good + bad, EXPECTED).reason
    assert "the initial one was to hit at least" in reason


@pytest.mark.parametrize("expected", [None, Expected(0, 0)])
def test_feedback_without_evidence_decides_nothing(expected: Expected | None) -> None:
    assert changes([MISS] * 500, expected) == []


def test_feedback_restores_nothing() -> None:
    assert changes([LOST] * 13 + [HIT] * 500) == [13]


def test_two_misses_of_a_perfect_model_are_not_enough() -> None:
    assert changes([MISS] * 6, Expected(1000, 1000)) == []


def test_better_models_stay_and_worse_ones_go() -> None:
    random = np.random.default_rng(0)

    def reverted(gain: float) -> int:
        count = 0
        for _ in range(40):
            initial, own = random.random((2, 1000))
            rows = zip(own < 0.7 + gain, initial < 0.7)
            outcomes = [OutcomePair(float(a), float(b)) for a, b in rows]
            count += verdict(outcomes, None, WatchPolicy(restore_evidence=None)).changed
        return count

    assert reverted(0.05) == 0
    assert reverted(-0.2) == 40


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_refuses_what_is_no_share(wrong: float) -> None:
    with pytest.raises(DataError, match="give the share of labels that is hit"):
        Watch().add(OutcomePair(wrong, 1.0))


@pytest.mark.parametrize(
    "fields",
    [
        {"revert_evidence": 1},
        {"revert_evidence": math.nan},
        {"revert_evidence": 100, "restore_evidence": 50},
        {"restore_evidence": math.inf},
        {"caution": -1},
    ],
)
def test_refuses_thresholds_that_would_flap(fields: dict[str, float]) -> None:
    with pytest.raises(FedpError, match="give"):
        WatchPolicy(**fields)


@pytest.mark.parametrize("both", [True, False], ids=["both models", "feedback"])
def test_reverts_an_adapted_model_when_its_user_changes(small_export, both) -> None:
    """A client whose labels are permuted, until half way they no longer are."""
    random = np.random.default_rng(3)
    initial, live = (
        Session.open(small_export.manifest, small_export.content) for _ in range(2)
    )

    def usual(count: int) -> tuple[np.ndarray, np.ndarray]:
        y = random.integers(0, 3, count).astype(np.int32)
        x = random.normal(0, 0.3, (count, 6)).astype(np.float32)
        x[np.arange(count), y] += 2
        return x, y

    policy = Policy(learning_rate=0.05, epochs=20)
    adapt(initial, *usual(200), policy, batch_size=6)  # What federated training gives.
    live.restore(initial.save())
    x, y = usual(60)
    adapt(live, x, (y + 1) % 3, policy, batch_size=6)

    x, y = usual(600)
    own = np.where(np.arange(600) < 300, (y + 1) % 3, y)
    hits = [session.evaluate(x, own)[1] for session in (live, initial)]
    assert hits[0][:300].mean() > 0.9 > 0.1 > hits[0][300:].mean()
    outcomes = [
        OutcomePair(float(a), float(b) if both else None) for a, b in zip(*hits)
    ]
    found = changes(outcomes, EXPECTED, WatchPolicy(restore_evidence=None))
    assert len(found) == 1 and 300 < found[0] <= 320
