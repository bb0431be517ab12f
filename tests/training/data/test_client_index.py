import os
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedp.device_runtime.errors import DataError
from fedp.training.data import NpzData
from fedp.training.data.client_index import ClientIndex, Part

names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=4)
parts = st.builds(
    Part,
    names,
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.booleans(),
)


@settings(deadline=None)
@given(st.lists(parts, max_size=40), st.integers(-50, 50), st.integers(-50, 50))
def test_an_index_is_what_a_dict_would_be(content, low, high):
    filled = [part for part in content if part.size]
    if not filled:
        with pytest.raises(DataError, match="zero examples"):
            ClientIndex(content)
        return
    index = ClientIndex(iter(content))
    known = sorted({part.client for part in filled})
    assert list(index.names) == known == [index.names[i] for i in range(len(known))]
    assert index.names[low:high] == known[low:high] and index.names[-1] == known[-1]
    assert len(index.names) == len(known) and index.has_split == (
        len({part.test for part in filled}) == 2
    )
    for name in known:
        mine = [part for part in filled if part.client == name]
        mine.sort(key=lambda part: part.test)
        assert index.parts(name) == mine and name in index.names
        train = sum(part.size for part in mine if not part.test)
        assert index.counts(name) == (train, sum(p.size for p in mine) - train)
    assert "no such name" not in index.names and 3 not in index.names
    assert "\ud800" not in index.names and index.counts("no such name") == (0, 0)
    with pytest.raises(IndexError):
        index.names[len(known)]


def test_the_fingerprint_is_that_of_an_npz_with_these_clients(tmp_path):
    owners = np.array(["b", "é", "b", "a", "漢", "b"])
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((6, 2), np.uint8), y=np.zeros(6, int), client=owners)
    index = ClientIndex(Part(str(name), 1) for name in owners)
    with NpzData(path) as data:
        assert index.fingerprint == data.fingerprint == index.fingerprint
    assert ClientIndex([Part("b", 6)]).fingerprint != index.fingerprint


@pytest.mark.parametrize(
    ("name", "says"), [("", "name is empty"), ("\ud800", "lone surrogate")]
)
def test_names_that_cannot_be(name, says):
    with pytest.raises(DataError, match=says):
        ClientIndex([Part("a", 1), Part(name, 2)])


def test_an_error_of_the_source_comes_through():
    def broken():
        yield Part("a", 1)
        raise DataError("the file is damaged")

    with pytest.raises(DataError, match="the file is damaged"):
        ClientIndex(broken())


def test_no_room_is_one_line(monkeypatch):
    def full(_self, _database, _parts):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(ClientIndex, "_build", full)
    with pytest.raises(DataError, match="no room for the index .* SQLITE_TMPDIR"):
        ClientIndex([Part("a", 1)])


def test_threads_share_it_and_closing_ends_it():
    index = ClientIndex(Part(f"c{i:04d}", 1 + i % 7) for i in range(5000))
    found = []

    def look(start):
        found.extend(
            index.counts(index.names[i])[0] == 1 + i % 7 for i in range(start, 5000, 50)
        )

    threads = [threading.Thread(target=look, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 400 and all(found)
    index.close()
    index.close()
    with pytest.raises(ValueError, match="closed"):
        index.counts("c0000")


def test_memory_stays_and_nothing_is_left_after_kill_9(tmp_path):
    code = (
        "import os, resource, signal, sys\n"
        "from fedp.training.data.client_index import ClientIndex, Part\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = peak()\n"
        "index = ClientIndex(Part(f'user-{i * 7919 % 1000003}', 3, 0, i, i + 1)\n"
        "                    for i in range(300_000))\n"
        "index.fingerprint\n"
        "read = sum(len(name) for name in index.names)\n"
        "print(len(index.names), peak() - start, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "SQLITE_TMPDIR": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    clients, grown = map(int, process.stdout.split())
    # 300,000 names alone would take 20 MB as Python strings, the index 40 MB.
    assert process.returncode == -9 and clients == 300_000 and grown < 36_000  # kB
    assert not list(tmp_path.iterdir())
