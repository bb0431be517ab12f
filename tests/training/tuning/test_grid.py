import dataclasses

import pytest

from fedp.device_runtime.contract import Policy
from fedp.device_runtime.evidence import Candidate
from fedp.training.tuning.grid import (
    FIELDS,
    GUARDED,
    Grid,
    GridError,
    adaptation_key,
)


def test_defaults_lie_around_the_training_and_hold_its_own_policy():
    base = Policy(learning_rate=0.02, epochs=5)
    grid = Grid.around(base)
    assert grid.values["learning_rate"] == (0.005, 0.01, 0.02, 0.04, 0.08)
    policies = [p for a in grid.adaptations() for p in grid.after(a)]
    assert base in policies
    assert len(policies) == len(set(policies)) == len(grid)


def test_one_adaptation_serves_all_epochs_and_guards():
    grid = Grid.around(
        Policy(),
        trainable=["all", "head"],
        learning_rate=[0.1, 0.1, 0.2],
        epochs=[4, 1],
        margin=[0.0, 0.1],
        min_hold_out=[3],
        caution=[1.25],
    )
    adaptations = grid.adaptations()
    assert [(a.trainable, a.learning_rate) for a in adaptations] == [
        ("all", 0.1),
        ("all", 0.2),
        ("head", 0.1),
        ("head", 0.2),
    ]
    assert {a.epochs for a in adaptations} == {4}
    assert grid.candidates() == tuple(Candidate(n, 1.0) for n in (1, 4))
    after = grid.after(adaptations[0])
    assert [(p.epochs, p.margin) for p in after] == [
        (1, 0.0),
        (1, 0.1),
        (4, 0.0),
        (4, 0.1),
    ]


def test_a_field_that_nobody_gives_is_the_policys():
    base = dataclasses.replace(Policy(), hold_out=0.4)
    assert Grid.around(base).values["hold_out"] == (0.4,)
    assert set(Grid.around(base).values) == set(FIELDS)
    assert set(GUARDED) >= {"min_hold_out", "margin"}


def test_guards_with_the_same_trials_share_an_adaptation():
    grid = Grid.around(
        Policy(),
        trainable=["all"],
        learning_rate=[0.1],
        epochs=[3],
        min_hold_out=[3, 10],
        margin=[0.0],
        caution=[1.25],
        guard=["sure", "cross-validation", "hold-out"],
        blends=[(1.0,), (0.5, 1.0)],
        folds=[4, 5],
    )
    found = grid.adaptations()
    assert [adaptation_key(a)[2:] for a in found] == [
        ("folds", 4),
        ("folds", 5),
        ("hold-out", 0.25),
    ]
    assert {a.min_hold_out for a in found} == {3}
    policies = [p for a in found for p in grid.after(a)]
    assert len(policies) == len(set(policies)) == len(grid) == 24
    assert set(grid.candidates()) == {
        Candidate(2, 1.0),
        Candidate(3, 0.5),
        Candidate(3, 1.0),
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("epochs", 0),
        ("hold_out", 1.0),
        ("min_hold_out", 0),
        ("margin", -0.1),
    ],
)
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(GridError, match=field.replace("_", " ")):
        Grid.around(Policy(), **{field: [value]})
