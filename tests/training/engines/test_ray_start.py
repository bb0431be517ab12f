"""A cluster of this machine's own that does not start at once."""

import contextlib
import gc
import sys
import warnings

import pytest

psutil = pytest.importorskip("psutil", reason="training needs the training install")
ray = pytest.importorskip("ray", reason="needs Ray")
pytest.importorskip("tensorflow_federated", reason="needs tensorflow-federated")

from fedp.device_runtime.errors import FedpError  # noqa: E402
from fedp.training.configuration import TrainingConfig  # noqa: E402
from fedp.training.engines import ray_local  # noqa: E402
from fedp.training.engines.ray_cluster import ray_cluster  # noqa: E402


@pytest.mark.parametrize("late", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_node_that_starts_too_late_is_started_again(late, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found, starts = ray._private.services.get_node, []

    def get_node(*arguments):
        starts.append(arguments)
        if len(starts) <= late:
            raise Exception("The current node timed out during startup.")
        return found(*arguments)

    monkeypatch.setattr(ray._private.services, "get_node", get_node)
    monkeypatch.setattr(ray_local, "_END_SECONDS", 1)
    before = set(psutil.Process().children())
    config = TrainingConfig("synthetic", engine="ray")
    too_late = "on this machine cannot be used from here: The current node timed out"
    expected = pytest.raises(FedpError, match=too_late) if late == 3 else None
    with expected or contextlib.nullcontext(), ray_cluster(config, tmp_path / "log"):
        assert ray.cluster_resources()["CPU"] >= 1
    assert set(psutil.Process().children()) <= before
    assert len(starts) >= min(late + 1, 3)


def test_a_head_that_starts_too_late_is_started_again(tmp_path, monkeypatch):
    """Also where something else holds its node and lets go of it much later."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    node = ray._private.node
    found, held = node.wait_for_persisted_port, []

    def wait(*arguments, **options):
        if not held:
            held.append(sys._getframe(1).f_locals["self"])
            raise RuntimeError("Timed out waiting for file gcs_server_port")
        return found(*arguments, **options)

    monkeypatch.setattr(node, "wait_for_persisted_port", wait)
    monkeypatch.setattr(ray_local, "_END_SECONDS", 1)
    with ray_cluster(TrainingConfig("synthetic", engine="ray"), tmp_path / "log"):
        assert ray.cluster_resources()["CPU"] >= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Of a process that is still running.
        assert held.pop() is not None
        gc.collect()
