"""Floating-point operations of one TFLite operator, from its tensors' shapes.

A multiply-add counts as two. With `out` and `in` for how many numbers an operator
writes and reads, k for a window's height times width, and c for channels:

    BATCH_MATMUL, FULLY_CONNECTED   2 * out * (length of the sum)
    CONV_2D                         2 * out * k * c_in   (of a group)
    DEPTHWISE_CONV_2D               2 * out * k
    TRANSPOSE_CONV                  2 * in * k * c_out
    pools                           out * k
    sums, means and extremes        in
    functions of each number        out   (one operation each, also EXP and TANH)

Bias and activation that an operator includes count one operation a number each. What
only moves numbers counts nothing, and nor does arithmetic on whole numbers.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tensorflow.lite.python import schema_py_generated as schema

from fedp.export.measured_shapes import Shape

_OF_EACH = frozenset(
    "ABS ADD ADD_N CEIL COS DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD GELU GREATER "
    "GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGISTIC MAXIMUM MINIMUM "
    "MUL NEG NOT_EQUAL POW PRELU RELU RELU6 RELU_N1_TO_1 ROUND RSQRT SELECT SELECT_V2 "
    "SIGN SIN SQRT SQUARE SQUARED_DIFFERENCE SUB TANH".split()
)
# Passes over each number: the largest, the difference, exp, the sum, the quotient.
_PASSES = {"SOFTMAX": 5, "LOG_SOFTMAX": 5, "L2_NORMALIZATION": 3}
_REDUCING = frozenset(
    "ARG_MAX ARG_MIN CUMSUM MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM".split()
)
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator with what its cost depends on.

    Attributes:
        name: of the builtin, such as "CONV_2D".
        inputs: shapes; () for an input that is left out.
        outputs: shapes.
        options: the schema's object, or None.
        floats: whether it works on floating-point numbers.
    """

    name: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    options: Any = None
    floats: bool = True


def flops(operator: Operator) -> int:
    """Floating-point operations; see the module's table."""
    name = operator.name
    if not operator.floats or not operator.outputs:
        return 0
    first = operator.inputs[0] if operator.inputs else ()
    out, taken = math.prod(operator.outputs[0]), math.prod(first)
    if name in _OF_EACH:
        return out
    if name in _REDUCING:
        return taken
    if name in _PASSES:
        return _PASSES[name] * out
    if name in _POOLS:
        return out * int(operator.options.filterWidth * operator.options.filterHeight)
    return _products(operator, out, taken) + out * _extras(operator)


def _products(operator: Operator, out: int, taken: int) -> int:
    name, shapes = operator.name, operator.inputs
    if name == "BATCH_MATMUL":
        return 2 * out * shapes[0][-2 if operator.options.adjX else -1]
    if name == "FULLY_CONNECTED":
        return 2 * out * shapes[1][-1]
    if name == "CONV_2D":
        return 2 * out * math.prod(shapes[1][1:])
    if name == "DEPTHWISE_CONV_2D":
        return 2 * out * math.prod(shapes[1][1:3])
    if name == "TRANSPOSE_CONV":
        channels, height, width, _ = shapes[1]
        return 2 * math.prod(shapes[2]) * height * width * channels
    return 0


def _extras(operator: Operator) -> int:
    """Bias and activation inside of an operator with products."""
    if operator.name not in ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"):
        return 0
    none = schema.ActivationFunctionType.NONE
    activation = getattr(operator.options, "fusedActivationFunction", none) != none
    return int(len(operator.inputs) > 2 and bool(operator.inputs[2])) + int(activation)
