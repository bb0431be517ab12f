"""What float16 costs, in exact numbers, on a data set made for it."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.errors import FedpError
from fedp.export.rounding_cost import rounding_cost
from fedp.training.configuration import TrainingConfig
from fedp.training.data import ClientSplit, NpzData
from fedp.training.run_directory import Run, create_run
from fedp.training.run_record import new_record

NAMES = [f"w{number:02d}" for number in range(20)]


def model_that_rounding_changes() -> tf.keras.Model:
    """Takes 1 for class 1 by 2**-12, which float16 rounds to a tie; 0 for class 0."""
    model = tf.keras.Sequential([tf.keras.layers.Input((1,)), tf.keras.layers.Dense(2)])
    kernel = np.array([[1, 1 + 2**-12]], np.float32)
    model.set_weights([kernel, np.zeros(2, np.float32)])
    return model


def run_in(folder: pathlib.Path) -> Run:
    """Validation clients are right before rounding, all others are always wrong."""
    config = TrainingConfig(
        data=str(folder / "data.npz"),
        model="mlp",
        validation=0.2,
        test=0.3,
        clients_per_round=2,
    )
    split = ClientSplit.of(NAMES, config.split_seed, config.validation, config.test)
    assert split.count(NAMES, "validation") == 4
    x, y = [], []
    for name in NAMES:
        x += [1, 1, 1, 0]
        y += [1, 1, 1, 0] if split.role(name) == "validation" else [0, 0, 0, 1]
    np.savez(
        folder / "data.npz",
        x=np.array(x, np.float32)[:, None],
        y=y,
        client=np.repeat(NAMES, 4),
        classes=["zero", "one"],
    )
    return create_run(folder / "run", new_record(config, NpzData(config.data)))


def test_accuracy_before_and_after_on_validation_clients_alone(tmp_path):
    model = model_that_rounding_changes()
    before = model.get_weights()
    cost = rounding_cost(model, run_in(tmp_path))
    # Of a client's four examples, the tie takes the three ones for zeros.
    assert (cost.exact, cost.rounded, cost.examples) == (1.0, 0.25, 4 * 4)
    assert "from 1.0000 to 0.2500 on 16 examples of validation clients" in str(cost)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_data_that_are_gone_are_an_error(tmp_path):
    run = run_in(tmp_path)
    (tmp_path / "data.npz").unlink()
    with pytest.raises(FedpError, match=r"data\.npz"):
        rounding_cost(model_that_rounding_changes(), run)
