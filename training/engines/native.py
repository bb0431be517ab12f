"""TFF's native runtime as an engine: the reference that the others are held to."""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np

from fedp.training.engines.contract import (
    ReadClient,
    RoundResult,
    ServerState,
)
from fedp.training.engines.map_reduce import split_sums
from fedp.training.engines.reading import Reader
from fedp.training.engines.worker_process import Worker, running_worker
from fedp.training.federated import FederatedProcess, tff
from fedp.training.sampling import Participant

_UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


class NativeEngine:
    """A `StageEngine` that invokes TFF computations; only inside `native_runtime`."""

    def __init__(self, process: FederatedProcess, read: ReadClient) -> None:
        """Takes the stage's computations, and what reads one client."""
        self._process = process
        self._reader = Reader(read)
        self._like = tff.structure.from_container(process.initialize(), recursive=True)

    def initial(self, weights: Sequence[np.ndarray]) -> ServerState:
        """See `StageEngine`."""
        leaves = _leaves(self._like)
        return [*(np.asarray(w, np.float32) for w in weights), *leaves[len(weights) :]]

    def next(
        self,
        state: ServerState,
        participants: Sequence[Participant],
        upcoming: Sequence[Participant] = (),
    ) -> RoundResult:
        """See `StageEngine`."""
        clients, failed = self._reader.clients(participants, upcoming)
        structure = tff.structure.pack_sequence_as(self._like, list(state))
        result = self._process.next(structure, list(clients.values()))
        state, sums = split_sums(_leaves(result))
        return RoundResult(state, sums, failed)

    def close(self) -> None:
        """See `StageEngine`."""
        self._reader.close()


def _leaves(structure: Any) -> list[np.ndarray]:
    """In the order of the TFF type, not of sorted names as tf.nest has it."""
    whole = tff.structure.from_container(structure, recursive=True)
    return [np.asarray(leaf) for leaf in tff.structure.flatten(whole)]


@contextlib.contextmanager
def native_runtime(log: pathlib.Path, threads: int = 1) -> Iterator[Worker]:
    """Executes TFF computations in TFF's C++ worker while the context lasts.

    Args:
        log: file that gets the worker's output.
        threads: for the operators of one client; clients run side by side anyway.

    Raises:
        WorkerError: the worker does not start; a computation raises it if it ends.
    """
    binary = pathlib.Path(tff.__file__).parent / "data" / "worker_binary"
    with running_worker(binary, log, threads) as worker:
        context = tff.framework.SyncExecutionContext(
            executor_fn=tff.framework.ResourceManagingExecutorFactory(
                _executors_of(worker)
            ),
            compiler_fn=tff.backends.native.desugar_and_transform_to_native,
        )
        with tff.framework.get_context_stack().install(context):
            yield worker


def _executors_of(worker: Worker) -> Callable[[Any], Any]:
    """What TFF asks for an executor: called at first, and again after every failure."""
    stub = None

    def executor(cardinalities: Any) -> Any:
        nonlocal stub
        worker.check()
        if stub is None:
            stub = _connect(worker)
        executor = tff.framework.RemoteExecutor(stub)
        executor.set_cardinalities({tff.CLIENTS: 0, **cardinalities})
        return executor

    return executor


def _connect(worker: Worker) -> Any:
    channel = grpc.insecure_channel(f"localhost:{worker.port}", _UNLIMITED)
    grpc.channel_ready_future(channel).result(timeout=60)
    stub = tff.framework.RemoteExecutorGrpcStub(channel)
    while not stub.is_ready:
        worker.check()
        time.sleep(0.01)
    return stub
