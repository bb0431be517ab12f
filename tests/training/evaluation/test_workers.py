import multiprocessing
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from fedp.device_runtime.errors import FedpError
from fedp.training.data import open_data
from fedp.training.evaluation.clients import evaluate_clients

# More work than any of these tests waits for.
SPEC = "synthetic:2000"
PROGRAM = """
import pathlib, sys
from fedp.training.data import open_data
from fedp.training.evaluation.clients import evaluate_clients

def tell(done, total, result):
    print(done, flush=True)

if __name__ == "__main__":
    names = list(open_data("synthetic:2000").clients())
    print("starting", flush=True)
    evaluate_clients(
        pathlib.Path(sys.argv[1]), "synthetic:2000", names, processes=2, on_result=tell
    )
"""


@pytest.fixture
def start(mlp_artifact, tmp_path):
    """Starts an evaluation, its own process group, and waits for some lines of it."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    started = []

    def start(lines):
        process = subprocess.Popen(
            [sys.executable, program, mlp_artifact],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        for _ in range(lines):
            assert process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def children(process):
    return psutil.Process(process.pid).children(recursive=True)


def left_after(seconds, processes):
    """Those that still run; a zombie has ended, its new parent just did not look."""
    deadline = time.monotonic() + seconds
    running = processes
    while running and time.monotonic() < deadline:
        running = [p for p in running if is_running(p)]
        time.sleep(0.02)
    return running


def is_running(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_a_killed_parent(start, end):
    process = start(lines=3)
    descendants = children(process)
    assert len(descendants) >= 2
    process.send_signal(end)
    process.wait()
    assert left_after(5, descendants) == []


def test_no_worker_outlives_a_parent_killed_while_they_start(start):
    process = start(lines=1)
    descendants = []
    while len(descendants) < 2:
        descendants = children(process)
    process.kill()
    process.wait()
    assert left_after(5, descendants) == []


@pytest.mark.parametrize("lines", [1, 3], ids=["while starting", "while working"])
def test_ctrl_c_ends_all_with_one_message(start, lines):
    process = start(lines)
    while len(children(process)) < 2:
        pass
    descendants = children(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == errors.count("KeyboardInterrupt") == 1
    assert left_after(5, descendants) == []


def test_a_worker_that_dies_is_one_clear_error(mlp_artifact):
    def kill_a_worker(done, total, result):
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    with pytest.raises(FedpError, match="was killed by signal 9") as caught:
        evaluate_clients(
            mlp_artifact,
            SPEC,
            list(open_data(SPEC).clients())[:40],
            processes=2,
            on_result=kill_a_worker,
        )
    assert "\n" not in str(caught.value)
    assert multiprocessing.active_children() == []


def test_an_error_in_the_callback_ends_the_workers(mlp_artifact):
    def fail(done, total, result):
        raise ZeroDivisionError

    names = list(open_data(SPEC).clients())[:40]
    with pytest.raises(ZeroDivisionError):
        evaluate_clients(mlp_artifact, SPEC, names, processes=2, on_result=fail)
    assert multiprocessing.active_children() == []


CHILD = """
import os, sys, time
from fedp.training.evaluation.lifeline import die_with
die_with(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())])
time.sleep(60)
"""


def test_the_kernel_ends_a_sleeping_child_with_its_parent():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate(timeout=5)
    assert left_after(5, [child]) == []


def test_a_child_whose_parent_is_gone_already_ends_at_once():
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "1"], capture_output=True, timeout=20
    )
    assert (done.returncode, done.stdout) == (1, b"")
