"""A functional model's layers as a graph, of which any part can be run.

Keras runs a whole model or nothing, and its layers all alike; the device's graphs need
parts of it, and some layers to behave otherwise.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

# Calls a layer: (layer, positional arguments, keyword arguments) -> its output.
Call = Callable[[tf.keras.layers.Layer, Sequence[Any], Mapping[str, Any]], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer.

    Attributes:
        layer: what is called; a nested model counts as one layer.
        inputs: Keras tensors it takes.
        outputs: Keras tensors it gives.
        arguments: the call's arguments from the inputs' values, by `id` of the tensors.
    """

    layer: tf.keras.layers.Layer
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    arguments: Callable[[Mapping[int, Any]], tuple[Sequence[Any], Mapping[str, Any]]]


def nodes_of(model: tf.keras.Model) -> list[Node]:
    """All calls of a functional or Sequential model, each after what it needs."""
    by_depth = model._nodes_by_depth
    return [
        _node(node)
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
    ]


def run(
    model: tf.keras.Model,
    given: Mapping[int, Any],
    wanted: Sequence[Any],
    call: Call,
) -> list[Any]:
    """Values of Keras tensors of a model.

    Args:
        model: the graph.
        given: values by `id` of Keras tensors, from which all wanted follow.
        wanted: Keras tensors.
        call: calls one layer.
    """
    values = dict(given)
    nodes = nodes_of(model)
    maker = {id(tensor): node for node in nodes for tensor in node.outputs}
    needed: set[int] = set()
    stack = [tensor for tensor in wanted if id(tensor) not in values]
    while stack:
        node = maker[id(stack.pop())]
        if id(node) not in needed:
            needed.add(id(node))
            stack.extend(t for t in node.inputs if id(t) not in values)
    for node in nodes:
        if id(node) in needed:
            args, kwargs = node.arguments(values)
            outputs = tf.nest.flatten(call(node.layer, args, kwargs))
            values.update(zip(map(id, node.outputs), outputs, strict=True))
    return [values[id(tensor)] for tensor in wanted]


def _node(node: Any) -> Node:
    inputs = tuple(node.keras_inputs)

    def arguments(
        values: Mapping[int, Any],
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        # Keras takes each use of a tensor from a list of its own.
        uses: dict[str, list[Any]] = collections.defaultdict(list)
        for tensor in inputs:
            uses[str(id(tensor))].append(values[id(tensor)])
        args, kwargs = node.map_arguments(uses)
        return args, kwargs

    return Node(node.layer, inputs, tuple(tf.nest.flatten(node.outputs)), arguments)
