"""The Ray cluster of a run: one that is there already, or one for this run alone."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import logging
import pathlib
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fedp.device_runtime.errors import FedpError, MissingDependencyError
from fedp.training.engines.ray_local import ended_processes, machine_of_its_own

if TYPE_CHECKING:  # They load TensorFlow, which not all work on a cluster needs.
    from fedp.training.configuration import TrainingConfig
    from fedp.training.engines.contract import StageEngine
    from fedp.training.federated import FederatedProcess

_CONNECT_SECONDS = 10
# Ray gives its node 30 s, which a machine at the limit of its memory or disk may miss.
_STARTS = 3
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

# Of the workers; one thread an operator, since a worker has one core.
_WORKERS = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}


@contextlib.contextmanager
def ray_cluster(
    config: TrainingConfig, log: pathlib.Path
) -> Iterator[Callable[[FederatedProcess], StageEngine]]:
    """Connects to a cluster, or starts one, while the context lasts.

    Args:
        config: says which cluster, and where its workers read the clients.
        log: see `connected`.

    Yields:
        What makes an engine of a stage.

    Raises:
        FedpError: see `connected`.
    """
    with connected(config.ray_address, log):
        from fedp.training.engines.ray_engine import RayEngine

        yield lambda process: RayEngine(process.functions(), config)


@contextlib.contextmanager
def connected(address: str | None, log: pathlib.Path) -> Iterator[None]:
    """Is connected to a cluster while the context lasts.

    A connection that this process has already is used, and stays.

    Args:
        address: HOST:PORT of its head; None starts a cluster for this process alone.
        log: file that gets what the workers of a cluster started here have printed.

    Raises:
        MissingDependencyError: Ray is not installed.
        FedpError: the cluster does not answer, or has no cores.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingDependencyError(
            "engine ray needs Ray, which is not installed: run `pip install '.[ray]'`"
        )
    import ray

    with contextlib.ExitStack() as stack:
        if not ray.is_initialized():
            if address:
                _check_reachable(address)
                options = {"address": address}
            else:
                options = stack.enter_context(machine_of_its_own(log))
            stack.enter_context(_connected(options))
        if ray.cluster_resources().get("CPU", 0) < 1:  # type: ignore[no-untyped-call]
            raise FedpError(
                "the Ray cluster has no cores: start its nodes without --num-cpus=0"
            )
        yield


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    import ray

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise FedpError(
            f"Ray address {address!r} is none; write HOST:PORT of the cluster's head, "
            "such as 10.0.0.1:6379"
        )
    if host in _LOOPBACK:
        # As Ray does: other nodes have to reach the head too.
        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise FedpError(
            f"no Ray cluster answers at {host}:{port} ({error}): start one there with "
            f"`ray start --head --port={port}`"
        ) from error


@contextlib.contextmanager
def _connected(options: dict[str, Any]) -> Iterator[None]:
    """Connects, and at the end disconnects, which ends a cluster started here."""
    import ray

    of_its_own = options["address"] == "local"
    for left in reversed(range(_STARTS if of_its_own else 1)):
        failure: Exception
        with ended_processes(ray.shutdown):
            try:
                _connect(options)
            # A node that does not start in time is a bare Exception.
            except Exception as error:
                failure = error
            else:
                yield
                return
        _let_go(failure)
        if not left:
            where = "on this machine" if of_its_own else f"({options['address']})"
            raise FedpError(
                f"the Ray cluster {where} cannot be used from here: "
                f"{' '.join(str(failure).split())}"
            ) from failure


def _let_go(error: Exception) -> None:
    """Of what a start that failed holds: its processes have ended, and must know it.

    Whoever still holds one would else make it warn, much later, that it is running.
    """
    for held in gc.get_objects():
        if issubclass(type(held), subprocess.Popen):
            held.poll()
    traceback.clear_frames(error.__traceback__)


def _connect(options: dict[str, Any]) -> None:
    import ray

    with _signal_handlers_kept():
        ray.init(
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": _WORKERS},
            **options,
        )


@contextlib.contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Ray puts a handler in the place of the one that ends a run after its round."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
