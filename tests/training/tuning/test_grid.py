import dataclasses

import pytest

from fedp.device_runtime.contract import Policy
from fedp.training.tuning.grid import FIELDS, GUARDED, Grid, GridError


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
    )
    adaptations = grid.adaptations()
    assert [(a.trainable, a.learning_rate) for a in adaptations] == [
        ("all", 0.1),
        ("all", 0.2),
        ("head", 0.1),
        ("head", 0.2),
    ]
    assert {a.epochs for a in adaptations} == {4}
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
