import os
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime.errors import DataError
from fedp.training.data import NpzData, SyntheticData, open_data


def test_synthetic_and_its_size():
    assert len(open_data("synthetic").clients()) == 100
    assert len(open_data("synthetic:7").clients()) == 7
    assert len(open_data("synthetic", clients=8).clients()) == 8
    data = open_data("synthetic:4", seed=2, max_examples=3)
    own = SyntheticData(4, seed=2, max_examples=3)
    name = own.clients()[2]
    assert data.count(name) == 3
    np.testing.assert_array_equal(data.load(name).x, own.load(name).x)


def test_npz_with_cap_and_seed(tmp_path):
    path = tmp_path / "mine.npz"
    x = np.arange(50, dtype=np.uint8)[:, np.newaxis]
    np.savez(path, x=x, y=np.zeros(50, int), client=np.full(50, "anna"))
    data = open_data(str(path), max_examples=5, seed=4)
    with NpzData(path, max_examples=5, seed=4) as own:
        np.testing.assert_array_equal(data.load("anna").x, own.load("anna").x)
    assert data.name == "mine.npz"


@pytest.mark.parametrize("spec", ["mnist", "data.csv", "", "synthetic2", "x:3"])
def test_unknown_kind_lists_what_is_allowed(spec):
    with pytest.raises(DataError, match=r"synthetic, synthetic:CLIENTS, .*\.npz"):
        open_data(spec)


@pytest.mark.parametrize("spec", ["synthetic:", "synthetic:many", "synthetic:1.5"])
def test_no_number_of_clients(spec):
    with pytest.raises(DataError, match="no number of clients"):
        open_data(spec)


def test_number_of_clients_of_an_npz_cannot_be_set(tmp_path):
    with pytest.raises(DataError, match="only synthetic data"):
        open_data(str(tmp_path / "a.npz"), clients=3)


def test_import_pulls_in_nothing_heavy():
    code = (
        "import sys; import fedp.training.data;"
        "print(sorted({'tensorflow', 'matplotlib', 'scipy', 'jax'} & set(sys.modules)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ
    )
    assert process.stdout == "[]\n", process.stderr
