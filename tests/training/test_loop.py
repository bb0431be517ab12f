"""Whole runs: real data files, TFF's worker, real signals to real processes."""

import csv
import dataclasses
import os
import shutil
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
from fedp.training.data.splits import ClientSplit  # noqa: E402
from fedp.training.engines.worker_process import WorkerError  # noqa: E402
from fedp.training.loop import train  # noqa: E402
from fedp.training.metrics import read_participants  # noqa: E402
from fedp.training.privacy import epsilon_of  # noqa: E402
from fedp.training.repeating import repeat  # noqa: E402
from fedp.training.rounds import DivergedError  # noqa: E402
from fedp.training.run_directory import load_run  # noqa: E402
from fedp.training.stopping import Interrupted  # noqa: E402

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
    assert record.privacy is None and 100 < record.peak_memory_mb < 24_000
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
    names = [f"w{n:02d}" for n in range(12)]
    trained = set(whole.record.split.select(names, "train"))
    assert len(trained) == 9
    assert read_participants(whole.path) and read_participants(whole.path) <= trained
    # At least three of nine take part in each round; their examples are counted.
    counts = {f"w{n:02d}": (n + 1) * 3 for n in range(12)}
    most = sum(sorted(counts[name] for name in trained)[-3:])
    assert all(int(row["examples"]) <= most for row in rows(whole))


def test_a_clients_own_test_part_is_never_trained_on(data, tmp_path):
    config = config_of(data, model="mlp", stages=STAGES[:1], eval_every=0)
    half = train(
        dataclasses.replace(config, client_test=0.5), tmp_path / "half", ui=Hook()
    )
    whole = train(config, tmp_path / "whole", ui=Hook())
    for a, b in zip(rows(half), rows(whole), strict=True):
        # Of 3n examples, the larger half is kept back: at most one a client is off.
        assert int(b["examples"]) - 3 <= 2 * int(a["examples"]) <= int(b["examples"])


def test_a_run_can_be_repeated_from_what_it_stored(whole, tmp_path):
    run, same = repeat(whole.path, tmp_path / "again", ui=Hook())
    assert same and run.config == whole.config
    assert_same_run(run, whole)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(whole.path, unfinished)
    load_run(unfinished).update(status="interrupted")
    with pytest.raises(RunError, match="--resume"):
        repeat(unfinished, tmp_path / "other", ui=Hook())
    weights = run.weights()
    weights[0] = weights[0] + 1e-7
    run.save_stage("reptile", weights)
    _, same = repeat(run.path, tmp_path / "changed", ui=Hook())
    assert not same


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
    assert (
        dataclasses.replace(run.record, peak_memory_mb=whole.record.peak_memory_mb)
        == whole.record
    )
    assert rows(run) == rows(whole)
    assert (run.path / "participants.csv").read_text() == (
        whole.path / "participants.csv"
    ).read_text()


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
    with pytest.raises(ConfigurationError, match="only . of 12 have this role"):
        train(config_of(data, clients_per_round=12), tmp_path / "run", ui=Hook())
    assert not (tmp_path / "run").exists()


def test_divergence_is_an_error(data, tmp_path):
    config = config_of(data, model="mlp", client_learning_rate=1e30)
    with pytest.raises(DivergedError, match="lower client or server learning rate"):
        train(config, tmp_path / "run", ui=Hook())


@pytest.fixture(scope="module")
def poisoned(data, tmp_path_factory):
    """The same clients, of whom one cannot be read and one makes the loss infinite."""
    with np.load(data) as arrays:
        x, y, client = (arrays[name] for name in ("x", "y", "client"))
    x = x.astype(np.float32)
    x[client == "w03"] = np.nan
    x[client == "w05"] *= 1e30
    path = tmp_path_factory.mktemp("poisoned") / "digits.npz"
    np.savez(path, x=x, y=y, client=client, classes=["a", "b", "c"])
    return path


@pytest.mark.parametrize(("engine", "needed"), [("local", 1), ("tff", 3)])
def test_bad_clients_are_left_out_counted_and_never_poison(
    poisoned, tmp_path, engine, needed
):
    hook = Hook()
    config = config_of(poisoned, model="mlp", engine=engine, min_clients=needed)
    run = train(config, tmp_path / "run", ui=hook)
    trained = set(run.record.split.select([f"w{n:02d}" for n in range(12)], "train"))
    assert {"w03", "w05"} <= trained, "else this test says nothing"
    assert all(np.isfinite(w).all() for w in run.weights())
    said = [line for line in hook.lines if ": client" in line]
    assert said and all("client w03 left out: " in line for line in said)
    table = rows(run)
    # Rounds that drew a bad client count it, or are repeated until three come through.
    assert {row["left_out"] for row in table} >= ({"0"} if needed == 3 else {"0", "1"})
    repeats = [line for line in hook.lines if "repeated with others" in line]
    assert len(repeats) == sum(int(row["repeated"]) for row in table)
    assert bool(repeats) == (needed == 3)
    with open(run.path / "participants.csv") as file:
        took_part = [int(row["round"]) for row in csv.DictReader(file)]
    for number, row in enumerate(table, 1):
        assert took_part.count(number) == 3 * (1 + int(row["repeated"]))


def spoilt(data, path, *readable):
    """The clients of a data set, of whom all but a few hold NaN."""
    with np.load(data) as arrays:
        y, client, x = arrays["y"], arrays["client"], arrays["x"].astype(np.float32)
    x[~np.isin(client, readable)] = np.nan
    np.savez(path, x=x, y=y, client=client)
    return ClientSplit.of(set(client.tolist()), 0)


def test_a_run_whose_clients_all_fail_says_why_and_leaves_the_model(data, tmp_path):
    path = tmp_path / "nan.npz"
    names = [f"w{n:02d}" for n in range(12)]
    trained = spoilt(data, path).select(names, "train")
    spoilt(data, path, *trained[:2])
    hook = Hook()
    config = config_of(path, model="mlp", min_clients=3)
    with pytest.raises(DivergedError, match="6 times: . of 3 .*NaN.*mend the data"):
        train(config, tmp_path / "run", ui=hook)
    assert len([line for line in hook.lines if "repeated with others" in line]) == 5


def test_an_evaluation_goes_on_without_a_client_that_cannot_be_read(data, tmp_path):
    names = [f"w{n:02d}" for n in range(12)]
    path = tmp_path / "nan.npz"
    validation = spoilt(data, path).select(names, "validation")
    assert len(validation) == 1
    split = {"validation": 0.2, "max_examples": 30}
    validation = ClientSplit.of(names, 0, 0.2).select(names, "validation")
    assert len(validation) == 2
    spoilt(data, path, *(name for name in names if name != validation[0]))
    hook = Hook()
    run = train(config_of(path, model="mlp", **split), tmp_path / "run", ui=hook)
    assert float(rows(run)[-1]["initial_accuracy"]) >= 0
    lines = [line for line in hook.lines if "validation client" in line]
    assert lines and all(f"client {validation[0]} left out: " in line for line in lines)


def test_a_client_whose_training_fails_is_left_out(tmp_path):
    """A token that the embedding does not have: TensorFlow raises in the middle."""
    random = np.random.default_rng(0)
    client = np.repeat([f"w{n:02d}" for n in range(12)], 6)
    x = random.integers(0, 4, (len(client), 5)).astype(np.int32)
    x[client == "w03", 2] = 1_000_000
    path = tmp_path / "tokens.npz"
    np.savez(path, x=x, y=x[:, 0] % 4, client=client)
    hook = Hook()
    stages = (Stage("fedavg", "fedavg", 6, local_epochs=1),)
    config = config_of(path, model="shakespeare_lstm", stages=stages, eval_every=0)
    run = train(config, tmp_path / "run", ui=hook)
    assert all(np.isfinite(w).all() for w in run.weights())
    assert any("client w03 left out: " in line for line in hook.lines)
    assert "1" in {row["left_out"] for row in rows(run)}


def test_a_model_that_leaves_the_finite_numbers_is_never_kept(data, tmp_path):
    """Each client's update is finite; the server's step is not."""
    stages = (
        Stage("fedavg", "fedavg", 1, local_epochs=1),
        Stage("far", "fedavg", 2, local_epochs=1, server_learning_rate=1e38),
    )
    config = config_of(data, model="mlp", stages=stages, client_learning_rate=50.0)
    with pytest.raises(DivergedError, match="left the finite numbers"):
        train(config, tmp_path / "run", ui=Hook())
    run = load_run(tmp_path / "run")
    assert all(np.isfinite(w).all() for w in run.weights("fedavg"))
    _, state = read_checkpoint(run.checkpoints)
    assert all(np.isfinite(leaf).all() for leaf in state)


DP = (Stage("private", "fedavg", 4, local_epochs=1, aggregator="dp"),)


def test_privacy_is_stored_and_counts_every_attempt(data, tmp_path):
    path = tmp_path / "nan.npz"
    spoilt(data, path, *(f"w{n:02d}" for n in range(12) if n != 3))
    config = config_of(path, model="mlp", stages=DP, min_clients=3)
    repeats = 0
    for number in range(6):  # who takes part is secret: at times w03 never does
        run = train(config, tmp_path / str(number), ui=Hook())
        repeats = sum(int(row["repeated"]) for row in rows(run))
        spent = load_run(run.path).record.privacy
        assert spent["delta"] == pytest.approx(9**-1.1)
        assert (spent["rounds"], spent["training_clients"]) == (4 + repeats, 9)
        assert spent["epsilon"] == epsilon_of([(1.0, 4 + repeats)], 9, 3, 9**-1.1)
        if repeats:
            break
    assert repeats


def test_one_stage_without_noise_and_there_is_no_privacy(data, tmp_path):
    mixed = (*DP, Stage("open", "reptile", 1))
    config = config_of(data, model="mlp", stages=mixed)
    run = train(config, tmp_path / "mixed", ui=Hook())
    assert run.record.privacy["epsilon"] is None


def test_neither_noise_nor_participants_of_a_private_run_can_be_foretold(
    data, tmp_path
):
    config = config_of(data, model="mlp", stages=DP)
    one, two = (train(config, tmp_path / name, ui=Hook()) for name in "ab")
    drawn = [(run.path / "participants.csv").read_text() for run in (one, two)]
    assert drawn[0] != drawn[1]
    shutil.copy(one.path / "secret", tmp_path / "secret")
    assert (one.weights()[0] != two.weights()[0]).any()


def test_centralized_training_is_the_plain_loop_over_pooled_examples(data, tmp_path):
    stages = (
        Stage(
            "centralized",
            "centralized",
            12,
            server_optimizer="adam",
            server_learning_rate=1e-3,
        ),
    )
    config = config_of(data, model="mlp", stages=stages)
    run = train(config, tmp_path / "run", ui=Hook())
    table = rows(run)
    assert float(table[-1]["train_loss"]) < 0.5 * float(table[0]["train_loss"])
    names = [f"w{n:02d}" for n in range(12)]
    trained = run.record.split.select(names, "train")
    examples = sum(int(name[1:]) * 3 + 3 for name in trained)
    assert {int(row["examples"]) for row in table} == {examples}
    assert {int(row["steps"]) for row in table} == {-(-examples // 20)}
    assert read_participants(run.path) == set(trained)
    assert float(table[-1]["initial_accuracy"]) > 0.5

    def interrupt(log):
        if log.round == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(config, tmp_path / "stopped", ui=Hook(interrupt))
    again = train(None, tmp_path / "stopped", resume=True, ui=Hook())
    pairs = zip(run.weights(), again.weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_a_dead_worker_is_an_error_and_no_hang(data, tmp_path):
    def kill_worker(log):
        if log.round == 3:
            workers()[0].kill()

    config = config_of(data, engine="tff")
    with pytest.raises(WorkerError, match="exit code -9"):
        train(config, tmp_path / "run", ui=Hook(kill_worker))
    run = train(None, tmp_path / "run", resume=True, ui=Hook())
    assert_same_run(run, train(config, tmp_path / "undisturbed", ui=Hook()))
    assert workers() == []


def start_child(data, folder, engine):
    """A process that trains far longer than the test waits; its pipe and its worker."""
    code = (
        "import dataclasses, pathlib, sys\n"
        "from fedp.training.configuration import *\n"
        "from fedp.training.loop import train\n"
        # Long rounds: the signal has to find one under way.
        "stages = (Stage('fedavg', 'fedavg', 100_000, local_epochs=200),)\n"
        "config = TrainingConfig(sys.argv[1], 'mlp', stages, eval_every=0,\n"
        "                        clients_per_round=3, engine=sys.argv[3])\n"
        "train(config, pathlib.Path(sys.argv[2]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(data), str(folder), engine],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("engine", "number"),
    [
        ("tff", signal.SIGKILL),
        ("tff", signal.SIGINT),
        ("local", signal.SIGTERM),  # SIGINT: test_end_to_end.py
    ],
)
def test_no_process_is_left_behind(data, tmp_path, engine, number):
    child = start_child(data, tmp_path / "run", engine)
    assert child.stdout is not None
    first = child.stdout.readline()
    assert b"round 1/100000" in first, first
    descendants = psutil.Process(child.pid).children(recursive=True)
    assert [each.name() for each in descendants] == (
        ["worker_binary"] if engine == "tff" else []
    )
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


def test_a_resumed_run_passes_a_stage_without_rounds(data, tmp_path):
    """A stage without rounds between finished ones once lost the way."""
    stages = tuple(
        Stage(name, "fedavg", rounds, local_epochs=1)
        for name, rounds in (("a", 1), ("none", 0), ("b", 1), ("last", 1))
    )
    config = config_of(data, model="mlp", stages=stages, eval_every=0)
    whole = train(config, tmp_path / "whole", ui=Hook())

    def interrupt(log):
        if log.round == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(config, tmp_path / "stopped", ui=Hook(interrupt))
    run = train(None, tmp_path / "stopped", resume=True, ui=Hook())
    for stage in stages:
        pairs = zip(run.weights(stage.name), whole.weights(stage.name), strict=True)
        assert all((a == b).all() for a, b in pairs)
