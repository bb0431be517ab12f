import json
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError
from fedp.training.data import open_data, text
from fedp.training.data.json_scan import scan_users
from fedp.training.data.leaf import open_leaf

REAL = pathlib.Path(__file__).parents[4] / "shared" / "data"
FEMNIST, SHAKESPEARE = REAL / "leaf_femnist", REAL / "leaf_shakespeare"


def leaf(users, **more):
    """A file's content, as LEAF's preprocessing dumps it."""
    return {
        "users": list(users),
        "num_samples": [len(user["y"]) for user in users.values()],
        "user_data": users,
        **more,
    }


def write(path, users, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(leaf(users, **more)))
    return path


def numbers(count, size=3, classes=4, first=0):
    x = (np.arange(count * size, dtype=float) + first).reshape(count, size)
    return {"x": x.tolist(), "y": [i % classes for i in range(count)]}


def test_numbers_of_several_files(tmp_path):
    users = {"anna": numbers(3), 'b"\\{é': numbers(2, first=50), "none": numbers(0)}
    write(tmp_path / "all_data" / "data_0.json", users, hierarchies=["x", "y"])
    write(tmp_path / "all_data" / "data_1.json", {"carl": numbers(4)})
    with open_data(str(tmp_path)) as data:
        assert list(data.clients()) == ["anna", 'b"\\{é', "carl"]
        assert (data.input_shape, data.label_shape) == ((3,), ())
        assert data.classes == ("0", "1", "2", "3") and data.train_count("anna") is None
        x, y = data.load('b"\\{é')
        assert x.dtype == np.float32 and y.dtype == np.int32
        np.testing.assert_array_equal(x, np.arange(50, 56).reshape(2, 3))
        assert y.tolist() == [0, 1] and data.count("carl") == 4


def test_train_and_test_folders_with_leafs_names(tmp_path):
    name = "all_data_0_niid_0_keep_0_{}_9.json"
    write(tmp_path / "train" / name.format("train"), {"a": numbers(6), "b": numbers(1)})
    write(tmp_path / "test" / name.format("test"), {"a": numbers(2, first=90)})
    write(tmp_path / "all_data" / "all_data_0.json", {"a": numbers(8)})
    with open_data(str(tmp_path)) as data:
        assert data.count("a") == 8 and data.train_count("a") == 6
        assert data.train_count("b") == 1
        assert data.load("a").x[:, 0].tolist() == [0, 3, 6, 9, 12, 15, 90, 93]


def test_a_cap_shrinks_both_parts_in_proportion(tmp_path):
    write(tmp_path / "0_train.json", {"a": numbers(60), "b": numbers(3)})
    write(tmp_path / "0_test.json", {"a": numbers(20, first=1000), "c": numbers(9)})
    kept = []
    for seed in (0, 0, 1):
        with open_data(str(tmp_path), max_examples=8, seed=seed) as data:
            assert data.count("a") == 8 and data.train_count("a") == 6
            x = data.load("a").x[:, 0]
            assert (x[:6] < 1000).all() and (x[6:] >= 1000).all()
            assert data.train_count("b") == 3 and data.train_count("c") == 0
            assert data.count("c") == 8
            kept.append(x.tolist())
    assert kept[0] == kept[1] != kept[2]
    with open_data(str(tmp_path), max_examples=1) as data:
        assert (data.count("a"), data.train_count("a"), len(data.load("a").y)) == (
            1,
        ) * 3


def test_a_cap_keeps_what_an_npz_keeps(tmp_path):
    x = np.arange(30, dtype=np.float32)[:, np.newaxis]
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(30, int), client=np.full(30, "anna"))
    write(tmp_path / "a.json", {"anna": {"x": x.tolist(), "y": [0] * 30}})
    found = [
        open_data(str(tmp_path / f"a.{kind}"), max_examples=7, seed=3)
        for kind in ("npz", "json")
    ]
    np.testing.assert_array_equal(found[0].load("anna").x, found[1].load("anna").x)
    assert found[0].fingerprint == found[1].fingerprint


def test_images_have_emnists_classes_and_values_of_the_file(tmp_path):
    x = [[1.0] * 784, [0.0] + [1.0] * 783]
    write(tmp_path / "femnist.json", {"f0001_41": {"x": x, "y": [61, 10]}})
    write(tmp_path / "digits.json", {"f0001_41": {"x": x, "y": [3, 7]}})
    with open_leaf(tmp_path / "femnist.json") as data:
        assert data.input_shape == (28, 28) and data.classes[10] == "A"
        assert len(data.classes) == 62 and data.load("f0001_41").x[1, 0, 0] == 0
    with open_leaf(tmp_path / "digits.json") as data:
        assert data.classes == tuple("0123456789")


def test_text_is_tokens_with_one_character_to_predict(tmp_path):
    lines = ["dhlptx@DHLPTX $(,048", 'é"\\{}[]: kgoswCGKOSW']
    write(tmp_path / "a.json", {"R": {"x": lines, "y": ["y", '"']}, "S": numbers(0)})
    with open_leaf(tmp_path / "a.json") as data:
        assert data.input_shape == (20,) and data.label_shape == ()
        x, y = data.load("R")
        assert x.dtype == y.dtype == np.int32 and len(data.classes) == 90
        assert x[0, :3].tolist() == [1, 2, 3] and x[1, 0] == text.OOV
        assert [data.classes[label] for label in y] == ["y", '"']


json_values = st.recursive(
    st.one_of(st.integers(-5, 5), st.text('ab"\\{}[]:é', max_size=4), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text('xy"\\{}[]:', max_size=3), inner, max_size=3),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.text('ab"\\{}[]:é ', max_size=4), json_values, max_size=6),
    st.booleans(),
    st.integers(1, 60),
    st.sampled_from([None, 1]),
)
def test_the_scan_finds_what_a_parser_finds(users, ascii_only, chunk, indent):
    content = {"users": list(users), "user_data": users, "hierarchies": [["a"], "b"]}
    encoded = json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode()
    wanted = {k: v for k, v in users.items() if isinstance(v, dict | list)}
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedp.training.data.json_scan._CHUNK", chunk)
        for user in scan_users(Stream(encoded)):
            whole = json.loads(encoded[slice(*user.whole)])
            assert user.content is None or json.loads(user.content) == whole
            for key, span in user.lists.items():
                value = json.loads(encoded[slice(*span)])
                assert isinstance(whole, list) or value == whole[key]
            if user.content is None and isinstance(whole, dict):
                assert set(user.lists) == {
                    k for k, v in whole.items() if isinstance(v, list | dict)
                }
            found[user.name] = whole
    assert found == wanted


class Stream:
    """The one method that a scan needs."""

    def __init__(self, content):
        self.content, self.at = content, 0

    def read(self, size):
        self.at += size
        return self.content[self.at - size : self.at]


GOOD = {"a": numbers(2), "b": numbers(2)}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no user_data"),
        ("[1, 2]", "has no user_data"),
        ('"text"', "is cut short"),
        ("]", "a bracket closes"),
        (json.dumps({"users": ["a"]}), "has no user_data .it has users"),
        (json.dumps(leaf({})), "zero examples"),
        (json.dumps(leaf({"a": numbers(0)})), "zero examples"),
        ('{"user_data": {"a": {"x": [[1]]}}}', "no lists x and y for user 'a'"),
        ('{"user_data": {"a": {"x": [[1]], "y": 3}}}', "no lists x and y"),
        ('{"user_data": {"a": {"x": [[1]], "y": [oops]}}}', "is no JSON"),
        ('{"user_data": {"": {"x": [[1]], "y": [0]}}}', "name is empty"),
        (json.dumps(leaf({"a": {"x": [[1]], "y": [-1]}})), "label -1 of user 'a'"),
        (json.dumps(leaf({"a": {"x": [[1]], "y": [10**9]}})), "label 1000000000"),
        (json.dumps(leaf({"a": {"x": [[1]], "y": ["b"]}})), "label 'b'"),
        (json.dumps(leaf({"a": {"x": [[1]], "y": [None]}})), "label None"),
        (json.dumps(leaf({"a": {"x": [1, 2], "y": [0, 0]}})), r"x has shape \[2\]"),
        (json.dumps(leaf({"a": {"x": [[1], [1, 2]], "y": [0, 0]}})), "equally many"),
        (json.dumps(leaf({"a": {"x": ["ab", "c"], "y": ["a", "b"]}})), "lengths"),
        (json.dumps(leaf({"a": {"x": [{}], "y": [0]}})), "neither a list"),
        ('{"user_data": {"\\ud800": {"x": [[1]], "y": [0]}}}', "lone surrogate"),
    ],
)
def test_files_that_cannot_be_opened(content, says, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(DataError, match=says) as caught:
        open_leaf(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"x": [[1, 2, 3]], "y": [0, 1]}, "has 1 inputs and 2 labels"),
        ({"x": [[1, 2]], "y": [0]}, r"\[1, 2\]; \[1, 3\] is needed"),
        ({"x": [[1, 2, 3]], "y": [0.5]}, "no integers"),
        ({"x": [[1, 2, float("nan")]], "y": [0]}, "NaN or Inf, first in its example 0"),
    ],
)
def test_a_user_that_cannot_be_read_is_named(user, says, tmp_path):
    path = write(tmp_path / "mine.json", {"good": numbers(1), "bad": user})
    with open_leaf(path) as data:
        data.load("good")
        with pytest.raises(DataError, match=says) as caught:
            data.load("bad")
        assert "client 'bad'" in str(caught.value) and "\n" not in str(caught.value)


def test_labels_of_text_are_characters(tmp_path):
    path = write(tmp_path / "a.json", {"a": {"x": ["abc"], "y": ["de"]}})
    with open_leaf(path) as data, pytest.raises(DataError, match="one character each"):
        data.load("a")


def test_a_file_cut_anywhere_is_an_error(tmp_path):
    content = write(tmp_path / "a.json", GOOD).read_bytes()
    for size in range(len(content)):
        (tmp_path / "a.json").write_bytes(content[:size])
        with pytest.raises(DataError) as caught:
            open_leaf(tmp_path / "a.json")
        assert "\n" not in str(caught.value)


def test_a_file_that_changes_in_use(tmp_path):
    path = write(tmp_path / "a.json", GOOD)
    with open_leaf(path) as data:
        os.truncate(path, 150)
        with pytest.raises(DataError, match="client 'b'"):
            data.load("b")
        path.unlink()
        with pytest.raises(DataError, match="do not change it in use"):
            data.load("a")


def test_no_such_file_folder_or_client(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        open_leaf(tmp_path / "gone.json")
    with pytest.raises(DataError, match="holds no .json"):
        open_leaf(tmp_path)
    with open_leaf(write(tmp_path / "a.json", GOOD)) as data:
        for ask in (data.load, data.count, data.train_count):
            if ask != data.train_count:
                with pytest.raises(DataError, match="no client 'z'.* such as a, b"):
                    ask("z")
    with pytest.raises(DataError, match="max_examples is 0"):
        open_leaf(tmp_path / "a.json", max_examples=0)


def test_threads_read_what_one_thread_reads(tmp_path):
    users = {f"u{i}": numbers(5, first=i) for i in range(60)}
    found = {}
    with open_leaf(write(tmp_path / "a.json", users)) as data:

        def read(names):
            found.update((name, data.load(name).x) for name in names)

        threads = [
            threading.Thread(target=read, args=(data.clients()[i::3],))
            for i in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name, user in users.items():
        np.testing.assert_array_equal(found[name], np.float32(user["x"]))


def test_opening_many_clients_takes_constant_memory(tmp_path):
    path = tmp_path / "many.json"
    with path.open("w") as file:
        file.write('{"user_data": {')
        for i in range(200_000):
            file.write(f'{", " if i else ""}"user-{i:07d}": {{"x": [[{i}, 1.5], ')
            file.write(f'[2.0, 3.0]], "y": [{i % 5}, 1]}}')
        file.write("}}")
    code = (
        "import resource, sys; from fedp.training.data import open_data\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = peak(); data = open_data(sys.argv[1])\n"
        "x = data.load(data.clients()[123_456]).x\n"
        "print(len(data.clients()), int(x[0, 0]), peak() - start)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    clients, value, grown = map(int, process.stdout.split())
    # The names alone would take 13 MB in memory, the parsed file 90 MB.
    assert clients == 200_000 and value == 123_456 and grown < 40_000  # kB


@pytest.mark.skipif(not FEMNIST.exists(), reason="no ../shared/data/leaf_femnist here")
def test_real_femnist():
    with open_data(str(FEMNIST)) as data:
        assert len(data.clients()) == 16 and data.input_shape == (28, 28)
        assert len(data.classes) == 62 and data.train_count("f0027_29") is None
        for file in FEMNIST.glob("*.json"):
            for name, user in json.loads(file.read_text())["user_data"].items():
                x, y = data.load(name)
                np.testing.assert_array_equal(x.reshape(-1, 784), np.float32(user["x"]))
                assert y.tolist() == user["y"] and x[:, 0, 0].min() > 0.9


@pytest.mark.skipif(
    not SHAKESPEARE.exists(), reason="no ../shared/data/leaf_shakespeare here"
)
def test_real_shakespeare():
    with open_data(str(SHAKESPEARE), max_examples=None) as data:
        dromio, katharine = reversed(data.clients())
        assert dromio == "THE_COMEDY_OF_ERRORS_DROMIO_OF_SYRACUSE"
        assert (data.count(dromio), data.train_count(dromio)) == (8256 + 1985, 8256)
        assert data.train_count(katharine) == 8910 and len(data.classes) == 90
        x, y = data.load(dromio)
        start = "".join(data.classes[token] for token in x[0])
        assert start.startswith("Many a man would take you at your word")
        # Windows move by one character, so a label is the next window's last one.
        np.testing.assert_array_equal(x[1:100, -1], y[:99])
        assert x.min() > text.PAD and x.max() < text.OOV
