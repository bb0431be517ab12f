"""Rounds on real clusters of Ray nodes, each node a process tree of its own."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pytest

psutil = pytest.importorskip("psutil", reason="training needs the training install")
ray = pytest.importorskip("ray", reason="needs Ray")
tf = pytest.importorskip("tensorflow", reason="training needs the training install")
federated = pytest.importorskip(
    "fedp.training.federated", reason="needs tensorflow-federated"
)

from fedp.device_runtime.errors import FedpError, MissingDependencyError  # noqa: E402
from fedp.training import client_optimizers  # noqa: E402
from fedp.training.algorithms import algorithm_of  # noqa: E402
from fedp.training.configuration import Stage, TrainingConfig  # noqa: E402
from fedp.training.engines.contract import ClientType  # noqa: E402
from fedp.training.engines.local import LocalEngine  # noqa: E402
from fedp.training.engines.ray_cluster import ray_cluster  # noqa: E402
from fedp.training.engines.ray_engine import shards_of  # noqa: E402
from fedp.training.loading import open_training_data, read_client  # noqa: E402
from fedp.training.sampling import Participant  # noqa: E402

CLIENTS, SECONDS = 12, 60
# Long enough (about half a second a client) to be killed in.
STAGE = Stage("s", "fedavg", 1, local_epochs=400, server_optimizer="sgd")
THETA = [
    np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    np.zeros(3, np.float32),
]
PARTICIPANTS = [
    Participant(f"c{i:02}", np.array([i, 7], np.int32)) for i in range(CLIENTS)
]
NOBODY = Participant("nobody", np.zeros(2, np.int32))


class Nodes:
    """Nodes of one cluster, at loopback addresses of their own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="t", dir="/tmp")
        with socket.socket() as probe:
            probe.bind(("127.0.0.2", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.2:{port}"
        self.processes = []
        self.start("--head", f"--port={port}", "--include-dashboard=false")
        wait_for(lambda: answers(port))

    def start(self, *options):
        host = f"127.0.0.{2 + len(self.processes)}"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        command += ["--num-cpus=1", f"--node-ip-address={host}", *options]
        environment = {
            **os.environ,
            "RAY_TMPDIR": self.folder,
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            # A dead node is noticed within a second.
            "RAY_health_check_period_ms": "200",
            "RAY_health_check_timeout_ms": "1000",
        }
        node = psutil.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(node)
        return node

    def join(self):
        """Starts a node, and waits until the cluster has its core."""
        before = ray.cluster_resources()["CPU"]
        node = self.start(f"--address={self.address}")
        wait_for(lambda: ray.cluster_resources()["CPU"] > before)
        return node

    def close(self):
        for process in self.processes:
            kill(process)
        shutil.rmtree(self.folder, ignore_errors=True)


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.2", port), 1).close()
        return True
    return False


def kill(process):
    """A machine that loses its power."""
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(family, 10)
    process.wait()


def wait_for(condition, seconds=SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def nodes():
    nodes = Nodes()
    yield nodes
    nodes.close()


@pytest.fixture(scope="module")
def config(nodes, tmp_path_factory):
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "data.npz"
    names = np.repeat([each.client for each in PARTICIPANTS], 20)
    x = random.normal(size=(len(names), 2)).astype(np.float32)
    np.savez(path, x=x, y=random.integers(0, 3, len(names)), client=names)
    return TrainingConfig(
        data=str(path), stages=(STAGE,), engine="ray", ray_address=nodes.address
    )


@pytest.fixture(scope="module")
def process():
    layers = tf.keras.layers
    return federated.build_process(
        tf.keras.Sequential([layers.Input((2,)), layers.Dense(3)]),
        ClientType(np.dtype(np.float32), (2,)),
        algorithm=algorithm_of(STAGE),
        batch_size=4,
        client_optimizer=client_optimizers.sgd(0.1),
        server_optimizer=federated.server_optimizer_of(STAGE),
        aggregation=federated.aggregation_of(STAGE, CLIENTS),
    )


@pytest.fixture(scope="module")
def engine(config, process, tmp_path_factory):
    log = tmp_path_factory.mktemp("run") / "log"
    with ray_cluster(config, log) as open_stage:
        engine = open_stage(process)
        yield engine
        engine.close()


@pytest.fixture(scope="module")
def undisturbed(engine):
    return engine.next(engine.initial(THETA), PARTICIPANTS)


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_model_is_that_of_the_local_engine(config, process, undisturbed):
    data = open_training_data(config)
    local = LocalEngine(process.functions(), lambda who: read_client(data, config, who))
    with contextlib.closing(local):
        expected = local.next(local.initial(THETA), PARTICIPANTS)
    # The same floats, added in another order.
    for a, b in zip(undisturbed.state, expected.state, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    assert undisturbed.sums._replace(loss_sum=0) == expected.sums._replace(loss_sum=0)
    assert undisturbed.sums.loss_sum == pytest.approx(expected.sums.loss_sum, rel=1e-6)
    assert undisturbed.failed == {}


def test_a_client_that_cannot_be_read_is_left_out(engine, undisturbed):
    result = engine.next(engine.initial(THETA), [*PARTICIPANTS, NOBODY])
    assert_same(result.state, undisturbed.state)
    assert list(result.failed) == ["nobody"]
    assert "\n" not in result.failed["nobody"] and "nobody" in result.failed["nobody"]


def test_a_round_without_any_client_moves_nothing(engine):
    result = engine.next(engine.initial(THETA), [NOBODY])
    assert_same(result.state, engine.initial(THETA))
    assert result.sums.examples == 0


def test_a_node_killed_in_the_middle_of_a_round_changes_nothing(
    nodes, engine, undisturbed
):
    node = nodes.join()
    killed = threading.Event()

    def kill_at_work():
        wait_for(lambda: trains(node))
        kill(node)
        killed.set()

    killer = threading.Thread(target=kill_at_work)
    killer.start()
    while not killed.is_set():  # at first the other node may take all shards
        result = engine.next(engine.initial(THETA), PARTICIPANTS)
        assert_same(result.state, undisturbed.state)
        assert result.sums == undisturbed.sums and result.failed == {}
        assert killer.is_alive() or killed.is_set()
    killer.join()
    wait_for(lambda: ray.cluster_resources()["CPU"] == 1)


def trains(node):
    """Whether one of a node's workers, all of which are ready, is at work."""
    for each in node.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            # Its title need not name the task: that depends on earlier clusters.
            if each.cmdline()[0] in ("ray::IDLE", "ray::train_shard"):
                before = each.cpu_times().user
                time.sleep(0.1)
                if each.cpu_times().user - before > 0.02:
                    return True
    return False


@pytest.mark.parametrize("found", ["nothing", "other clients"])
def test_data_that_a_node_does_not_have_is_an_error(
    engine, config, process, tmp_path, found
):
    """The driver opened it in time; what the workers find is another matter."""
    from fedp.training.engines.ray_engine import RayEngine

    path = tmp_path / "data.npz"
    shutil.copy(config.data, path)
    other = RayEngine(process.functions(), TrainingConfig(data=str(path)))
    path.unlink()
    if found == "other clients":
        np.savez(path, x=np.zeros((3, 2)), y=np.arange(3), client=["a", "b", "c"])
    with pytest.raises(FedpError, match="data.*every node") as caught:
        other.next(other.initial(THETA), PARTICIPANTS)
    assert "\n" not in str(caught.value)
    assert ("other clients" in str(caught.value)) == (found == "other clients")


def test_the_clients_of_a_shard_that_is_lost_for_good_are_left_out(
    engine, undisturbed, monkeypatch
):
    lost = {0, 3}
    arriving = iter(range(CLIENTS))
    get = ray.get

    def get_unless_lost(task):
        if next(arriving) in lost:
            raise ray.exceptions.WorkerCrashedError
        return get(task)

    monkeypatch.setattr(ray, "get", get_unless_lost)
    result = engine.next(engine.initial(THETA), PARTICIPANTS)
    monkeypatch.undo()
    assert list(result.failed) == ["c00", "c03"]
    assert "lost 6 times (WorkerCrashedError)" in result.failed["c00"]
    others = [each for i, each in enumerate(PARTICIPANTS) if i not in lost]
    assert_same(result.state, engine.next(engine.initial(THETA), others).state)


def test_workers_do_not_import_tff():
    loaded = "sorted(m for m in sys.modules if m in ('tensorflow_federated', 'ray'))"
    code = f"import sys, fedp.training.engines.ray_task; print({loaded})"
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.check_output(command, text=True).strip() == "[]"


@pytest.mark.parametrize("address", ["127.0.0.2:1", "127.0.0.2:99999"])
def test_a_head_that_does_not_answer_is_an_error(address, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    config = TrainingConfig(data="synthetic", ray_address=address)
    with pytest.raises(FedpError, match=f"{address}.*ray start --head") as caught:
        with ray_cluster(config, tmp_path / "log"):
            pass
    assert "\n" not in str(caught.value)


def test_an_address_without_a_port_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    config = TrainingConfig(data="synthetic", ray_address="ray://head")
    with pytest.raises(FedpError, match="HOST:PORT"):
        with ray_cluster(config, tmp_path / "log"):
            pass


def test_without_ray_the_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        with ray_cluster(TrainingConfig(data="synthetic"), tmp_path / "log"):
            pass


@pytest.mark.parametrize(
    "clients, per_task, sizes",
    [(5, None, [1] * 5), (33, None, [3] * 11), (5, 2, [2, 2, 1]), (0, None, [])],
)
def test_shards_depend_on_the_round_alone(clients, per_task, sizes):
    shards = shards_of(PARTICIPANTS[:1] * clients, per_task)
    assert [len(shard) for shard in shards] == sizes


ENDED = """
import os, pathlib, signal, sys, time
import ray
from fedp.training.configuration import TrainingConfig
from fedp.training.engines.ray_cluster import ray_cluster

handler = signal.getsignal(signal.SIGTERM)
log = pathlib.Path(sys.argv[1])
with ray_cluster(TrainingConfig(data="synthetic"), log):
    shout = ray.remote(lambda: print("shouted", file=sys.stderr))
    ray.get(shout.remote())
    assert signal.getsignal(signal.SIGTERM) is handler
    print("up", flush=True)
    sys.stdin.readline() if sys.argv[2] == "0" else time.sleep(60)
assert not [name for name in os.environ if name.startswith("RAY_AUTH")]
"""


@pytest.mark.parametrize("number", [0, signal.SIGINT])
def test_nothing_is_left_behind(number, tmp_path):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    log = tmp_path / "log"
    run = psutil.Popen(
        [sys.executable, "-W", "ignore", "-c", ENDED, str(log), str(int(number))],
        env={**os.environ, "TMPDIR": str(folder), "HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "up\n"
    family = run.children(recursive=True)
    assert len(family) > 3
    if number:
        os.kill(run.pid, number)
    _, errors = run.communicate("go on\n", timeout=SECONDS)
    assert [each for each in family if runs(each)] == []
    assert list(folder.iterdir()) == []
    assert log.read_text() == "shouted\n"
    assert "KeyboardInterrupt" in errors if number else errors == ""
    assert not (tmp_path / ".ray").exists()
    folder.rmdir()


def runs(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
