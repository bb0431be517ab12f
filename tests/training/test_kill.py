"""kill -9 at random instants, then --resume: the same model to the last bit."""

import contextlib
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
ROUNDS = 7
# Children start with everything imported, so that a kill finds them at work.
CONTEXT = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def imported():
    CONTEXT.set_forkserver_preload(
        ["fedp.training.loop", "fedp.training.centralized", __name__]
    )
    first = CONTEXT.Process(target=time.monotonic)
    first.start()
    first.join()
    yield
    # It would outlive the session by the second that it takes to unload TensorFlow.
    multiprocessing.forkserver._forkserver._stop()


class Reports:
    """Tells the parent of every round, but of none after `last`: there it waits."""

    def __init__(self, pipe, last):
        self.pipe, self.last, self.number = pipe, last, None

    def report(self, number):
        while number > self.last:
            signal.pause()
        self.number = number
        self.pipe.send((number, time.monotonic()))

    def start(self, rounds, done):
        self.report(0)

    def round(self, log):
        self.report(log.round)

    def say(self, text):
        pass

    def stop(self):
        if self.number == ROUNDS:  # else it is an error's way out
            self.report(ROUNDS + 1)


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


def start(config, path, last=ROUNDS + 1):
    """A child that trains, from the beginning or from where it was killed."""
    begun = (path / "run.json").exists()
    reports, pipe = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(
        target=train,
        args=(None if begun else config, path),
        kwargs={"resume": begun, "ui": Reports(pipe, last)},
    )
    child.start()
    pipe.close()  # so that the reports end with the child
    return child, reports


def finish(config, path):
    """Trains to the end; gives the instants of the reports, under -1 of the start."""
    instants = {-1: time.monotonic()}
    child, reports = start(config, path)
    with contextlib.suppress(EOFError):
        while True:
            number, instant = reports.recv()
            instants[number] = instant
    child.join()
    assert child.exitcode == 0
    return instants


def kill(config, path, after, seconds):
    """Kills a child so long after a report, in any case before the next one."""
    child, reports = start(config, path, last=after)
    while after >= 0 and reports.recv()[0] < after:
        pass
    time.sleep(seconds)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    # Not the record's rounds: it is written after the checkpoint.
    number, _ = read_checkpoint(path / "checkpoints") or (0, [])
    assert max(after - 1, 0) <= number <= max(after, 0)


def contents(path):
    """All that a finished run is: weights, server state, and who took part."""
    run = load_run(path)
    assert (run.record.status, run.record.rounds) == ("finished", ROUNDS)
    arrays = [w for stage in STAGES for w in run.weights(stage.name)]
    number, state = read_checkpoint(run.checkpoints)
    assert len(list(run.checkpoints.iterdir())) == 2
    who = (path / "participants.csv").read_text()
    # Digests: where they differ, nobody wants to see megabytes.
    digests = [hashlib.sha256(a.tobytes()).hexdigest() for a in [*arrays, *state]]
    return digests, number, who.splitlines()


@pytest.mark.timeout(120)
def test_a_killed_run_resumes_to_the_same_model(tmp_path):
    passes(tmp_path, [(-1, 2, 6)])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_two_hundred_times_resumes_to_the_same_model(tmp_path):
    passes(tmp_path, [range(-1, ROUNDS + 1)] * 23)


def passes(tmp_path, kills):
    """Compares a whole run with others, each killed after each of some reports."""
    config = config_of(tmp_path)
    instants = finish(config, tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    random = np.random.default_rng(0)
    for number, rounds in enumerate(kills):
        path = tmp_path / str(number)
        for after in rounds:
            # Squared: at the beginning files are written, later comes the next round.
            share = random.uniform() ** 2
            kill(config, path, after, share * (instants[after + 1] - instants[after]))
        finish(config, path)
        assert contents(path) == expected
        shutil.rmtree(path)
