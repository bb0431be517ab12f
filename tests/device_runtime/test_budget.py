import gc
import math
import time

import numpy as np
import pytest

from fedp.device_runtime.budget import Budget, Meter
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import FedpError


@pytest.mark.parametrize(
    "name", ["seconds", "steps", "epochs", "examples", "memory_mb"]
)
def test_a_limit_below_zero_is_refused(name: str) -> None:
    for value in (-1, math.nan):
        with pytest.raises(FedpError, match=f"{name}: give 0 or more"):
            Budget(**{name: value})
    assert Budget(**{name: 0}) != Budget()


def test_epochs_are_in_place_of_the_policys() -> None:
    assert Budget(epochs=7).applied(Policy(epochs=2)) == Policy(epochs=7)
    assert Budget(steps=7).applied(Policy(epochs=2)) == Policy(epochs=2)


def test_no_limit_is_none() -> None:
    meter = Meter()
    meter.steps = 10**9
    assert meter.reached() is None


def test_steps_and_seconds() -> None:
    meter = Meter(Budget(steps=2, seconds=0.05))
    meter.steps = 1
    assert meter.reached() is None
    meter.steps = 2
    assert meter.reached() == "steps"
    meter.steps = 0
    time.sleep(0.06)
    assert meter.reached() == "seconds" and meter.seconds >= 0.05


def test_memory_is_what_the_process_grows_by() -> None:
    gc.collect()  # What others have left must not be given back meanwhile.
    meter = Meter(Budget(memory_mb=100))
    assert meter.reached() is None
    held = np.ones(50_000_000)  # 400 MB, written to.
    assert meter.reached() == "memory_mb"
    del held


def test_the_app_is_asked_last() -> None:
    asked = []
    meter = Meter(Budget(steps=1), lambda: asked.append(1) is None)
    assert meter.reached() == "should_stop" and asked == [1]
    meter.steps = 1
    assert meter.reached() == "steps" and asked == [1]
