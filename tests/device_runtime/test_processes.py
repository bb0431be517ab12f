"""Two processes at one state, and a file that somebody deletes under them."""

import pathlib
import shutil
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime.errors import StateError
from fedp.device_runtime.store import Store

ARTIFACT = "a" * 64
SIZE = 4000
# Adapts: at each line that it is told, it stores one more generation, and says so.
ADAPTER = """
import sys
from fedp.device_runtime.store import Store
store = Store.open(sys.argv[1], "a" * 64, 4000)
with store.adapting():
    print("adapting", flush=True)
    for number, _ in enumerate(sys.stdin, 1):
        store.save_unfinished(bytes([number]) * 9000, "key")
        print(store.commit(bytes([number]) * 4000, "keep", "", "{}"), flush=True)
"""


def open_store(directory: pathlib.Path) -> Store:
    return Store.open(directory, ARTIFACT, SIZE)


def tell(child: subprocess.Popen[str]) -> str:
    child.stdin.write("go on\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


def test_one_adapts_and_the_others_serve(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-c", ADAPTER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "adapting\n"
        with pytest.raises(StateError, match="another process is adapting this state"):
            with store.adapting():
                pass
        store.changed()
        for number in (1, 2):
            assert not store.changed()
            assert tell(child) == str(number)
            assert store.changed()
            assert store.newest().weights == bytes([number]) * SIZE
            # Whoever serves may store examples and outcomes all the while.
            assert store.add_example(np.zeros(3), 1) == number
            store.log_outcome(1.0)
        with pytest.raises(StateError, match="another process is adapting"):
            with store.adapting():
                pass
        child.send_signal(signal.SIGKILL)
        child.wait()
        with store.adapting():  # The kernel gave the lock back.
            assert store.commit(None, "revert", "", "{}") == 3
    finally:
        child.kill()
        child.communicate()
    assert store.counters().adaptations == 3
    store.close()


def test_two_threads_do_not_adapt_at_once(tmp_path: pathlib.Path) -> None:
    one, other = open_store(tmp_path), open_store(tmp_path)
    for adapter, second in ((one, one), (one, other)):
        with adapter.adapting():
            with pytest.raises(StateError, match="is adapting this state.*try again"):
                with second.adapting():
                    pass
        with second.adapting():
            pass
    one.close()
    other.close()


@pytest.mark.parametrize("what", ["file", "directory"])
@pytest.mark.parametrize("when", ["while open", "between openings"])
def test_deleted(tmp_path: pathlib.Path, what: str, when: str) -> None:
    """It is a new state then, which nobody else may read either."""
    directory = tmp_path / "state"
    store = open_store(directory)
    store.commit(bytes(SIZE), "keep", "", "{}")
    store.add_example(np.zeros(3), 1)
    if when == "between openings":
        store.close()
    if what == "file":
        store.path.unlink()
    else:
        shutil.rmtree(directory)
    if when == "between openings":
        store = open_store(directory)
    else:
        assert store.changed()
    assert store.newest() is None and store.damage() == ""
    assert store.examples().ids.tolist() == []
    with store.adapting():
        assert store.commit(b"\x01" * SIZE, "keep", "", "{}") == 1
    store.close()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    store = open_store(directory)
    assert store.newest().weights == b"\x01" * SIZE
    store.close()


def test_deleted_before_a_change(tmp_path: pathlib.Path) -> None:
    """No change goes into a file that nobody can open any more."""
    store = open_store(tmp_path)
    store.path.unlink()
    assert store.add_example(np.zeros(3), 1) == 1
    store.close()
    store = open_store(tmp_path)
    assert store.examples().ids.tolist() == [1]
    store.close()
