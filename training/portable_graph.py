"""A traced function carried into a graph of TFF's, with variables of its own there.

Keras models built inside TFF's graphs turn Keras' classes into their TensorFlow 1 form
and break every model built before; so models are traced outside, and only the graph
goes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def portable(traced: Any) -> Callable[..., Any]:
    """Makes a concrete function callable in a `tf.Graph` it was not traced for.

    Args:
        traced: a concrete function; whatever variables it captures it has to assign
            before it reads them, since in the other graph they start as zeros.

    Returns:
        A function of the flattened arguments, returning the structure of outputs.
    """
    graph_def = traced.graph.as_graph_def()
    inputs = [tensor.name for tensor in traced.inputs]
    outputs = [tensor.name for tensor in traced.outputs]
    structure = traced.structured_outputs
    variables = {id(variable.handle): variable for variable in traced.variables}

    def here(captured: tf.Tensor) -> tf.Tensor:
        """What stands for a captured tensor in the graph that is being built."""
        variable = variables.get(id(captured))
        if variable is None:
            return tf.constant(captured.numpy())
        return tf.Variable(tf.zeros(variable.shape, variable.dtype)).handle

    def call(*arguments: tf.Tensor) -> Any:
        feeds = [*arguments, *(here(captured) for captured in traced.captured_inputs)]
        results = tf.graph_util.import_graph_def(
            graph_def, dict(zip(inputs, feeds, strict=True)), outputs, name="client"
        )
        return tf.nest.pack_sequence_as(structure, results)

    return call
