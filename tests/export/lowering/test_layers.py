"""Every line of the support table: gradients against TensorFlow's tape."""

from __future__ import annotations

import numpy as np
import pytest

from fedp.device_runtime.contract import CROSS_ENTROPY
from tests.export.layer_table import LOSSES, TABLE, TOKENS
from tests.export.lowering.comparing import compare

CASES = [
    pytest.param(make, row.random, id=f"{row.layer}: {name}")
    for row in TABLE
    for name, make in row.cases.items()
]


def inputs(model, n: int = 4) -> np.ndarray:
    """Normal numbers, or tokens."""
    shape = (n, *model.input_shape[1:])
    if model.inputs[0].dtype.is_integer:
        return np.random.default_rng(5).integers(0, TOKENS, shape).astype(np.int32)
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("make", "random"), CASES)
def test_gradients_are_tensorflows(make, random):
    model = make()
    compare(model, inputs(model), loss=CROSS_ENTROPY, random=random)


@pytest.mark.parametrize(("loss", "make"), LOSSES.values(), ids=LOSSES)
def test_losses_are_tensorflows(loss, make):
    model = make()
    weight = np.array([1, 0.5, 2, 0], np.float32)
    compare(model, inputs(model), weight, loss)


def test_sequences_may_lack_labels():
    loss, make = LOSSES["sequence"]
    model = make()
    y = np.array([[0, -1, 3, -1, 4], [-1] * 5, [1] * 5, [-1, -1, -1, -1, 2]], np.int32)
    compare(model, inputs(model), loss=loss, y=y)
