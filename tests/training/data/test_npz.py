import os
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError
from fedp.training.data import NpzData

UNIPEN = (
    pathlib.Path(__file__).parents[4] / "shared" / "data" / "unipen62" / "unipen62.npz"
)
LETTERS = "abcdeé漢"


def arrays(examples=12, clients=3, dtype=np.uint8, shape=(4, 5)):
    """Example i holds values that tell it from all others; clients are interleaved."""
    x = np.arange(examples * np.prod(shape)).reshape(examples, *shape).astype(dtype)
    return {
        "x": x,
        "y": np.arange(examples) % 4,
        "client": np.array([f"c{i % clients}" for i in range(examples)]),
    }


def write(path, save=np.savez_compressed, **changed):
    content = {k: v for k, v in {**arrays(), **changed}.items() if v is not None}
    save(path, **content)
    return path


@st.composite
def federated_arrays(draw):
    n = draw(st.integers(1, 60))
    names = st.text("abcé漢 ,/", min_size=1, max_size=5)
    x_dtype = draw(st.sampled_from(["u1", "<f2", "<f4", ">f4", "<f8"]))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    y_dtype = draw(st.sampled_from(["i1", "u1", "<i4", "<i8", "<u8", ">i2"]))
    return {
        "x": random.integers(0, 200, size=(n, *shape)).astype(x_dtype),
        "y": random.integers(0, 62, size=n).astype(y_dtype),
        "client": np.array(draw(st.lists(names, min_size=n, max_size=n))),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@settings(max_examples=60, deadline=None)
@given(content=federated_arrays())
def test_every_client_gets_back_exactly_its_rows(save, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "data.npz"
    save(path, **content)
    with NpzData(path) as data:
        assert list(data.clients()) == sorted(set(content["client"].tolist()))
        assert data.input_shape == content["x"].shape[1:]
        assert len(data.classes) == content["y"].max() + 1
        for client in data.clients():
            mine = content["client"] == client
            x, y = data.load(client)
            np.testing.assert_array_equal(x, content["x"][mine])
            np.testing.assert_array_equal(y, content["y"][mine])
            assert x.dtype == content["x"].dtype.newbyteorder("=")
            assert y.dtype == np.int32
            assert data.count(client) == mine.sum()


def test_version_2_header_is_read(tmp_path):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays().items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array, version=(2, 0))
    with NpzData(path) as data:
        np.testing.assert_array_equal(data.load("c1").x, arrays()["x"][1::3])


def test_named_classes(tmp_path):
    names = np.array(["a", "b", "c", "d", "e"])
    with NpzData(write(tmp_path / "data.npz", classes=names)) as data:
        assert data.classes == ("a", "b", "c", "d", "e")
        assert data.name == "data.npz"


@pytest.mark.parametrize("dtype", ["<i2", ">i8", "u4"])
def test_integers_are_tokens_and_each_may_have_its_label(dtype, tmp_path):
    x = np.arange(36).reshape(12, 3).astype(dtype)
    y = np.tile([[0, 5, -1]], (12, 1))
    with NpzData(write(tmp_path / "data.npz", x=x, y=y)) as data:
        assert data.input_shape == data.label_shape == (3,) and len(data.classes) == 6
        found = data.load("c2")
        assert found.x.dtype == found.y.dtype == np.int32
        np.testing.assert_array_equal(found.x, x[2::3])
        np.testing.assert_array_equal(found.y, y[2::3])
        assert data.train_count("c2") is None


@pytest.mark.parametrize("token", [-1, 2**31])
def test_a_token_out_of_range_names_the_client(token, tmp_path):
    x = np.zeros((12, 3), np.int64)
    x[4] = token
    with NpzData(write(tmp_path / "data.npz", x=x)) as data:
        data.load("c0")
        with pytest.raises(DataError, match="'c1' holds tokens out of range"):
            data.load("c1")


def test_cap_is_deterministic_and_unbiased(tmp_path):
    path = tmp_path / "data.npz"
    n = 400
    np.savez(
        path,
        x=np.arange(n, dtype=np.float32)[:, np.newaxis],
        y=np.zeros(n, int),
        client=np.repeat(["a", "b"], [n - 1, 1]),
    )
    kept = []
    for seed in range(30):
        with NpzData(path, max_examples=40, seed=seed) as data:
            assert (data.count("a"), data.count("b")) == (40, 1)
            rows = data.load("a").x[:, 0]
            assert len(set(rows)) == 40 and (np.diff(rows) > 0).all()
            np.testing.assert_array_equal(rows, data.load("a").x[:, 0])
            kept.append(rows)
    assert not np.array_equal(kept[0], kept[1])
    # 1,200 rows uniform on 0..398: their mean is 199 with a deviation of
    # 399 / sqrt(12 * 1200) = 3.3; keeping the first 40 would give 19.5.
    assert abs(np.mean(kept) - 199) < 15
    with NpzData(path, max_examples=40, seed=3) as data:
        np.testing.assert_array_equal(data.load("a").x[:, 0], kept[3])


def test_fingerprint_tells_data_sets_apart_but_not_readings(tmp_path):
    first = NpzData(write(tmp_path / "a.npz"))
    again = NpzData(write(tmp_path / "b.npz", save=np.savez), max_examples=1, seed=5)
    other = NpzData(write(tmp_path / "c.npz", client=np.repeat(["c0", "c1"], 6)))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert re.fullmatch("[0-9a-f]{16}", first.fingerprint)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"x": None}, "no array x (it has client, y)"),
        ({"x": None, "client": None}, "no array x, client"),
        ({"x": np.zeros(12, np.uint8)}, "shape [12]"),
        ({"x": np.zeros((12, 0), np.uint8)}, "shape [12, 0]"),
        ({"x": np.zeros((12, 3), complex)}, "dtype complex128; allowed are uint8"),
        ({"x": np.full((12, 3), "a")}, "x has dtype <U1"),
        ({"x": np.full((12, 3), None)}, "x has dtype object"),
        ({"x": np.asfortranarray(np.zeros((12, 3)))}, "ascontiguousarray"),
        ({"x": np.zeros((11, 3), np.uint8)}, "for 11 examples"),
        ({"y": np.zeros(12)}, "y has dtype float64"),
        ({"y": np.zeros((12, 1), int)}, "y has shape [12, 1]"),
        ({"y": np.zeros((12, 2), int)}, "y has shape [12, 2]"),
        ({"y": np.full((12, 4), -2)}, "4 labels an example: label -2"),
        ({"y": np.full(12, -1)}, "label -1 of example 0"),
        ({"y": np.full(12, None)}, "Object arrays cannot be loaded"),
        ({"y": np.array([0] * 7 + [-2] + [0] * 4)}, "label -2 of example 7"),
        ({"y": np.array([0] * 7 + [2**40] + [0] * 4)}, "of example 7 is out of range"),
        ({"classes": np.array(["a", "b"])}, "label 2 of example 2 is out of range; "
         "allowed are 0..1"),
        ({"classes": np.array(["a", "b", "a", "d"])}, "class 2 has the name 'a'"),
        ({"classes": np.array(["a", "", "c", "d"])}, "class 1 has the name ''"),
        ({"classes": np.array([], dtype="U1")}, "classes has dtype"),
        ({"classes": np.arange(4)}, "classes has dtype int64"),
        ({"client": np.arange(12)}, "client has dtype int64"),
        ({"client": np.full(12, b"a")}, "client has dtype |S1"),
        ({"client": np.full(5, "a")}, "shape [5]"),
        ({"client": np.array(["a"] * 3 + [""] * 9)}, "client of example 3 is empty"),
        ({"client": np.array(["a"] * 11 + ["\ud800"])}, "surrogate"),
        ({k: v[:0] for k, v in arrays().items()}, "zero examples"),
    ],
)  # fmt: skip
def test_bad_arrays_are_one_line_that_names_file_and_finding(changed, says, tmp_path):
    path = write(tmp_path / "data.npz", **changed)
    with pytest.raises(DataError) as caught:
        NpzData(path)
    message = str(caught.value)
    assert says in message and str(path) in message and "\n" not in message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_names_client_and_example(save, bad, tmp_path):
    x = np.zeros((12, 4, 5), np.float32)
    x[7, 2, 2] = bad
    with NpzData(write(tmp_path / "data.npz", save=save, x=x)) as data:
        data.load("c0")
        with pytest.raises(DataError, match=r"data\.npz.*example 7, of client 'c1'"):
            data.load("c1")


def test_files_that_are_no_npz(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "empty.npz", "array.npy", ""):
        with pytest.raises(DataError, match="cannot be read as an .npz") as caught:
            NpzData(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"gone\.npz: no such file"):
        NpzData(tmp_path / "gone.npz")


def test_no_byte_of_a_compressed_x_can_change_unseen(tmp_path):
    path = write(tmp_path / "data.npz")
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        end = archive.getinfo("x.npy").compress_size
    for at in range(100, end, 7):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            NpzData(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_cut_anywhere_is_an_error(save, tmp_path):
    path = write(tmp_path / "data.npz", save=save)
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(DataError):
            NpzData(path)


def test_header_that_promises_more_rows_than_there_are(tmp_path):
    path = tmp_path / "data.npz"
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, array in arrays().items():
                with archive.open(f"{name}.npy", "w") as stream:
                    if name == "x":
                        fields = np.lib.format.header_data_from_array_1_0(array)
                        np.lib.format.write_array_header_1_0(stream, fields)
                        stream.write(array.tobytes()[:-1])
                    else:
                        np.lib.format.write_array(stream, array)
        with pytest.raises(DataError, match="cut short"):
            NpzData(path)


def test_file_cut_short_while_in_use(tmp_path):
    path = write(tmp_path / "data.npz", save=np.savez)
    with NpzData(path) as data:
        os.truncate(path, 200)
        with pytest.raises(DataError, match="cut short while it was in use"):
            data.load("c2")


def test_unknown_client_and_wrong_cap(tmp_path):
    path = write(tmp_path / "data.npz")
    with NpzData(path) as data:
        for ask in (data.load, data.count):
            with pytest.raises(DataError, match="no client 'c9'; .*such as c0, c1, c2"):
                ask("c9")
    with pytest.raises(DataError, match="max_examples is 0"):
        NpzData(path, max_examples=0)


def test_closing_frees_the_file_and_ends_reading(tmp_path):
    path = write(tmp_path / "data.npz")
    before = len(os.listdir("/proc/self/fd"))
    with NpzData(path) as data:
        assert len(os.listdir("/proc/self/fd")) == before + 1
    data.close()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="closed"):
        data.load("c0")
    forgotten = NpzData(path)
    del forgotten
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_left_in_the_temporary_directory_after_kill_9(tmp_path):
    path = write(tmp_path / "data.npz")
    spool = tmp_path / "spool"
    spool.mkdir()
    code = (
        "import os, signal, sys; from fedp.training.data import NpzData;"
        "data = NpzData(sys.argv[1]); data.load('c0');"
        "print('loaded', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "TMPDIR": str(spool)},
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stdout) == (-9, "loaded\n")
    assert not list(spool.iterdir())


def test_no_room_to_unpack_is_one_line(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (12, 200_000)).astype(np.uint8)
    path = write(tmp_path / "data.npz", x=x)
    # A file-size limit fails writes as a full disk does, but as EFBIG; a real full
    # disk needs a file system of its own, so that the message is what is common.
    code = (
        "import resource, signal, sys; from fedp.training.data import NpzData;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "NpzData(sys.argv[1])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True
    )
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert "DataError" in last and "no room to unpack x" in last and "TMPDIR" in last


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_does_not_grow_with_the_clients_read(save, tmp_path):
    # 64 MB of x in 800 clients of 80 kB, each client's rows scattered.
    clients, each = 800, 10
    rows = np.arange(clients * each, dtype=np.uint8)[:, np.newaxis]
    path = tmp_path / "data.npz"
    save(
        path,
        x=np.repeat(rows, 8000, axis=1),
        y=np.zeros(clients * each, np.uint8),
        client=np.tile([f"c{i:05d}" for i in range(clients)], each),
    )
    code = (
        "import resource, sys; from fedp.training.data import NpzData\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = peak(); data = NpzData(sys.argv[1]); opened = peak()\n"
        "for name in data.clients(): data.load(name)\n"
        "print(opened - start, peak() - opened)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    opening, reading = map(int, process.stdout.split())  # kB
    assert opening < 16_000 and reading < 4_000


@pytest.mark.skipif(not UNIPEN.exists(), reason="no ../shared/data/unipen62 here")
def test_real_writers():
    with NpzData(UNIPEN, max_examples=400) as data:
        assert len(data.clients()) == 253 and data.input_shape == (28, 28)
        assert data.classes[10] == "A" and len(data.classes) == 62
        file = np.load(UNIPEN)
        whole = {name: file[name] for name in ("x", "y", "client")}
        for client in data.clients()[::10]:
            mine = np.flatnonzero(whole["client"] == client)
            x, y = data.load(client)
            assert len(y) == data.count(client) == min(400, len(mine))
            if len(mine) <= 400:
                np.testing.assert_array_equal(x, whole["x"][mine])
                np.testing.assert_array_equal(y, whole["y"][mine])
