"""Smaller constants: one number filled in, or halves widened, where a file is loaded.

The converter folds zeros into as many bytes as the tensor has, which would double or
triple a file whose optimizer has slots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from fedp.export import flatbuffer

_LEAST_BYTES = 1024  # below, an op costs more than it saves
_HALF_VERSION = 3  # of DEQUANTIZE, the first that takes float16


def shrink(content: bytes, *, halves: bool) -> bytes:
    """Replaces float32 constants by ops that compute the same bits.

    Args:
        content: a TFLite file.
        halves: also keep constants that float16 holds without loss as float16.
    """
    model = flatbuffer.load(content)
    for graph in model.subgraphs:
        made = []
        for index, tensor in enumerate(graph.tensors):
            values = _constant(model, tensor)
            if values is None or values.nbytes < _LEAST_BYTES:
                continue
            if (values.view(np.uint32) == values.view(np.uint32)[0]).all():
                made.append(_fill(model, graph, index, values[0]))
            elif halves and _fits_half(values):
                made.append(_widen(model, graph, index, values.astype(np.float16)))
        graph.operators = made + list(graph.operators)
    flatbuffer.slim(model)
    return flatbuffer.pack(model)


def _constant(model: Any, tensor: Any) -> np.ndarray | None:
    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or not len(data):
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32)


def _fits_half(values: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float16).astype(np.float32) == values).all())


def _fill(model: Any, graph: Any, output: int, value: np.float32) -> Any:
    """An op that fills tensor `output` with one number."""
    shape = np.asarray(graph.tensors[output].shape, np.int32)
    name = graph.tensors[output].name or b"constant"
    dims = _add_tensor(model, graph, name + b"/dims", shape, schema.TensorType.INT32)
    one = _add_tensor(
        model, graph, name + b"/value", np.float32(value), schema.TensorType.FLOAT32
    )
    graph.tensors[output].buffer = 0
    code = _code(model, schema.BuiltinOperator.FILL, 1)
    options = (schema.BuiltinOptions.FillOptions, schema.FillOptionsT())
    return _operator(code, [dims, one], output, *options)


def _widen(model: Any, graph: Any, output: int, halves: np.ndarray) -> Any:
    """An op that widens a float16 constant into tensor `output`."""
    tensor = graph.tensors[output]
    shaped = halves.reshape(tensor.shape)
    name = (tensor.name or b"constant") + b"/float16"
    half = _add_tensor(model, graph, name, shaped, schema.TensorType.FLOAT16)
    tensor.buffer = 0
    code = _code(model, schema.BuiltinOperator.DEQUANTIZE, _HALF_VERSION)
    options = (schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT())
    return _operator(code, [half], output, *options)


def _add_tensor(model: Any, graph: Any, name: bytes, values: Any, kind: int) -> int:
    values = np.asarray(values)
    raw = np.frombuffer(values.tobytes(), np.uint8)
    tensor = schema.TensorT()
    tensor.name, tensor.type = name, kind
    tensor.shape = list(values.shape)
    tensor.buffer = _add_buffer(model, raw)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _add_buffer(model: Any, raw: np.ndarray) -> int:
    """Index of a buffer with these bytes; several tensors share one."""
    for index, buffer in enumerate(model.buffers):
        found = buffer.data
        if found is not None and len(found) == len(raw) and (found == raw).all():
            return index
    buffer = schema.BufferT()
    buffer.data = raw
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _code(model: Any, number: int, version: int) -> int:
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == number and code.version >= version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _operator(
    code: int, inputs: list[int], output: int, kind: int, options: Any
) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = inputs, [output]
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator
