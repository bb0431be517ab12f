"""One gradient product for a weight that is used at every step of a sequence.

The gradient is a sum of small products a b^T over the steps; with the steps side by
side it is a single one.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.matmul import outer_factors, product, transposed
from fedp.export.lowering.table import Scope, lowers


@lowers("AddN")
def add_n(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Gradients that meet: products of the same shape as one, the rest pair by pair."""
    groups = collections.defaultdict(list)
    terms = []
    for value in inputs:
        factors = outer_factors(value, scope)
        if factors is None or None in value.shape:
            terms.append(value)
        else:
            groups[tuple(value.shape)].append((value, *factors))
    for group in groups.values():
        if len(group) == 1:
            terms.append(group[0][0])
        else:
            terms.append(
                _side_by_side([a for _, a, _ in group], [b for *_, b in group])
            )
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return [total]


def _side_by_side(a: Sequence[tf.Tensor], b: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum of all a b^T, a [i, n] and b [j, n]."""
    first, second = (_joined(parts) for parts in (a, b))
    # The smaller factor is the one to transpose.
    if first.shape[0] < second.shape[0]:
        return transposed(product(second, transposed(first)))
    return product(first, transposed(second))


def _joined(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """[i, n] each as one [i, L n]."""
    return tf.reshape(tf.stack(parts, axis=1), [parts[0].shape[0], -1])
