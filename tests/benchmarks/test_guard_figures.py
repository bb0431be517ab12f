import pathlib
import runpy

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
figures, floor, line = map(
    runpy.run_path(str(BENCHMARKS / "guard_figures.py")).__getitem__,
    ("figures", "floor", "line"),
)

# Deployed, before, always; hurt, by a point; the same of always; reverted; falsely.
ROWS = np.array(
    [
        [0.8, 0.7, 0.8, 0, 0, 0, 0, 0, 0],
        [0.7, 0.7, 0.6, 0, 0, 1, 1, 1, 0],
        [0.7, 0.7, 0.8, 0, 0, 0, 0, 1, 1],
        [0.6, 0.7, 0.6, 1, 1, 1, 1, 0, 0],
    ]
)


def test_the_figures_of_four_clients():
    found = figures(ROWS)
    assert found["clients"] == 4
    assert found["deployed"][0] == pytest.approx(0.7)
    assert found["to_always"][0] == pytest.approx(0.0)
    assert found["hurt"][0] == pytest.approx(1 / 4)
    assert found["hurt_ratio"][0] == pytest.approx(1 / 2)
    assert found["hurt_by_a_point_ratio"][0] == pytest.approx(1 / 2)
    assert (found["reverts"], found["false_reverts"]) == (0.5, 0.25)
    for value, low, high in (found["deployed"], found["hurt"], found["hurt_ratio"]):
        assert low <= value <= high
    assert line("a guard", found).count("|") == 10


def clients(gains: list[float], images: int, flips: float, seed: int = 0):
    """Hits before and after of clients with these true gains, one test set each."""
    random = np.random.default_rng(seed)
    for gain in gains:
        won = random.random((1, images)) < (flips + gain) / 2
        lost = ~won & (random.random((1, images)) < (flips - gain) / 2)
        yield lost.astype(np.float32), won.astype(np.float32)


def test_large_tests_leave_a_perfect_guard_no_hurt_client():
    gains = [0.1, -0.1] * 20
    found = floor(list(clients(gains, 20_000, 0.3)))
    assert found["truly_hurt"] == pytest.approx(0.5, abs=0.01)
    assert found["hurt_of_always"] == pytest.approx(0.5, abs=0.01)
    assert found["hurt_ratio"] == pytest.approx(0, abs=0.01)


def test_small_tests_hurt_clients_that_truly_gain():
    # 50 images of which 5 flip: 2.2 labels of noise, and true gains within +- 2.5.
    gains = list(np.linspace(-0.05, 0.05, 400))
    found = floor(list(clients(gains, 50, 0.1)))
    assert found["truly_hurt"] == pytest.approx(0.5, abs=0.06)
    assert found["hurt_of_always"] == pytest.approx(0.41, abs=0.06)
    assert 0.1 < found["hurt_ratio"] < 0.5
