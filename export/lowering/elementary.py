"""Elementary functions and choices, where TFLite has none or only slow ones."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.masks import above, is_positive, number_of
from fedp.export.lowering.table import Scope, lowers

# erf(x) = x P(x^2) / Q(x^2) on -4..4 to one unit of float32, as in Eigen and XLA;
# highest power first.
_ERF_P = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
# Ops that may give no finite number, which a product with 0 keeps and a choice drops.
_UNBOUNDED = ("Log", "Reciprocal", "Inv", "Rsqrt", "RealDiv", "Div", "Pow")


def log1p(x: tf.Tensor) -> tf.Tensor:
    """log(1 + x) without its rounding error near 0, for x > -1.

    With w = 1 + x as rounded it is x log(w) / (w - 1), or x where w is 1.
    """
    w = tf.nn.relu(1.0 + x)  # keeps optimizers from making x of w - 1
    gap = w - 1.0
    unequal = is_positive(tf.abs(gap))
    return x * (tf.math.log(w) / (gap + (1.0 - unequal)) + (1.0 - unequal))


@lowers("Log1p")
def _log1p(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    return [log1p(inputs[0])]


@lowers("Expm1")
def expm1(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """e^x - 1, which ELU is below 0."""
    x = inputs[0]
    return [tf.nn.elu(tf.minimum(x, 0.0)) + (tf.exp(tf.nn.relu(x)) - 1.0)]


@lowers("Erf")
def erf(op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope) -> list[tf.Tensor]:
    """The error function as a quotient of polynomials."""
    x = tf.clip_by_value(inputs[0], -4.0, 4.0)
    square = x * x
    return [x * _polynomial(_ERF_P, square) / _polynomial(_ERF_Q, square)]


def _polynomial(coefficients: Sequence[float], x: tf.Tensor) -> tf.Tensor:
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


@lowers("Reciprocal", "Inv")
def reciprocal(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """1 / x, the gradient of a logarithm."""
    return [1.0 / inputs[0]]


@lowers("ReciprocalGrad", "InvGrad")
def reciprocal_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: -g y^2."""
    y, gradient = inputs
    return [-gradient * y * y]


@lowers("SqrtGrad")
def sqrt_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: g / (2 y)."""
    y, gradient = inputs
    return [0.5 * gradient / y]


@lowers("RsqrtGrad")
def rsqrt_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: -g y^3 / 2."""
    y, gradient = inputs
    return [-0.5 * gradient * y * (y * y)]


@lowers("Sign")
def sign(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """1, 0 or -1."""
    return [above(inputs[0]) - above(-inputs[0])]


@lowers("DivNoNan")
def divide_no_nan(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """x / y, or 0 where y is 0."""
    x, y = inputs
    there = is_positive(tf.abs(y))
    return [there * x / (y + (1.0 - there))]


@lowers("IsFinite")
def is_finite(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Whether |x| is below infinity; NaN is not."""
    return [tf.less(tf.abs(inputs[0]), float("inf"))]


@lowers("SelectV2", "Select")
def select(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """A choice against zeros (dropout, clips) is a product with the condition."""
    condition, yes, no = inputs
    if yes.dtype == tf.float32:
        if _is_zero(op.inputs[2]) and op.inputs[1].op.type not in _UNBOUNDED:
            return [yes * number_of(condition)]
        if _is_zero(op.inputs[1]) and op.inputs[2].op.type not in _UNBOUNDED:
            return [no * (1.0 - number_of(condition))]
    return [tf.where(condition, yes, no)]


@lowers("Cast")
def cast(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """CAST; a condition becomes a number by arithmetic."""
    x, kind = inputs[0], op.outputs[0].dtype
    if x.dtype == tf.bool and kind == tf.float32:
        return [number_of(x)]
    return [tf.cast(x, kind)]


@lowers("IdentityN")
def identity_n(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """What marks a function with a gradient of its own."""
    return list(inputs)


def _is_zero(tensor: tf.Tensor) -> bool:
    if tensor.op.type == "ZerosLike":
        return True
    value = tf.get_static_value(tensor, partial=False)
    if value is None and tensor.op.type == "Fill":
        value = tf.get_static_value(tensor.op.inputs[1])
    return value is not None and not value.any()
