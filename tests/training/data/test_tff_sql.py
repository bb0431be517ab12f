import contextlib
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime.errors import DataError
from fedp.training.data import open_data, text
from fedp.training.data.tff_sql import open_tff_sql

tff = pytest.importorskip("tensorflow_federated", reason="TFF writes the files")
import tensorflow as tf  # noqa: E402


def write(path, clients, splits=None):
    """Written by TFF itself; clients are dicts of arrays by name."""
    tff.simulation.datasets.save_to_sql_client_data(
        list(clients),
        lambda name: tf.data.Dataset.from_tensor_slices(clients[name]),
        str(path),
        allow_overwrite=True,
        split_names_by_client_id=splits,
    )
    return path


def emnist(count, classes=62, first=0):
    pixels = np.ones((count, 28, 28), np.float32)
    pixels[:, 0, 0] = np.arange(count) + first
    return {"label": np.arange(count, dtype=np.int32) % classes, "pixels": pixels}


def published(path, splits, index=False):
    """Several splits that share clients, as in the files that TFF publishes.

    Args:
        path: of the file.
        splits: {split: {client: {feature: array}}}.
        index: whether there is an index over clients.
    """
    with sqlite3.connect(path) as database:
        for number, (split, clients) in enumerate(splits.items()):
            part = write(f"{path}.part", clients, dict.fromkeys(clients, split))
            database.execute("ATTACH ? AS part", (str(part),))
            for table in ("examples", "client_metadata"):
                if number == 0:
                    database.execute(
                        f"CREATE TABLE {table} AS SELECT * FROM part.{table}"
                    )
                else:
                    database.execute(f"INSERT INTO {table} SELECT * FROM part.{table}")
            database.commit()
            database.execute("DETACH part")
        if index:
            database.execute("CREATE INDEX i ON examples (client_id, split_name)")
    database.close()
    return path


@pytest.mark.parametrize("index", [False, True])
def test_fed_emnist_and_its_digits_in_one_file(index, tmp_path):
    a, b = emnist(9), emnist(2, first=100)
    splits = {
        "all_train": {"f1": a, "f'2": emnist(3)},
        "all_test": {"f1": b},
        "digits_only_train": {"f1": emnist(5, classes=10)},
        "digits_only_test": {"f1": emnist(1)},
    }
    path = published(tmp_path / "emnist_all.sqlite", splits, index)
    with open_data(f"{path}?split=all") as data:
        assert list(data.clients()) == ["f'2", "f1"] and len(data.classes) == 62
        assert data.input_shape == (28, 28) and data.label_shape == ()
        assert (data.count("f1"), data.train_count("f1")) == (11, 9)
        x, y = data.load("f1")
        np.testing.assert_array_equal(x, np.concatenate([a["pixels"], b["pixels"]]))
        np.testing.assert_array_equal(y, np.concatenate([a["label"], b["label"]]))
        assert (x.dtype, y.dtype) == (np.float32, np.int32)
    with open_data(f"fed_emnist_digits:{path}") as data:
        assert data.name == "fed_emnist_digits" and len(data.classes) == 10
        assert (data.count("f1"), data.train_count("f1")) == (6, 5)
    with open_data(f"fed_emnist:{path}", max_examples=4) as data:
        assert (data.count("f1"), data.train_count("f1")) == (4, 3)
    with open_data(f"{path}?split=digits_only_train") as data:
        assert data.count("f1") == 5 and data.train_count("f1") is None
    with pytest.raises(DataError, match="splits all_test, all_train, .*split=all"):
        open_data(str(path))


def test_what_tff_writes_reads_as_tff_reads_it(tmp_path):
    clients = {"zoe": emnist(3), "adam": emnist(5, classes=4)}
    path = write(tmp_path / "mine.sqlite", clients, {"zoe": "train", "adam": "test"})
    with open_data(str(path)) as data:
        assert data.train_count("zoe") == 3 and data.train_count("adam") == 0
        spec = {
            "label": tf.TensorSpec((), tf.int32),
            "pixels": tf.TensorSpec((28, 28), tf.float32),
        }
        theirs = tff.simulation.datasets.load_and_parse_sql_client_data(str(path), spec)
        assert list(data.clients()) == theirs.client_ids
        for name in data.clients():
            dataset = theirs.create_tf_dataset_for_client(name)
            rows = list(dataset.as_numpy_iterator())
            x, y = data.load(name)
            np.testing.assert_array_equal(x, np.stack([r["pixels"] for r in rows]))
            assert y.tolist() == [row["label"] for row in rows]


def test_without_splits_and_with_classes_found_or_given(tmp_path):
    client = {"x": np.arange(6, dtype=np.int64).reshape(2, 3), "y": [1, 6]}
    path = write(tmp_path / "mine.db", {"a": client})
    with open_data(str(path)) as data:
        x, _ = data.load("a")
        assert x.dtype == np.int32 and x.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert data.classes == tuple("0123456") and data.train_count("a") is None
    with open_data(f"{path}?classes=9") as data:
        assert len(data.classes) == 9
    with open_data(f"{path}?classes=3") as data:
        with pytest.raises(DataError, match="client 'a': label 6 is out of range"):
            data.load("a")


def test_shakespeare_is_cut_into_windows(tmp_path):
    lines = [b"Hark!", b"To be, or not to be: " * 9]
    splits = {
        "train": {"KING": {"snippets": lines}},
        "test": {"KING": {"snippets": [b"Never."]}},
    }
    path = published(tmp_path / "shakespeare.sqlite", splits)
    with open_data(f"shakespeare:{path}") as data:
        expected = text.windows([*lines, b"Never."])
        found = data.load("KING")
        np.testing.assert_array_equal(found.x, expected.x)
        np.testing.assert_array_equal(found.y, expected.y)
        assert data.label_shape == (80,) and len(data.classes) == 90
        assert (data.count("KING"), data.train_count("KING")) == (5, 4)


def test_clients_whose_rows_are_apart(tmp_path):
    path = write(tmp_path / "a.sqlite", {"a": emnist(2), "b": emnist(3)})
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO examples SELECT * FROM examples")
        database.execute("UPDATE client_metadata SET num_examples = 99")
    database.close()
    with open_tff_sql(path) as data:
        assert (data.count("a"), data.count("b")) == (4, 6)
        assert data.load("a").x[:, 0, 0].tolist() == [0, 1, 0, 1]


def test_examples_may_be_a_view(tmp_path):
    path = write(tmp_path / "a.sqlite", {"a": emnist(2), "b": emnist(3)})
    spoil(
        path,
        "ALTER TABLE examples RENAME TO stored",
        "CREATE VIEW examples AS SELECT * FROM stored",
    )
    with open_tff_sql(path) as data:
        assert data.load("b").x[:, 0, 0].tolist() == [0, 1, 2]


def spoil(path, *statements):
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (["DROP TABLE client_metadata"], "no table client_metadata with columns"),
        (["ALTER TABLE examples RENAME client_id TO user"], "no table examples with"),
        (["UPDATE examples SET serialized_example_proto = x'ff00'"],
         "no tf.train.Example"),
        (["UPDATE examples SET serialized_example_proto = 7"], "no tf.train.Example"),
        (["DELETE FROM examples"], "has no examples of client 'a'"),
        (["DELETE FROM client_metadata"], "has splits none"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_opened(statements, says, tmp_path):
    path = write(tmp_path / "mine.sqlite", {"a": emnist(2)})
    spoil(path, *statements)
    with pytest.raises(DataError, match=says) as caught:
        open_tff_sql(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ({"label": [1.5], "x": [[1.0]]}, "label is not one integer"),
        ({"label": [[1, 2]], "x": [[1.0]]}, "label is not one integer"),
        ({"label": [-1], "pixels": np.ones((1, 28, 28), np.float32)}, "label -1"),
        ({"label": [62], "pixels": np.ones((1, 28, 28), np.float32)}, "label 62"),
        ({"x": [[1.0]]}, "has features x; needed are"),
        ({"label": [0], "x": [float("nan")]}, "NaN or Inf"),
        ({"label": [0], "x": [b"text"]}, "x has dtype"),
    ],
)
def test_examples_that_cannot_be_used(client, says, tmp_path):
    path = write(tmp_path / "mine.sqlite", {"a": client})
    with pytest.raises(DataError, match=says), open_tff_sql(path) as data:
        data.load("a")


def test_a_client_with_other_features_is_named(tmp_path):
    path = write(tmp_path / "a.sqlite", {n: {"x": [[1.0]], "label": [0]} for n in "ab"})
    text_label = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"c"]))
    features = tf.train.Features(feature={"label": text_label})
    proto = tf.train.Example(features=features).SerializeToString().hex()
    spoil(
        path,
        f"UPDATE examples SET serialized_example_proto = x'{proto}' "
        "WHERE client_id = 'b'",
    )
    with open_tff_sql(path) as data:
        data.load("a")
        with pytest.raises(DataError, match="client 'b': feature label is not one int"):
            data.load("b")


def test_files_that_are_no_sqlite(tmp_path):
    content = write(tmp_path / "a.sqlite", {"a": emnist(40)}).read_bytes()
    for size in (0, 100, 5000, len(content) // 2):
        (tmp_path / "a.sqlite").write_bytes(content[:size])
        with (
            pytest.raises(DataError) as caught,
            open_tff_sql(tmp_path / "a.sqlite") as data,
        ):
            data.load("a")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no such file"):
        open_tff_sql(tmp_path / "gone.sqlite")
    assert not (tmp_path / "gone.sqlite").exists()


def open_files(folder):
    """Descriptors of files in a folder that this process has open."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own is gone by now
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [link for link in links if link.startswith(str(folder))]


def test_closing_frees_the_file_and_ends_reading(tmp_path):
    path = write(tmp_path / "a.sqlite", {"a": emnist(2)})
    with open_tff_sql(path) as data:
        data.load("a")
        assert open_files(tmp_path)
    data.close()
    assert not open_files(tmp_path)
    with pytest.raises(ValueError, match="closed"):
        data.load("a")


def test_opening_many_clients_takes_constant_memory(tmp_path):
    path = write(tmp_path / "a.sqlite", {"none": emnist(1)})
    spoil(
        path,
        "UPDATE examples SET client_id = 'user-0000000'",
        "UPDATE client_metadata SET client_id = 'user-0000000'",
        # 200,000 clients of one example each, none of which is looked at.
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 199999) INSERT INTO examples SELECT 'default_split', "
        "printf('user-%07d', i), x'00' FROM n",
    )
    code = (
        "import resource, sys, tensorflow; from fedp.training.data import open_data\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = peak(); data = open_data(sys.argv[1])\n"
        "data.load('user-0000000')\n"
        "print(len(data.clients()), peak() - start)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    clients, grown = map(int, process.stdout.split())
    assert clients == 200_000 and grown < 50_000  # kB
