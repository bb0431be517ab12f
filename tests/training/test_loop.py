"""Whole runs: real data files, TFF's worker, real signals to real processes."""

import csv
import dataclasses
import os
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

pytest.importorskip("tensorflow", reason="training needs the training install")
pytest.importorskip("tensorflow_federated", reason="needs tensorflow-federated")

from fedp.device_runtime.errors import RunError  # noqa: E402
from fedp.training.checkpoints import read_checkpoint  # noqa: E402
from fedp.training.configuration import (  # noqa: E402
    ConfigurationError,
    Stage,
    TrainingConfig,
)
from fedp.training.loop import DivergedError, train  # noqa: E402
from fedp.training.run_directory import load_run  # noqa: E402
from fedp.training.stopping import Interrupted  # noqa: E402
from fedp.training.worker import WorkerError  # noqa: E402

STAGES = (
    Stage("fedavg", "fedavg", 4, local_epochs=2),
    Stage(
        "reptile",
        "reptile",
        3,
        local_steps=3,
        server_optimizer="adam",
        server_learning_rate=1e-3,
    ),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve writers of 3 to 36 noisy images of three digits."""
    random = np.random.default_rng(0)
    client = np.repeat([f"w{n:02d}" for n in range(12)], np.arange(1, 13) * 3)
    y = random.integers(0, 3, len(client))
    prototypes = random.integers(0, 256, (3, 6, 6))
    noise = random.integers(-40, 40, (len(y), 6, 6))
    x = np.clip(prototypes[y] + noise, 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x=x, y=y, client=client, classes=["a", "b", "c"])
    return path


def config_of(data, **changes):
    config = TrainingConfig(
        data=str(data),
        model="emnist_cnn_dropout",
        stages=STAGES,
        clients_per_round=3,
        eval_every=2,
        eval_clients=2,
        checkpoint_every=2,
    )
    return dataclasses.replace(config, **changes)


class Hook:
    """A progress display that does something at the end of a round."""

    def __init__(self, act=lambda log: None):
        self.act = act
        self.lines = []

    def start(self, rounds, done):
        self.started_after = done

    def round(self, log):
        self.act(log)

    def say(self, text):
        self.lines.append(text)

    def stop(self):
        self.lines.append("stopped")


def workers():
    """TFF's workers below this process."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "worker_binary" in child.name()]


def assert_same_run(run, other):
    """Bit-identical: weights of both stages, and the server's last state."""
    for stage in STAGES:
        pairs = zip(run.weights(stage.name), other.weights(stage.name), strict=True)
        assert all((a == b).all() for a, b in pairs)
    (number, arrays), (number2, arrays2) = (
        read_checkpoint(each.checkpoints) for each in (run, other)
    )
    assert number == number2 == 7
    assert all((a == b).all() for a, b in zip(arrays, arrays2, strict=True))


def rows(run):
    with open(run.path / "metrics.csv") as file:
        return [
            {k: v for k, v in row.items() if k != "seconds"}
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nothing interrupted."""
    return train(config_of(data), tmp_path_factory.mktemp("runs") / "whole", ui=Hook())


def test_a_run_leaves_weights_metrics_and_a_record(whole, data):
    record = load_run(whole.path).record
    assert record == whole.record
    assert (record.status, record.rounds) == ("finished", 7)
    assert (record.classes, record.input_shape) == (("a", "b", "c"), (6, 6, 1))
    shapes = [shape for _, shape in record.weights]
    assert [w.shape for w in whole.weights("fedavg")] == shapes
    assert any((a != b).any() for a, b in zip(whole.weights("fedavg"), whole.weights()))
    assert record.versions["tensorflow-federated"] == "0.87.0"
    table = rows(whole)
    assert [int(row["round"]) for row in table] == list(range(1, 8))
    evaluated = [row["round"] for row in table if row["personalized_accuracy"]]
    assert evaluated == ["2", "4", "6", "7"]
    assert workers() == []


def test_training_learns(whole):
    table = rows(whole)
    assert float(table[3]["train_loss"]) < float(table[0]["train_loss"])


def test_only_training_clients_take_part(whole):
    clients = whole.record.clients
    everyone = [name for names in clients.values() for name in names]
    assert len(everyone) == len(set(everyone)) == 12
    assert whole.record.participated
    assert set(whole.record.participated) <= set(clients["train"])
    # At least three of nine take part in each round; their examples are counted.
    counts = {f"w{n:02d}": (n + 1) * 3 for n in range(12)}
    most = sum(sorted(counts[name] for name in clients["train"])[-3:])
    assert all(int(row["examples"]) <= most for row in rows(whole))


def test_the_same_seed_gives_the_same_model(whole, data, tmp_path):
    assert_same_run(train(config_of(data), tmp_path / "again", ui=Hook()), whole)


def test_another_seed_gives_another_model(whole, data, tmp_path):
    one_round = dataclasses.replace(STAGES[0], rounds=1)
    skipped = dataclasses.replace(STAGES[1], rounds=0)
    config = config_of(data, seed=1, stages=(one_round, skipped), model="mlp")
    one = train(config, tmp_path / "one", ui=Hook())
    config = dataclasses.replace(config, seed=2)
    two = train(config, tmp_path / "two", ui=Hook())
    assert (one.weights()[0] != two.weights()[0]).any()
    assert (one.weights("reptile")[0] == one.weights("fedavg")[0]).all()


@pytest.mark.parametrize("number", [4, 5])
def test_an_interrupted_run_resumes_bit_identically(whole, data, tmp_path, number):
    def interrupt(log):
        if log.round == number:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="SIGINT after round.*--resume") as stopped:
        train(config_of(data), tmp_path / "run", ui=Hook(interrupt))
    assert stopped.value.signal == signal.SIGINT
    assert workers() == []
    assert load_run(tmp_path / "run").record.status == "interrupted"
    hook = Hook()
    run = train(None, tmp_path / "run", resume=True, ui=hook)
    assert hook.started_after == number
    assert_same_run(run, whole)
    assert run.record == whole.record
    assert rows(run) == rows(whole)


def test_a_checkpoint_cut_short_costs_only_its_rounds(whole, data, tmp_path):
    def stop_at_once(log):
        if log.round == 5:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config_of(data), tmp_path / "run", ui=Hook(stop_at_once))
    assert workers() == []
    newest = tmp_path / "run" / "checkpoints" / "round_000004.npz"
    os.truncate(newest, newest.stat().st_size // 2)
    hook = Hook()
    run = train(None, tmp_path / "run", resume=True, ui=hook)
    assert hook.started_after == 2
    assert_same_run(run, whole)
    assert rows(run) == rows(whole)


def test_a_finished_run_is_left_alone(whole):
    hook = Hook()
    before = {path: path.stat().st_mtime for path in whole.path.rglob("*")}
    before.pop(whole.path / ".lock")
    assert train(None, whole.path, resume=True, ui=hook).record == whole.record
    assert "nothing to resume" in hook.lines[0]
    assert before.items() <= {p: p.stat().st_mtime for p in before}.items()


def test_a_run_is_not_overwritten_or_changed(whole, data, tmp_path):
    with pytest.raises(RunError, match="exists already"):
        train(config_of(data), whole.path, ui=Hook())
    with pytest.raises(RunError, match="other options"):
        train(config_of(data, seed=9), whole.path, resume=True, ui=Hook())
    with pytest.raises(RunError, match="no run directory"):
        train(None, tmp_path, resume=True, ui=Hook())


def test_resuming_on_other_data_is_refused(data, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(data.read_bytes())

    def interrupt(log):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="SIGTERM"):
        train(config_of(copy, model="mlp"), tmp_path / "run", ui=Hook(interrupt))
    with np.load(data) as arrays:
        less = {name: arrays[name][5:] for name in ("x", "y", "client")}
    np.savez(copy, **less, classes=["a", "b", "c"])
    with pytest.raises(RunError, match="another copy.npz"):
        train(None, tmp_path / "run", resume=True, ui=Hook())


def test_more_clients_than_there_are_is_refused(data, tmp_path):
    with pytest.raises(ConfigurationError, match="only . training clients"):
        train(config_of(data, clients_per_round=12), tmp_path / "run", ui=Hook())
    assert not (tmp_path / "run").exists()


def test_divergence_is_an_error(data, tmp_path):
    config = config_of(data, model="mlp", client_learning_rate=1e30)
    with pytest.raises(DivergedError, match="lower client or server learning rate"):
        train(config, tmp_path / "run", ui=Hook())
    assert workers() == []


def test_a_dead_worker_is_an_error_and_no_hang(whole, data, tmp_path):
    def kill_worker(log):
        if log.round == 3:
            workers()[0].kill()

    with pytest.raises(WorkerError, match="exit code -9"):
        train(config_of(data), tmp_path / "run", ui=Hook(kill_worker))
    run = train(None, tmp_path / "run", resume=True, ui=Hook())
    assert_same_run(run, whole)


def start_child(data, folder):
    """A process that trains far longer than the test waits; its pipe and its worker."""
    code = (
        "import dataclasses, pathlib, sys\n"
        "from fedp.training.configuration import *\n"
        "from fedp.training.loop import train\n"
        # Long rounds: the signal has to find one under way.
        "stages = (Stage('fedavg', 'fedavg', 100_000, local_epochs=200),)\n"
        "config = TrainingConfig(sys.argv[1], 'mlp', stages, eval_every=0,\n"
        "                        clients_per_round=3)\n"
        "train(config, pathlib.Path(sys.argv[2]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(data), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_behind(data, tmp_path, number):
    child = start_child(data, tmp_path / "run")
    assert child.stdout is not None
    first = child.stdout.readline()
    assert b"round 1/100000" in first, first
    descendants = psutil.Process(child.pid).children(recursive=True)
    assert [each.name() for each in descendants] == ["worker_binary"]
    # As a terminal does on Ctrl-C: the signal goes to the whole group.
    os.killpg(child.pid, number)
    output = child.stdout.read()  # returns only once every holder of the pipe is gone
    child.stdout.close()
    child.wait(timeout=60)
    gone, alive = psutil.wait_procs(descendants, timeout=10)
    assert alive == []
    if number != signal.SIGKILL:
        assert b"Interrupted: stopped by" in output
        assert load_run(tmp_path / "run").record.status == "interrupted"
