"""Evaluations on a Ray cluster, which takes some 15 s to start."""

import dataclasses
import multiprocessing
import subprocess
import sys

import pytest

pytest.importorskip("ray", reason="needs Ray")

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import DataError, FedpError
from fedp.training.data import open_data
from fedp.training.engines.ray_cluster import connected
from fedp.training.evaluation import evaluate, evaluate_clients, read_clients_csv
from fedp.training.evaluation.clients import ClientJob

pytestmark = pytest.mark.slow

SPEC = "synthetic:12"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with connected(None, tmp_path_factory.mktemp("ray") / "ray.log"):
        yield


@pytest.fixture
def job(mlp_artifact):
    manifest, _ = read_artifact(mlp_artifact)
    return ClientJob(mlp_artifact, SPEC, None, 0, 0, 20, sha256=manifest.sha256)


def test_a_report_has_the_numbers_of_one_machine(cluster, mlp_artifact, tmp_path):
    told = []
    evaluate(
        mlp_artifact,
        SPEC,
        "all",
        tmp_path,
        seen_clients=True,
        max_examples=20,
        engine="ray",
        on_result=lambda done, total, _: told.append((done, total)),
    )
    names = open_data(SPEC).clients()
    assert read_clients_csv(tmp_path / "clients.csv") == evaluate_clients(
        mlp_artifact, SPEC, names, max_examples=20, processes=1
    )
    assert told == [(n, 12) for n in range(1, 13)]
    assert multiprocessing.active_children() == []


def test_an_error_of_a_client_is_the_clients(cluster, job):
    from fedp.training.evaluation import ray_workers

    with pytest.raises(DataError, match="no client 'nobody'") as caught:
        list(ray_workers.arriving(job, ["writer-0000001", "nobody"]))
    assert "\n" not in str(caught.value)


def test_a_node_with_another_artifact_says_so(cluster, job):
    from fedp.training.evaluation import ray_workers

    other = dataclasses.replace(job, sha256="0" * 64)
    with pytest.raises(FedpError, match="node .* cannot begin .*another one") as caught:
        list(ray_workers.arriving(other, ["writer-0000001"]))
    assert "\n" not in str(caught.value)


def test_more_clients_than_are_handed_out_at_once_all_come(cluster, job):
    from fedp.training.evaluation import ray_workers

    names = [*open_data(SPEC).clients()] * 3
    found = dict(ray_workers.arriving(job, names))
    assert sorted(found) == list(range(36))
    assert all(found[n].client == name for n, name in enumerate(names))
    assert all(found[n] == found[n % 12] for n in found)


def test_the_driver_loads_no_tensorflow():
    program = (
        "import sys, fedp.training.engines.ray_cluster\n"
        "import fedp.training.evaluation.ray_workers\n"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
