import contextlib
import os
import threading

import numpy as np
import pytest

from fedp.device_runtime.errors import DataError
from fedp.training.data import open_data, text
from fedp.training.data.hdf5 import open_hdf5

h5py = pytest.importorskip("h5py", reason="HDF5 is written and read by h5py")


def write(path, clients, group="examples"):
    """A file in the layout of TFF's HDF5ClientData."""
    with h5py.File(path, "w") as file:
        for name, features in clients.items():
            for feature, values in features.items():
                file[f"{group}/{name}/{feature}"] = values
    return path


def emnist(count, first=0, classes=10):
    """As in fed_emnist: pixels float32 [n, 28, 28] and label int32 [n]."""
    pixels = np.ones((count, 28, 28), np.float32)
    pixels[:, 0, 0] = np.linspace(0, 0.5, count) + first
    return {"pixels": pixels, "label": np.arange(count, dtype=np.int32) % classes}


def snippets(*lines):
    """As in shakespeare: snippets, strings of variable length [n]."""
    return {"snippets": np.array(lines, dtype=h5py.string_dtype())}


def test_fed_emnist_in_two_files(tmp_path):
    train = {"f0000_14": emnist(12), "f0001_41": emnist(3)}
    test = {"f0000_14": emnist(2, first=0.25), "f0001_41": emnist(1)}
    write(tmp_path / "fed_emnist_digitsonly_train.h5", train)
    write(tmp_path / "fed_emnist_digitsonly_test.h5", test)
    with open_data(f"fed_emnist_digits:{tmp_path}") as data:
        assert data.name == "fed_emnist_digits"
        assert list(data.clients()) == ["f0000_14", "f0001_41"]
        assert data.input_shape == (28, 28) and data.label_shape == ()
        assert data.classes == tuple("0123456789")
        assert (data.count("f0000_14"), data.train_count("f0000_14")) == (14, 12)
        x, y = data.load("f0000_14")
        both = [train["f0000_14"], test["f0000_14"]]
        np.testing.assert_array_equal(x, np.concatenate([p["pixels"] for p in both]))
        np.testing.assert_array_equal(y, np.concatenate([p["label"] for p in both]))
        assert (x.dtype, y.dtype) == (np.float32, np.int32)
    with open_data(str(tmp_path / "fed_emnist_digitsonly_train.h5")) as data:
        assert data.count("f0000_14") == 12 and data.train_count("f0000_14") is None
        assert data.name == "fed_emnist_digitsonly_train.h5"


def test_shakespeare_is_cut_into_windows(tmp_path):
    lines = ["Hark!", "What is " * 30, ""]
    path = write(tmp_path / "shakespeare.h5", {"PLAY_MACBETH": snippets(*lines)})
    with open_data(str(path)) as data:
        assert data.input_shape == data.label_shape == (80,) and len(data.classes) == 90
        expected = text.windows(line.encode() for line in lines)
        found = data.load("PLAY_MACBETH")
        np.testing.assert_array_equal(found.x, expected.x)
        np.testing.assert_array_equal(found.y, expected.y)
        assert data.count("PLAY_MACBETH") == len(expected.x) == 1 + 3 + 1


@pytest.mark.parametrize(
    ("dtype", "found"), [("u1", "uint8"), ("i8", "int32"), ("f8", "float32")]
)
def test_other_features(dtype, found, tmp_path):
    name = 'q"/\\é\n'.replace("/", "")
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    client = {"x": x, "y": np.array([[4], [0]], np.int64)}
    with open_hdf5(write(tmp_path / "a.hdf5", {name: client})) as data:
        assert list(data.clients()) == [name] and data.classes == tuple("01234")
        assert data.load(name).x.dtype == found and data.load(name).y.tolist() == [4, 0]
        np.testing.assert_array_equal(data.load(name).x, x)


X, Y = np.zeros((2, 3), np.float32), np.zeros(2, np.int32)


@pytest.mark.parametrize(
    ("clients", "says"),
    [
        ({}, "has no group 'examples'"),
        ({"a": {"pixels": X}}, "has features pixels; needed are"),
        (
            {"a": {"pixels": X, "label": Y}, "b": {"pixels": X}},
            "cannot be read as HDF5",
        ),
        ({"a": {"pixels": X, "label": np.zeros(2)}}, "labels have dtype float64"),
        ({"a": {"pixels": X, "label": np.array([0, -3])}}, "label -3"),
        ({"a": {"pixels": X, "label": np.array([0, 10**6])}}, "label 1000000"),
        ({"a": {"pixels": X[:0], "label": Y[:0]}}, "zero examples"),
        ({"a": {"pixels": X.astype(complex), "label": Y}}, "x has dtype complex128"),
    ],
)
def test_files_that_cannot_be_opened(clients, says, tmp_path):
    path = write(tmp_path / "mine.h5", clients)
    with pytest.raises(DataError, match=says) as caught:
        open_hdf5(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_client_that_does_not_fit_is_named(tmp_path):
    bad = {"pixels": np.full((2, 3), np.nan, np.float32), "label": Y}
    short = {"pixels": X[:1], "label": Y}
    good = {"pixels": X, "label": Y}
    path = write(tmp_path / "a.h5", {"a": good, "bad": bad, "short": short})
    with open_hdf5(path) as data:
        data.load("a")
        with pytest.raises(DataError, match="client 'bad': x holds NaN or Inf"):
            data.load("bad")
        with pytest.raises(DataError, match=r"client 'short': x has shape \[1, 3\]"):
            data.load("short")


def test_files_that_are_no_hdf5(tmp_path):
    content = write(tmp_path / "a.h5", {"a": emnist(2)}).read_bytes()
    for size in (0, 1, 100, len(content) // 2, len(content) - 10):
        (tmp_path / "a.h5").write_bytes(content[:size])
        with pytest.raises(DataError, match="cannot be read as HDF5"):
            open_hdf5(tmp_path / "a.h5")
    with pytest.raises(DataError, match="no such file"):
        open_hdf5(tmp_path / "gone.h5")


def open_files(folder):
    """Descriptors of files in a folder that this process has open."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is gone by now
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [link for link in links if link.startswith(str(folder))]


def test_threads_may_read_and_files_are_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr("fedp.training.data.hdf5._REOPEN", 7)
    clients = {f"c{i}": {"x": X + i, "label": Y} for i in range(40)}
    with open_hdf5(write(tmp_path / "a.h5", clients)) as data:
        wrong = []

        def read(start):
            for i in range(start, 40, 3):
                if not (data.load(f"c{i}").x == i).all():
                    wrong.append(i)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
    data.close()
    assert not open_files(tmp_path)
    with pytest.raises(ValueError, match="closed"):
        data.load("c1")
