"""A TensorFlow function as bytes that any process can run, with variables of its own.

Sessions run it, since each one has its own variables and threads: two clients train
side by side in one process without getting in each other's way, one core each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from fedp.training.portable_graph import portable

v1 = tf.compat.v1

Arrays = list[np.ndarray]

# What a call raises for its arguments' sake.
CALL_FAILURES = (tf.errors.OpError, ValueError, TypeError)

# Operators inside one call follow each other; calls run side by side.
_ONE_CORE = v1.ConfigProto(
    intra_op_parallelism_threads=1,
    inter_op_parallelism_threads=1,
    use_per_session_threads=True,
)


class GraphFunction(NamedTuple):
    """A function of tensors, ready to be pickled.

    Attributes:
        graph: a serialized GraphDef.
        inputs: names of the tensors it is fed, in order.
        outputs: names of the tensors it returns, in order.
        initialize: names of the operations to run once, before the first call.
    """

    graph: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    initialize: tuple[str, ...]


def graph_function(traced: Any) -> GraphFunction:
    """Makes a GraphFunction of a concrete function.

    Args:
        traced: it has to assign whatever variable it captures before it reads it.
    """
    with tf.Graph().as_default() as graph:
        arguments = [
            v1.placeholder(tensor.dtype, tensor.shape)
            for tensor in traced.inputs[: -len(traced.captured_inputs) or None]
        ]
        results = tf.nest.flatten(portable(traced)(*arguments))
        initialize = v1.global_variables_initializer()
    return GraphFunction(
        graph.as_graph_def().SerializeToString(),
        tuple(tensor.name for tensor in arguments),
        tuple(tensor.name for tensor in results),
        (initialize.name,),
    )


class Started:
    """A function that runs in this process; a call occupies one core.

    Not to be called from two threads at once.
    """

    def __init__(self, function: GraphFunction) -> None:
        """Gives the function variables of its own."""
        graph_def = v1.GraphDef.FromString(function.graph)
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(graph_def, name="")
        self._session = v1.Session(graph=graph, config=_ONE_CORE)
        if function.initialize:
            self._session.run(list(function.initialize))
        self._call = self._session.make_callable(
            list(function.outputs), list(function.inputs)
        )

    def __call__(self, arrays: Sequence[np.ndarray]) -> Arrays:
        """Results of one call; the order of both is the function's.

        Raises:
            CALL_FAILURES: the arrays do not fit, or an operator does not take them.
        """
        return self._call(*arrays)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Frees variables and threads; no call may follow, but another close."""
        self._session.close()
