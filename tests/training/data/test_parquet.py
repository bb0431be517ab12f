import contextlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError
from fedp.training.data import open_data
from fedp.training.data.parquet import open_parquet

pa = pytest.importorskip("pyarrow", reason="Parquet is written and read by pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = 12


def columns(**changed):
    """Three clients whose rows are mixed; example i holds values of its own."""
    content = {
        "client": [f"c{i % 3}" for i in range(ROWS)],
        "label": [i % 4 for i in range(ROWS)],
        "x": np.arange(ROWS * 2, dtype=np.float32).reshape(ROWS, 2).tolist(),
        **changed,
    }
    return {name: values for name, values in content.items() if values is not None}


def write(path, content, metadata=None, **options):
    table = pa.table(content)
    pq.write_table(table.replace_schema_metadata(metadata), path, **options)
    return path


def test_lists_of_numbers(tmp_path):
    path = write(tmp_path / "mine.parquet", columns(), row_group_size=5)
    with open_data(str(path)) as data:
        assert data.name == "mine.parquet" and list(data.clients()) == [
            "c0",
            "c1",
            "c2",
        ]
        assert (data.input_shape, data.label_shape) == ((2,), ())
        assert data.classes == ("0", "1", "2", "3") and data.train_count("c0") is None
        x, y = data.load("c1")
        assert (x.dtype, y.dtype) == (np.float32, np.int32)
        assert x.tolist() == [[2, 3], [8, 9], [14, 15], [20, 21]]
        assert y.tolist() == [1, 0, 3, 2] and data.count("c1") == 4


IMAGES = np.arange(ROWS * 6, dtype=np.uint8).reshape(ROWS, 6)
FLAT = pa.FixedSizeListArray.from_arrays(pa.array(IMAGES.reshape(-1)), 6)


@pytest.mark.parametrize(
    "x",
    [
        [row.tobytes() for row in IMAGES],
        pa.array([row.tobytes() for row in IMAGES], pa.binary(6)),
        FLAT,
        pa.array([row.tolist() for row in IMAGES], pa.list_(pa.uint8())),
        pa.array([row.tolist() for row in IMAGES], pa.large_list(pa.uint8())),
    ],
)
def test_images_whose_shape_is_in_the_metadata_or_given(x, tmp_path):
    path = write(tmp_path / "a.parquet", columns(x=x), {"shape": "[2, 3]"})
    with open_data(str(path)) as data:
        assert data.input_shape == (2, 3) and data.load("c2").x.dtype == np.uint8
        np.testing.assert_array_equal(data.load("c2").x.reshape(-1, 6), IMAGES[2::3])
    with open_data(f"{path}?shape=3,2") as data:
        assert data.input_shape == (3, 2)
    path = write(tmp_path / "b.parquet", columns(x=x))
    with open_data(str(path)) as data:
        assert data.input_shape == (6,)


def test_nested_lists_and_tokens_with_a_label_each(tmp_path):
    nested = IMAGES.reshape(ROWS, 2, 3).astype(np.int64).tolist()
    labels = np.where(IMAGES[:, :2] % 3, 4, -1).tolist()
    path = write(tmp_path / "a.parquet", columns(x=nested, label=labels))
    with open_data(str(path)) as data:
        assert (data.input_shape, data.label_shape) == ((2, 3), (2,))
        assert data.load("c0").x.dtype == np.int32 and len(data.classes) == 5
        assert data.load("c0").y.tolist() == labels[0::3]


def test_columns_of_numbers_and_names_of_columns(tmp_path):
    content = columns(x=None, a=list(range(ROWS)), b=[0.5] * ROWS, note=["text"] * ROWS)
    content["who"], content["kind"] = content.pop("client"), content.pop("label")
    path = write(tmp_path / "a.parquet", content)
    with open_data(f"{path}?client=who&label=kind") as data:
        assert data.load("c1").x.tolist() == [[1, 0.5], [4, 0.5], [7, 0.5], [10, 0.5]]
    with pytest.raises(DataError, match=r"no client column client or .*client=COLUMN"):
        open_data(str(path))
    with pytest.raises(DataError, match="no client column nobody"):
        open_data(f"{path}?client=nobody&label=kind")
    with pytest.raises(DataError, match="has options klient; allowed here are client"):
        open_data(f"{path}?klient=who")


@pytest.mark.parametrize("name", ["client_id", "user", "user_id"])
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_other_names_and_types_of_the_client(name, kind, tmp_path):
    content = columns()
    content[name] = pa.array(content.pop("client")).cast(kind)
    with open_parquet(write(tmp_path / "a.parquet", content)) as data:
        assert list(data.clients()) == ["c0", "c1", "c2"] and data.count("c2") == 4
        assert data.load("c2").x[:, 0].tolist() == [4, 10, 16, 22]


def test_numbers_may_name_clients(tmp_path):
    content = columns(client=[10, 9] * 6)
    with open_parquet(write(tmp_path / "a.parquet", content)) as data:
        assert list(data.clients()) == ["10", "9"] and data.load("9").y[0] == 1


def test_a_folder_as_spark_writes_it(tmp_path):
    folder = tmp_path / "table.parquet"
    folder.mkdir()
    write(folder / "part-00000-1b.snappy.parquet", columns())
    write(folder / "part-00001-1b.snappy.parquet", columns(client=["c1", "d"] * 6))
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / ".part-00000-1b.snappy.parquet.crc").write_bytes(b"crc")
    with open_data(str(folder)) as data:
        assert list(data.clients()) == ["c0", "c1", "c2", "d"]
        assert data.count("c1") == 4 + 6 and len(data.load("c1").y) == 10
    write(folder / "part-00002.parquet", columns(x=None, a=[1.0] * ROWS))
    with pytest.raises(DataError, match="part-00002.parquet has other columns"):
        open_data(str(folder))


@settings(max_examples=40, deadline=None)
@given(
    owners=st.lists(st.text("abé漢", max_size=2).map("n{}".format), min_size=1),
    group=st.integers(1, 9),
    keep=st.booleans(),
    batch=st.integers(1, 9),
)
def test_every_client_gets_back_exactly_its_rows(
    owners, group, keep, batch, tmp_path_factory
):
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    x = np.arange(len(owners), dtype=np.float32)
    content = {"client": owners, "label": [0] * len(x), "x": x}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedp.training.data.parquet._KEPT", 1 << 20 if keep else 0)
        patch.setattr("fedp.training.data.parquet._BATCH", batch)
        patch.setattr("fedp.training.data.parquet._READ", 3)
        with open_parquet(write(path, content, row_group_size=group)) as data:
            assert list(data.clients()) == sorted(set(owners))
            for client in data.clients():
                mine = x[np.array(owners) == client]
                np.testing.assert_array_equal(data.load(client).x[:, 0], mine)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (columns(client=None), "no client column"),
        (
            columns(label=None),
            "no label column label or y .it has client, x.*label=COL",
        ),
        (columns(x=None), "besides client and label, one column x"),
        (columns(x=None, note=["a"] * ROWS), "note has type string"),
        (columns(x=["a"] * ROWS), "x has type string"),
        (columns(x=[[1.0]] * 11 + [None]), "x holds nulls"),
        (columns(x=[[1.0]] * 11 + [[1.0, 2.0]]), r"x holds lists of \[1, 2\] values"),
        (columns(x=[[]] * ROWS), "x has type null|lists of"),
        (columns(x=[[float("nan")]] * ROWS), "NaN or Inf"),
        (columns(x=pa.array([[-1]] * ROWS)), "integers out of range"),
        (columns(label=[0.5] * ROWS), "label holds float64"),
        (columns(label=[-1] * ROWS), "label -1"),
        (columns(label=[10**9] * ROWS), "label 1000000000"),
        (columns(label=[0] * 11 + [None]), "label holds nulls"),
        (columns(client=[1.5] * ROWS), "client column has type double"),
        (columns(client=["a"] * 11 + [None]), "without a client"),
        (columns(client=["a"] * 11 + [""]), "name is empty"),
        ({k: v[:0] for k, v in columns(x=[0.5] * ROWS).items()}, "zero examples|null"),
    ],
)
def test_files_that_cannot_be_used(content, says, tmp_path):
    path = write(tmp_path / "mine.parquet", content)
    with pytest.raises(DataError, match=says) as caught, open_parquet(path) as data:
        for client in data.clients():
            data.load(client)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", ["3,3", "0", "a", "", "2,-3", "2.5"])
def test_shapes_that_do_not_fit(shape, tmp_path):
    path = write(tmp_path / "a.parquet", columns(x=FLAT))
    with pytest.raises(DataError, match="shape"):
        open_data(f"{path}?shape={shape}")


def test_files_that_are_no_parquet(tmp_path):
    content = write(tmp_path / "a.parquet", columns()).read_bytes()
    for size in range(0, len(content), 50):
        (tmp_path / "a.parquet").write_bytes(content[:size])
        with pytest.raises(DataError) as caught:
            open_parquet(tmp_path / "a.parquet")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no such file"):
        open_parquet(tmp_path / "gone.parquet")


def open_files(folder):
    """Descriptors of files in a folder that this process has open."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is gone by now
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [link for link in links if link.startswith(str(folder))]


def test_threads_may_read_and_files_are_given_back(tmp_path):
    path = write(tmp_path / "a.parquet", columns(), row_group_size=2)
    with open_parquet(path) as data:
        wrong = []

        def read(number):
            for _ in range(20):
                if data.load(f"c{number}").y[0] != number:
                    wrong.append(number)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
    data.close()
    assert not open_files(tmp_path)
    with pytest.raises(ValueError, match="closed"):
        data.load("c0")


def test_opening_many_clients_takes_constant_memory(tmp_path):
    clients = 200_000
    numbers = np.repeat(np.arange(clients), 2)
    names = pa.array([f"user-{i:07d}" for i in range(clients)])
    content = {
        "client": names.take(pa.array(numbers)),
        "label": numbers % 5,
        "x": numbers.astype(np.float32),
    }
    path = write(tmp_path / "many.parquet", content, row_group_size=50_000)
    code = (
        "import resource, sys; from fedp.training.data import open_data\n"
        "import pyarrow.compute, pyarrow.parquet\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = peak(); data = open_data(sys.argv[1])\n"
        "x = data.load(data.clients()[123_456]).x\n"
        "print(len(data.clients()), int(x[1, 0]), peak() - start)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found, value, grown = map(int, process.stdout.split())
    assert found == clients and value == 123_456 and grown < 90_000  # kB
