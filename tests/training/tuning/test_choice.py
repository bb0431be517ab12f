import dataclasses

import pytest

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate
from fedp.training.tuning.choice import (
    Row,
    best_by,
    choose,
    judge,
    tabulate,
    with_remarks,
)
from fedp.training.tuning.grid import Grid
from fedp.training.tuning.records import ClientRecord, Measured

SIZES = {"all": 1000, "head": 10}


def row(deployed, hurt, clients=20, **policy):
    return Row(
        Policy(**policy),
        clients=clients,
        initial=0.5,
        personalized=deployed,
        deployed=deployed,
        hurt_before=hurt,
        hurt_after=hurt,
        kept=clients,
    )


def test_best_deployed_accuracy_within_the_limit():
    rows = [
        row(0.70, hurt=3, learning_rate=0.3),  # 15 %: too many
        row(0.60, hurt=2, learning_rate=0.2),  # exactly 10 %
        row(0.55, hurt=0, learning_rate=0.1),
    ]
    choice = choose(rows, 0.1, SIZES)
    assert (choice.row, choice.met) == (rows[1], True)
    assert choose(rows, 0.05, SIZES).row == rows[2]
    assert choose(rows, 1.0, SIZES).row == rows[0]


def test_where_none_is_within_the_limit_the_fewest_are_hurt():
    rows = [row(0.70, hurt=5), row(0.60, hurt=3), row(0.62, hurt=3, epochs=9)]
    choice = choose(rows, 0.1, SIZES)
    assert (choice.row, choice.met) == (rows[2], False)
    grid = Grid.around(Policy(), margin=[0.0])
    remarks = with_remarks(choice, grid, 0.1).remarks
    assert remarks[0].startswith("no policy of the grid hurts at most 10%")
    assert "3 of 20" in remarks[0]


def test_equals_cost_little():
    rows = [
        row(0.6, hurt=0, trainable="all", epochs=5),
        row(0.6, hurt=1, trainable="all", epochs=2),
        row(0.6, hurt=1, trainable="head", epochs=2),
        row(0.6, hurt=0, trainable="head", epochs=2, margin=0.1),
        row(0.6, hurt=0, trainable="head", epochs=2, margin=0.2),
    ]
    # Fewer epochs, then the smaller part, then fewer hurt, then the first.
    assert choose(rows, 0.1, SIZES).row == rows[3]
    assert choose(rows[:3], 0.1, SIZES).row == rows[2]
    assert choose(rows[:2], 0.1, SIZES).row == rows[1]
    # The order in which floats were added must not decide.
    rows[0] = dataclasses.replace(rows[0], deployed=0.6 + 1e-15)
    assert choose(rows, 0.1, SIZES).row == rows[3]


def test_remarks_name_edges_and_small_samples():
    grid = Grid.around(Policy(), learning_rate=[0.1, 0.2], epochs=[1, 5])
    few = row(0.5, hurt=0, clients=4, learning_rate=0.2, epochs=5)
    remarks = with_remarks(choose([few], 0.1, SIZES), grid, 0.1).remarks
    assert [r.split(":")[0] for r in remarks] == [
        "no policy within the limit is better than the initial model",
        "learning rate 0.2 is the largest of the grid",
        "epochs 5 is the largest of the grid",
        "4 clients are few",
    ]
    inside = Grid.around(Policy(), learning_rate=[0.1, 0.2, 0.3], epochs=[1, 5, 9])
    fine = row(0.6, hurt=0, learning_rate=0.2, epochs=5)
    assert with_remarks(choose([fine], 0.1, SIZES), inside, 0.1).remarks == ()


def test_the_best_of_every_part():
    rows = [
        row(0.6, hurt=0, trainable="all", epochs=1),
        row(0.7, hurt=0, trainable="all", epochs=2),
        row(0.9, hurt=9, trainable="head"),
    ]
    best = best_by(rows, ["trainable"], 0.1, SIZES)
    assert [(b.row, b.met) for b in best] == [(rows[1], True), (rows[2], False)]


def record(client, initial, after, hold_out):
    """A client whose hold-out of four goes from two hits to `hold_out` hits."""

    def measured(accuracy, hits, loss):
        correct = tuple(float(i < hits) for i in range(4))
        return Measured((loss,) * 4, correct, accuracy)

    return ClientRecord(
        policy=Policy(epochs=1),
        client=client,
        examples=12,
        distinct=3,
        tested=10,
        lasted=1,
        initial=measured(initial, 2, 1.0),
        after={Candidate(1, 1.0): measured(after, hold_out, 0.5)},
    )


def test_a_row_by_hand():
    records = [
        record("gains, kept", 0.5, 0.7, hold_out=3),
        record("gains, reverted", 0.6, 0.7, hold_out=1),
        record("hurt, kept", 0.8, 0.6, hold_out=2),
        record("hurt, reverted", 0.9, 0.8, hold_out=0),
    ]
    found = judge(records, Policy(epochs=1, min_hold_out=4))
    assert found.initial == pytest.approx((0.5 + 0.6 + 0.8 + 0.9) / 4)
    assert found.personalized == pytest.approx((0.7 + 0.7 + 0.6 + 0.8) / 4)
    assert found.deployed == pytest.approx((0.7 + 0.6 + 0.6 + 0.9) / 4)
    assert (found.hurt_before, found.hurt_after, found.kept) == (2, 1, 2)
    # A gain of a quarter is one example of four: only the first client has it.
    strict = judge(records, Policy(epochs=1, min_hold_out=4, margin=0.25))
    assert (strict.hurt_after, strict.kept) == (0, 1)
    # Four hold-out examples are too few for a guard that wants five.
    assert judge(records, Policy(epochs=1, min_hold_out=5)).kept == 0


def test_a_table_has_a_row_a_policy():
    grid = Grid.around(
        Policy(), trainable=["all"], learning_rate=[0.02], epochs=[1], margin=[0, 1]
    )
    rows = tabulate(grid, lambda policy: [record("a", 0.5, 0.7, hold_out=3)])
    assert len(rows) == len(grid) == 2 * 2 * 3
    few = [r for r in rows if r.policy.min_hold_out == 3 and r.policy.caution == 0]
    assert [r.kept for r in few] == [1, 0]
