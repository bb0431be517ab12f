"""Products of stacks of matrices, and einsum as such a product."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.lowering.matmul import product
from fedp.export.lowering.shapes import dimensions
from fedp.export.lowering.table import Scope, lowers, place


@lowers("BatchMatMulV2", "BatchMatMul", "BatchMatMulV3")
def batch_matmul(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """BATCH_MATMUL, transposes spelled out: adj_y is slow on TFLite 2.14."""
    a, b = inputs
    a = _swapped(a) if op.get_attr("adj_x") else a
    b = _swapped(b) if op.get_attr("adj_y") else b
    return [tf.raw_ops.BatchMatMulV2(x=a, y=b)]


@lowers("Einsum")
def einsum(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """A sum of products over shared axes: transpose, multiply matrices, transpose."""
    equation = op.get_attr("equation").decode()
    terms, result = equation.replace(" ", "").split("->")
    names = terms.split(",")
    if len(names) != 2 or "." in equation or any(len(set(n)) < len(n) for n in names):
        raise ExportError(
            f"{place(op)} needs Einsum {equation!r}; einsum of two tensors with single "
            "letters, each once, is supported"
        )
    sizes = {
        letter: size
        for name, x in zip(names, inputs, strict=True)
        for letter, size in zip(name, dimensions(x), strict=True)
    }
    sums = [
        _summed(x, name, set(other) | set(result))
        for x, name, other in zip(inputs, names, reversed(names), strict=True)
    ]
    (a, left), (b, right) = sums
    both = [c for c in left if c in right and c in result]
    inner = [c for c in left if c in right and c not in result]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    x = _matrix(a, left, (both, rows, inner), sizes)
    y = _matrix(b, right, (both, inner, columns), sizes)
    order = [*both, *rows, *columns]
    made = tf.raw_ops.BatchMatMulV2(x=x, y=y) if both else product(x, y)
    spread = tf.reshape(made, [sizes[c] for c in order])
    return [_ordered(spread, order, list(result))]


def _swapped(x: tf.Tensor) -> tf.Tensor:
    rank = x.shape.rank
    return tf.transpose(x, [*range(rank - 2), rank - 1, rank - 2])


def _summed(x: tf.Tensor, name: str, needed: set[str]) -> tuple[tf.Tensor, str]:
    """Sums over axes that nothing else has."""
    axes = [i for i, letter in enumerate(name) if letter not in needed]
    kept = "".join(letter for letter in name if letter in needed)
    return (tf.reduce_sum(x, axes) if axes else x), kept


def _matrix(
    x: tf.Tensor,
    name: str,
    groups: Sequence[Sequence[str]],
    sizes: dict[str, int],
) -> tf.Tensor:
    """x as [stack, rows, columns], each a group of axes in one; without a stack 2-D."""
    x = _ordered(x, list(name), [c for group in groups for c in group])
    shape = [_size([sizes[c] for c in group]) for group in groups]
    return tf.reshape(x, shape if groups[0] else shape[1:])


def _size(sizes: Sequence[int]) -> int:
    return -1 if -1 in sizes else math.prod(sizes)


def _ordered(x: tf.Tensor, names: list[str], wanted: list[str]) -> tf.Tensor:
    if names == wanted:
        return x
    return tf.transpose(x, [names.index(c) for c in wanted])
