"""A round of Algorithm 1 as a TFF computation, and what engines need of it.

The only module that imports tensorflow_federated; others take `tff` from here.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fedp.training.algorithms import Algorithm
from fedp.training.client_optimizers import ClientOptimizer
from fedp.training.client_update import build_client_update
from fedp.training.configuration import Stage
from fedp.training.engines.contract import ClientData, ClientType, RoundSums
from fedp.training.engines.map_reduce import RoundFunctions
from fedp.training.engines.worker_process import WorkerError
from fedp.training.graph_function import GraphFunction
from fedp.training.portable_graph import portable

with warnings.catch_warnings():
    # Raised by TFF's own imports; nothing a user could do about it.
    warnings.filterwarnings("ignore", message=".*pkg_resources", category=Warning)
    import tensorflow_federated as tff

__all__ = [
    "OUTSIDE",
    "FederatedProcess",
    "State",
    "aggregation_of",
    "build_process",
    "server_optimizer_of",
    "tff",
]


def _no_runtime(cardinalities: Any) -> Any:
    raise WorkerError("a TFF computation was called outside of native_runtime")


# TFF's own default would start a worker that nothing ends.
OUTSIDE = tff.framework.SyncExecutionContext(
    tff.framework.ResourceManagingExecutorFactory(_no_runtime)
)
tff.framework.set_default_context(OUTSIDE)

# A weighted or an unweighted AggregationFactory of TFF's.
Aggregation = Any


class State(NamedTuple):
    """All that one round hands to the next, as TFF sees it.

    Attributes:
        weights: theta, float32 tensors.
        optimizer: the server optimizer's state, a nested structure.
        aggregator: the aggregator's state, a nested structure.
    """

    weights: Any
    optimizer: Any
    aggregator: Any


class FederatedProcess(NamedTuple):
    """A stage as TFF computations.

    Attributes:
        initialize: () -> State at the server, with weights of zero.
        next: (State at the server, ClientData at clients) -> (State, RoundSums).
    """

    initialize: Any
    next: Any

    def functions(self) -> RoundFunctions:
        """The stage as plain functions: TFF's MapReduceForm."""
        backend = tff.backends.mapreduce
        form = backend.get_map_reduce_form_for_computation(self.next)
        initialize = backend.get_state_initialization_computation(self.initialize)
        names = RoundFunctions._fields[1:]
        computations = [initialize, *(getattr(form, name) for name in names)]
        return RoundFunctions(*map(_graph_function, computations))


def build_process(
    model: tf.keras.Model,
    client_type: ClientType,
    *,
    algorithm: Algorithm,
    batch_size: int,
    client_optimizer: ClientOptimizer,
    server_optimizer: tff.learning.optimizers.Optimizer,
    aggregation: Aggregation,
) -> FederatedProcess:
    """Composes broadcast, client work, aggregation and server step.

    Args:
        model: gives the graph of the client's work; its weights do not matter.
        client_type: of the clients' examples.
        algorithm: how clients walk, what they return and what they weigh.
        batch_size: of the clients.
        client_optimizer: see `client_optimizers`.
        server_optimizer: it descends, so it is given -g as its gradient.
        aggregation: of the updates, with their weights where it takes weights.
    """
    shapes = [tuple(weight.shape) for weight in model.trainable_variables]
    weights_type = tff.to_type([tff.TensorType(np.float32, s) for s in shapes])
    x_shape, y_shape = (None, *client_type.x_shape), (None, *client_type.y_shape)
    data_type = tff.to_type(
        ClientData(
            tff.TensorType(client_type.x_dtype.type, x_shape),
            tff.TensorType(np.int32, y_shape),
            tff.TensorType(np.int32, (2,)),
        )
    )
    weighted = isinstance(aggregation, tff.aggregators.WeightedAggregationFactory)
    weight_type = [tff.TensorType(np.float32)] if weighted else []
    mean = aggregation.create(weights_type, *weight_type)

    # Named, since a traced function does not keep its variables alive.
    client_update = build_client_update(model, algorithm, batch_size, client_optimizer)
    run_client = portable(
        client_update.get_concrete_function(
            [tf.TensorSpec(shape, tf.float32) for shape in shapes],
            tf.TensorSpec(x_shape, client_type.x_dtype),
            tf.TensorSpec(y_shape, tf.int32),
            tf.TensorSpec((2,), tf.int32),
        )
    )

    @tff.tensorflow.computation(weights_type, data_type)
    def client_work(weights: Any, client: ClientData) -> Any:
        return run_client(*weights, *client)

    @tff.tensorflow.computation
    def initial_weights() -> Any:
        return [tf.zeros(shape) for shape in shapes]

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

    @tff.federated_computation
    def initialize() -> Any:
        return tff.federated_zip(
            State(
                tff.federated_eval(initial_weights, tff.SERVER),
                tff.federated_eval(initial_optimizer_state, tff.SERVER),
                mean.initialize(),
            )
        )

    @tff.federated_computation(
        initialize.type_signature.result, tff.FederatedType(data_type, tff.CLIENTS)
    )
    def next_round(state: Any, clients: Any) -> Any:
        theta = tff.federated_broadcast(state.weights)
        results = tff.federated_map(client_work, (theta, clients))
        weight = [results.weight] if weighted else []
        g = mean.next(state.aggregator, results.update, *weight)
        optimizer, weights = tff.federated_map(
            server_step, (state.optimizer, state.weights, g.result)
        )
        sums = [tff.federated_sum(getattr(results, f)) for f in RoundSums._fields]
        state = tff.federated_zip(State(weights, optimizer, g.state))
        return state, tff.federated_zip(RoundSums(*sums))

    return FederatedProcess(initialize, next_round)


def server_optimizer_of(stage: Stage) -> tff.learning.optimizers.Optimizer:
    """The server optimizer that a stage names."""
    rate = stage.server_learning_rate
    if stage.server_optimizer == "adam":
        return tff.learning.optimizers.build_adam(rate)
    momentum = stage.momentum if stage.server_optimizer == "momentum" else None
    return tff.learning.optimizers.build_sgdm(rate, momentum)


def aggregation_of(stage: Stage, clients_per_round: int) -> Aggregation:
    """The aggregator that a stage names."""
    if stage.aggregator == "robust":
        return tff.learning.robust_aggregator(zeroing=True, clipping=True)
    if stage.aggregator == "dp":
        return tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(
            stage.noise_multiplier, float(clients_per_round), stage.clip_norm
        )
    # Without any weight in a round (every client left out) the mean is 0, not NaN.
    return tff.aggregators.MeanFactory(no_nan_division=True)


def _graph_function(computation: Any) -> GraphFunction:
    """Takes a TensorFlow computation out of TFF."""
    proto = computation.to_building_block().proto.tensorflow
    graph_def = tf.compat.v1.GraphDef()
    proto.graph_def.Unpack(graph_def)
    initialize = (proto.initialize_op,) if proto.initialize_op else ()
    inputs = _tensor_names(proto.parameter) if proto.HasField("parameter") else ()
    return GraphFunction(
        graph_def.SerializeToString(),
        inputs,
        _tensor_names(proto.result),
        initialize,
    )


def _tensor_names(binding: Any) -> tuple[str, ...]:
    """Names of the tensors that a value is made of, in the order of its type."""
    if binding.WhichOneof("binding") == "tensor":
        return (binding.tensor.tensor_name,)
    parts = map(_tensor_names, binding.struct.element)
    return tuple(name for part in parts for name in part)
