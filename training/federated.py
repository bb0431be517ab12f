"""A round of Algorithm 1 as a TFF computation, and TFF's native runtime to execute it.

The only file that imports tensorflow_federated.
"""

from __future__ import annotations

import contextlib
import pathlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
import tensorflow as tf

from fedp.training.algorithms import Algorithm
from fedp.training.client_update import Optimizer, build_client_update
from fedp.training.configuration import Stage
from fedp.training.portable_graph import portable
from fedp.training.worker import Worker, WorkerError, running_worker

with warnings.catch_warnings():
    # Raised by TFF's own imports; nothing a user could do about it.
    warnings.filterwarnings("ignore", message=".*pkg_resources", category=Warning)
    import tensorflow_federated as tff

_UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


class ServerState(NamedTuple):
    """All that one round hands to the next.

    Attributes:
        weights: theta, float32 tensors.
        optimizer: the server optimizer's state, a nested structure.
        aggregator: the aggregator's state, a nested structure.
    """

    weights: Any
    optimizer: Any
    aggregator: Any


class ClientData(NamedTuple):
    """One client's input to a round.

    Attributes:
        x: uint8 or float32 [n, ...].
        y: int32 [n].
        seed: int32 [2].
    """

    x: Any
    y: Any
    seed: Any


class RoundMetrics(NamedTuple):
    """Sums over the clients of a round; see ClientResult."""

    examples: Any
    processed: Any
    loss_sum: Any
    steps: Any
    not_finite: Any


class FederatedProcess(NamedTuple):
    """A stage, ready to run.

    Attributes:
        initial: weights (NumPy arrays) -> ServerState with a fresh optimizer.
        next: (ServerState, list of ClientData) -> (ServerState, RoundMetrics).
    """

    initial: Callable[[Sequence[np.ndarray]], ServerState]
    next: Any


def build_process(
    model: tf.keras.Model,
    x_dtype: np.dtype[Any],
    x_shape: tuple[int, ...],
    *,
    algorithm: Algorithm,
    batch_size: int,
    client_optimizer: Optimizer,
    server_optimizer: tff.learning.optimizers.Optimizer,
    aggregator: tff.aggregators.WeightedAggregationFactory | None = None,
) -> FederatedProcess:
    """Composes broadcast, client work, weighted mean and server step.

    Args:
        model: gives the graph of the client's work; its weights do not matter.
        x_dtype: uint8 or float32.
        x_shape: one example's shape.
        algorithm: how long clients train and what they weigh.
        batch_size: of the clients.
        client_optimizer: see `client_update`.
        server_optimizer: it descends, so it is given -g as its gradient.
        aggregator: of the weighted updates; TFF's weighted mean unless given.
    """
    shapes = [tuple(weight.shape) for weight in model.trainable_variables]
    weights_type = tff.to_type([tff.TensorType(np.float32, s) for s in shapes])
    client_type = tff.to_type(
        ClientData(
            tff.TensorType(x_dtype.type, (None, *x_shape)),
            tff.TensorType(np.int32, (None,)),
            tff.TensorType(np.int32, (2,)),
        )
    )
    # Without any weight in a round (every client left out) the mean is 0, not NaN.
    factory = aggregator or tff.aggregators.MeanFactory(no_nan_division=True)
    mean = factory.create(weights_type, tff.TensorType(np.float32))

    run_client = portable(
        build_client_update(
            model, algorithm, batch_size, client_optimizer
        ).get_concrete_function(
            [tf.TensorSpec(shape, tf.float32) for shape in shapes],
            tf.TensorSpec((None, *x_shape), x_dtype),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((2,), tf.int32),
        )
    )

    @tff.tensorflow.computation(weights_type, client_type)
    def client_work(weights: Any, client: ClientData) -> Any:
        return run_client(*weights, *client)

    @tff.tensorflow.computation
    def initial_optimizer_state() -> Any:
        return server_optimizer.initialize(
            [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        )

    optimizer_type = initial_optimizer_state.type_signature.result

    @tff.tensorflow.computation(optimizer_type, weights_type, weights_type)
    def server_step(optimizer: Any, weights: Any, update: Any) -> Any:
        descent = [-g for g in update]
        return server_optimizer.next(optimizer, list(weights), descent)

    state_type = tff.to_type(
        ServerState(
            weights_type, optimizer_type, mean.initialize.type_signature.result.member
        )
    )

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(client_type, tff.CLIENTS),
    )
    def next_round(state: Any, clients: Any) -> Any:
        theta = tff.federated_broadcast(state.weights)
        results = tff.federated_map(client_work, (theta, clients))
        g = mean.next(state.aggregator, results.update, results.weight)
        optimizer, weights = tff.federated_map(
            server_step, (state.optimizer, state.weights, g.result)
        )
        metrics = RoundMetrics(
            *(tff.federated_sum(getattr(results, f)) for f in RoundMetrics._fields)
        )
        state = tff.federated_zip(ServerState(weights, optimizer, g.state))
        return state, tff.federated_zip(metrics)

    def initial(weights: Sequence[np.ndarray]) -> ServerState:
        return ServerState(list(weights), initial_optimizer_state(), mean.initialize())

    return FederatedProcess(initial, next_round)


def server_optimizer_of(stage: Stage) -> tff.learning.optimizers.Optimizer:
    """The server optimizer that a stage names."""
    rate = stage.server_learning_rate
    if stage.server_optimizer == "adam":
        return tff.learning.optimizers.build_adam(rate)
    momentum = stage.momentum if stage.server_optimizer == "momentum" else None
    return tff.learning.optimizers.build_sgdm(rate, momentum)


def state_arrays(state: ServerState) -> list[np.ndarray]:
    """A state's leaves as NumPy arrays, for a checkpoint."""
    return [np.asarray(leaf) for leaf in tf.nest.flatten(state)]


def state_from_arrays(like: ServerState, arrays: Sequence[np.ndarray]) -> ServerState:
    """The reverse of `state_arrays`, in the structure of another state."""
    return tf.nest.pack_sequence_as(like, list(arrays))  # type: ignore[no-any-return]


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


def _no_runtime(cardinalities: Any) -> Any:
    raise WorkerError("a TFF computation was called outside of native_runtime")


# TFF's own default would start a worker that nothing ends.
OUTSIDE = tff.framework.SyncExecutionContext(
    tff.framework.ResourceManagingExecutorFactory(_no_runtime)
)
tff.framework.set_default_context(OUTSIDE)
