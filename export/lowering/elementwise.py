"""Ops that look at one pixel at a time: on planes they are done plane by plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from fedp.export.lowering.planes import Planes, build, nhwc, planes_of
from fedp.export.lowering.table import Scope

ELEMENTWISE = frozenset(
    """
    Abs Add AddN AddV2 BiasAdd Div Elu EluGrad Exp Identity LeakyRelu LeakyReluGrad Log
    Maximum Minimum Mul Neg Pow RealDiv Reciprocal Relu Relu6 Relu6Grad ReluGrad Rsqrt
    RsqrtGrad Selu SeluGrad Sigmoid SigmoidGrad Softplus SoftplusGrad Softsign
    SoftsignGrad Sqrt SqrtGrad Square SquaredDifference StopGradient Sub Tanh TanhGrad
    """.split()
)


def by_plane(
    inputs: Sequence[Any],
    emit: Callable[[list[Any]], list[Any]],
    scope: Scope,
) -> list[Any]:
    """Emits an op once a plane; other inputs become planes too, or broadcast.

    Where one broadcasts in another way (a number an image, say), the op is done on
    whole images.
    """
    image = next(value for value in inputs if isinstance(value, Planes))
    sides = [_as_operand(value, image, scope) for value in inputs]
    if any(side is None for side in sides):
        return emit([nhwc(value, scope) for value in inputs])

    def plane(r: int, s: int) -> tf.Tensor:
        operands = [x.rows[r][s] if isinstance(x, Planes) else x for x in sides]
        return emit(operands)[0]

    return [build(image.steps, image.size, image.channels, plane)]


def _as_operand(value: Any, image: Planes, scope: Scope) -> Any:
    """The value as it is to be used beside rows [pixels, c]; None if it cannot be."""
    shape = value.shape
    if shape.rank == 4 and shape[1:] == image.shape[1:]:
        return planes_of(value, image.steps, scope)
    if shape.rank is not None and shape.rank < 2:
        return value
    if shape.rank is not None and all(d == 1 for d in shape[:-1]):
        return tf.reshape(value, [1, shape[-1]])
    return None
