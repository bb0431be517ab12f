"""kill -9 at random instants, then --resume: the same model to the last bit."""

import hashlib
import multiprocessing
import multiprocessing.forkserver
import shutil
import signal
import time

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs the training install")
pytest.importorskip("tensorflow_federated", reason="needs tensorflow-federated")

from fedp.training.checkpoints import read_checkpoint  # noqa: E402
from fedp.training.configuration import Stage, TrainingConfig  # noqa: E402
from fedp.training.loop import train  # noqa: E402
from fedp.training.run_directory import load_run  # noqa: E402

# Short stages: many a kill falls on a boundary between two.
STAGES = (
    Stage("fedavg", "fedavg", 2, local_epochs=2),
    Stage("skipped", "fedavg", 0),
    Stage("reptile", "reptile", 1, server_optimizer="adam"),
    Stage("robust", "reptile", 2, aggregator="robust", server_learning_rate=0.1),
    Stage("pooled", "centralized", 2, server_optimizer="adam"),
)
# Children start with everything imported, so that a kill finds them at work.
CONTEXT = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def imported():
    CONTEXT.set_forkserver_preload(["fedp.training.loop", "fedp.training.centralized"])
    yield
    # It would outlive the session by the second that it takes to unload TensorFlow.
    multiprocessing.forkserver._forkserver._stop()


def config_of(folder):
    random = np.random.default_rng(0)
    client = np.repeat([f"w{n:02d}" for n in range(12)], np.arange(1, 13) * 3)
    x = random.integers(0, 256, (len(client), 6, 6), np.uint8)
    np.savez(folder / "data.npz", x=x, y=x[:, 0, 0] % 3, client=client)
    return TrainingConfig(
        data=str(folder / "data.npz"),
        model="mlp",
        stages=STAGES,
        clients_per_round=3,
        eval_every=2,
        eval_clients=2,
        checkpoint_every=1,
    )


def start(config, path):
    """A child that trains, from the beginning or from where it was killed."""
    begun = (path / "run.json").exists()
    arguments = (None, path) if begun else (config, path)
    child = CONTEXT.Process(target=train, args=arguments, kwargs={"resume": begun})
    child.start()
    return child


def contents(path):
    """All that a finished run is: weights, server state, and who took part."""
    run = load_run(path)
    assert (run.record.status, run.record.rounds) == ("finished", 7)
    arrays = [w for stage in STAGES for w in run.weights(stage.name)]
    number, state = read_checkpoint(run.checkpoints)
    assert len(list(run.checkpoints.iterdir())) == 2
    who = (path / "participants.csv").read_text()
    # Digests: where they differ, nobody wants to see megabytes.
    digests = [hashlib.sha256(a.tobytes()).hexdigest() for a in [*arrays, *state]]
    return digests, number, who.splitlines()


def kill_and_resume(tmp_path, kills):
    config = config_of(tmp_path)
    begin = time.monotonic()
    child = start(config, tmp_path / "whole")
    child.join()
    duration = time.monotonic() - begin
    expected = contents(tmp_path / "whole")
    random = np.random.default_rng(0)
    path, killed, rounds = tmp_path / "killed", 0, set()
    while killed < kills:
        child = start(config, path)
        child.join(timeout=random.uniform(0, duration))
        if child.exitcode is None:
            child.kill()
            child.join()
            assert child.exitcode == -signal.SIGKILL
            killed += 1
            begun = (path / "run.json").exists()
            rounds.add(load_run(path).record.rounds if begun else -1)
        else:
            assert child.exitcode == 0
            assert contents(path) == expected
            shutil.rmtree(path)
    child = start(config, path)
    child.join()
    assert contents(path) == expected
    return rounds


@pytest.mark.timeout(280)
def test_a_killed_run_resumes_to_the_same_model(tmp_path):
    assert len(kill_and_resume(tmp_path, kills=6)) > 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_killed_two_hundred_times_resumes_to_the_same_model(tmp_path):
    assert kill_and_resume(tmp_path, kills=200) >= set(range(8))
