"""Copies a traced TensorFlow function op by op, lowering what TFLite does not have."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph

from fedp.device_runtime.errors import ExportError
from fedp.export.lowering import (  # noqa: F401  (registers the lowerings)
    activation,
    bias,
    blocks,
    convolution,
    depthwise,
    elementary,
    embedding,
    loss,
    matmul,
    normalization,
    padding,
    pooling,
    products,
    randomness,
    shapes,
    shared_weights,
    slices,
)
from fedp.export.lowering.advice import advice
from fedp.export.lowering.elementwise import ELEMENTWISE, by_plane
from fedp.export.lowering.planes import Planes, nhwc
from fedp.export.lowering.shape_values import folded
from fedp.export.lowering.table import (
    BUILTIN,
    LOWERINGS,
    SHAPE_ARITHMETIC,
    TAKES_PLANES,
    Lowering,
    Scope,
    place,
)

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def rewrite(
    function: Any,
    inputs: Sequence[tf.Tensor],
    variables: Mapping[int, tf.Tensor],
    *,
    table: Mapping[str, Lowering] = LOWERINGS,
    strict: bool = True,
) -> list[tf.Tensor]:
    """Emits `function`'s outputs into the current graph, from `inputs`.

    Args:
        function: a ConcreteFunction; captured tensors that are no variables are
            taken as constants.
        inputs: one tensor for each of its inputs, in order.
        variables: value to use for each captured variable, by `id` of its handle;
            eager ones become constants.
        table: lowerings by op type.
        strict: refuse an op that is neither in `table` nor builtin.

    Returns:
        The function's flat outputs. Only what they depend on is emitted.

    Raises:
        ExportError: an op has no lowering; names the op and its layer.
    """
    graph = function.graph
    values: dict[int, Any] = {}
    for internal, given in zip(function.inputs, inputs, strict=False):
        values[id(internal)] = given
    for external, internal in graph.captures:
        if id(external) in variables:
            values[id(internal)] = _in_graph(variables[id(external)])
        elif external.dtype != tf.resource:
            values[id(internal)] = tf.constant(external.numpy())
    scope = Scope({})
    outputs = _Rewriter(values, table, strict, scope).outputs(graph.outputs)
    return [nhwc(value, scope) for value in outputs]


def _in_graph(value: Any) -> Any:
    # Lowerings look at the op that made a value, which eager ones do not have.
    return tf.constant(value.numpy()) if hasattr(value, "numpy") else value


class _Rewriter:
    """Evaluates one graph on demand; `values` maps old tensors (by id) to new ones."""

    def __init__(
        self,
        values: dict[int, Any],
        table: Mapping[str, Lowering],
        strict: bool,
        scope: Scope,
    ):
        self._values, self._table, self._strict = values, table, strict
        self._scope = scope

    def outputs(self, wanted: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Emits everything that `wanted` needs, in the graph's own order."""
        needed: set[int] = set()
        stack = [t.op for t in wanted]
        while stack:
            op = stack.pop()
            if op.type == "Placeholder" or id(op.outputs[0]) in self._values:
                continue
            if id(op) not in needed:
                needed.add(id(op))
                stack.extend(t.op for t in op.inputs)
        for op in wanted[0].graph.get_operations() if wanted else ():
            if id(op) in needed:
                inputs = [self._values.get(id(t)) for t in op.inputs]
                for old, new in zip(op.outputs, self._emitted(op, inputs), strict=True):
                    self._values[id(old)] = new
        return [self._values[id(t)] for t in wanted]

    def _emitted(self, op: tf.Operation, inputs: list[Any]) -> list[tf.Tensor]:
        try:
            return self._emit(op, inputs)
        # TensorFlow's own refusals of what a lowering made of an unforeseen use.
        except (ValueError, TypeError, NotImplementedError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ExportError(
                f"{place(op)} needs the op {op.type} in a way that has no spelling in "
                f"TFLite builtins ({reason}): {advice(op.type)}"
            ) from error

    def _emit(self, op: tf.Operation, inputs: list[Any]) -> list[tf.Tensor]:
        if op.type == "ReadVariableOp":
            if inputs[0] is None:
                raise ExportError(f"{place(op)} reads a variable that is not a weight")
            return [inputs[0]]
        if op in self._scope.done:
            return self._scope.done[op]
        if op.type == "ResourceGather" and inputs[0] is not None:
            return [embedding.rows(*inputs)]
        if op.type in _CALLS:
            return self._inline(op, inputs)
        if any(isinstance(value, Planes) for value in inputs):
            if op.type in ELEMENTWISE:
                return by_plane(inputs, functools.partial(self._emit, op), self._scope)
            if op.type not in TAKES_PLANES:
                inputs = [nhwc(value, self._scope) for value in inputs]
        if op.type in self._table:
            return self._table[op.type](op, inputs, self._scope)
        if self._strict and op.type not in BUILTIN | SHAPE_ARITHMETIC:
            raise ExportError(
                f"{place(op)} needs the op {op.type}, which has no spelling in TFLite "
                f"builtins: {advice(op.type)}"
            )
        graph = tf.compat.v1.get_default_graph()
        attributes = {k: v for k, v in op.node_def.attr.items() if k[0] != "_"}
        types = [t.dtype for t in op.outputs]
        made = graph.create_op(op.type, inputs, types, attrs=attributes)
        return folded(made.outputs)

    def _inline(self, op: tf.Operation, inputs: list[Any]) -> list[tf.Tensor]:
        name = op.get_attr("f").name
        body = op.graph._get_function(name)
        definition = getattr(body, "cached_definition", None) or body.function_def
        graph = function_def_to_graph.function_def_to_graph(definition)
        values = {id(t): v for t, v in zip(graph.inputs, inputs, strict=True)}
        inner = _Rewriter(values, self._table, self._strict, self._scope)
        try:
            return inner.outputs(graph.outputs)
        except ExportError as error:
            raise ExportError(f"{place(op)}: {error}") from error
