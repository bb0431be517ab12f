"""A subgraph of a TFLite file: its operators, and how long its tensors live."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from fedp.export import flatbuffer
from fedp.export.flops import Operator
from fedp.export.measured_shapes import Shape

_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
_BYTES = {
    schema.TensorType.FLOAT16: 2,
    schema.TensorType.INT64: 8,
    schema.TensorType.BOOL: 1,
    schema.TensorType.INT8: 1,
    schema.TensorType.UINT8: 1,
}


class Subgraph:
    """One subgraph with all its shapes known.

    Operators inside of a loop's body or a branch are another subgraph's.

    Args:
        model: the file, as the schema's objects.
        number: of the subgraph.
        shapes: of its tensors, see `measured_shapes`.
    """

    def __init__(self, model: Any, number: int, shapes: list[Shape]) -> None:
        self._model, self._graph = model, model.subgraphs[number]
        self._shapes = shapes

    def operators(self) -> Iterator[Operator]:
        """All operators, in the order they run."""
        for operator in self._graph.operators:
            inputs, outputs = _indices(operator.inputs), _indices(operator.outputs)
            kinds = [self._graph.tensors[i].type for i in (*inputs, *outputs) if i >= 0]
            yield Operator(
                name=flatbuffer.operator_name(self._model, operator),
                inputs=tuple(self._shapes[i] if i >= 0 else () for i in inputs),
                outputs=tuple(self._shapes[i] for i in outputs),
                options=operator.builtinOptions,
                floats=any(kind in _FLOATS for kind in kinds),
            )

    def live_bytes(self) -> int:
        """Largest sum of tensors alive at once, beside constants and variables."""
        end = len(self._graph.operators)
        in_place = self._reads()
        born = dict.fromkeys(_indices(self._graph.inputs), 0)
        dies: dict[int, int] = {}
        for at, operator in enumerate(self._graph.operators):
            for index in _indices(operator.outputs):
                born.setdefault(index, at)
                dies[index] = at
            for index in _indices(operator.inputs):
                dies[index] = at
        dies |= dict.fromkeys(_indices(self._graph.outputs), end)
        change = np.zeros(end + 2, np.int64)
        for index, begin in born.items():
            if index in in_place:
                continue
            change[begin] += self._bytes(index)
            change[dies.get(index, begin) + 1] -= self._bytes(index)
        return int(change.cumsum().max())

    def _reads(self) -> set[int]:
        """Tensors that are variables under another name."""
        return {
            index
            for operator in self._graph.operators
            if flatbuffer.operator_name(self._model, operator) == "READ_VARIABLE"
            for index in _indices(operator.outputs)
        }

    def window_bytes(self) -> int:
        """The largest matrix of windows that plain convolutions lay out."""
        return max(
            (
                4 * math.prod(o.outputs[0][:-1]) * math.prod(o.inputs[1][1:])
                for o in self.operators()
                if o.name == "CONV_2D"
            ),
            default=0,
        )

    def constant_bytes(self) -> int:
        """All constants together."""
        return sum(map(self._constant, range(len(self._graph.tensors))))

    def _constant(self, index: int) -> int:
        data = self._model.buffers[self._graph.tensors[index].buffer].data
        return 0 if data is None else len(data)

    def _bytes(self, index: int) -> int:
        kind = self._graph.tensors[index].type
        if kind == schema.TensorType.RESOURCE or self._constant(index):
            return 0
        return _BYTES.get(kind, 4) * math.prod(self._shapes[index])


def _indices(found: Any) -> list[int]:
    return [] if found is None else [int(index) for index in found]
