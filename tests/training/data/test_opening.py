import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime.errors import DataError, MissingDependencyError
from fedp.training.data import NpzData, SyntheticData, open_data
from fedp.training.data.opening import absolute


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


@pytest.mark.parametrize(
    "spec", ["mnist", "data.csv", "", "synthetic2", "x:3", "a" * 5000, "a\0b", "?a=b"]
)
def test_unknown_kind_lists_what_is_allowed(spec):
    allowed = r"synthetic, synthetic:CLIENTS, fed_emnist, .*\.npz, \.parquet, \.json"
    with pytest.raises(DataError, match=allowed):
        open_data(spec)


def test_a_folder_of_nothing_known(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="no known kind"):
        open_data(str(tmp_path))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("gone.npz", "no such file"),
        ("gone.parquet", "no such file"),
        ("gone.json", "no such file"),
        ("gone.h5", "no such file"),
        ("gone.sqlite", "no such file"),
        ("fed_emnist:gone.sqlite", "no such file"),
        ("fed_emnist:", "names no path"),
        ("shakespeare:gone.json.gz", "no such file"),
        ("a.npz?x=1", "has options x; allowed here are none"),
        ("a.sqlite?classes=many", "no number of classes"),
        ("a.sqlite?classes=0", "no number of classes"),
        ("a.json?client=x", "allowed here are none"),
        ("a.parquet?junk", "has options junk"),
        ("a.h5?", "no such file"),
    ],
)
def test_paths_and_options_that_cannot_be(spec, says, tmp_path, monkeypatch):
    for package in ("h5py", "pyarrow", "tensorflow"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=says) as caught:
        open_data(spec)
    assert "\n" not in str(caught.value)


def test_a_question_mark_may_be_part_of_a_name(tmp_path):
    path = tmp_path / "what?.npz"
    np.savez(path, x=np.zeros((1, 2)), y=np.zeros(1, int), client=np.array(["a"]))
    with open_data(str(path)) as data:
        assert data.name == "what?.npz"


@pytest.mark.parametrize(
    ("package", "spec"),
    [
        ("h5py", "a.h5"),
        ("pyarrow", "a.parquet"),
        ("tensorflow", "a.sqlite"),
        ("tensorflow_federated", "fed_emnist"),
    ],
)
def test_a_missing_package_is_named(package, spec, monkeypatch, tmp_path):
    monkeypatch.setattr(pathlib.Path, "home", lambda: tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match="not installed: run `"):
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
        "heavy = {'tensorflow', 'matplotlib', 'scipy', 'jax', 'h5py', 'pyarrow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ
    )
    assert process.stdout == "[]\n", process.stderr


def test_an_absolute_spec_opens_the_same_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("synthetic:20") == "synthetic:20"
    assert absolute("shakespeare") == "shakespeare"
    assert absolute("a/b.npz") == f"{tmp_path}/a/b.npz"
    assert absolute("/a/b.npz") == "/a/b.npz"
    assert absolute("shakespeare:c.h5") == f"shakespeare:{tmp_path}/c.h5"
    assert absolute("t.parquet?shape=2,2") == f"{tmp_path}/t.parquet?shape=2,2"
