"""The softmax cross-entropies, forward and gradient, spelled out."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.table import Scope, lowers


@lowers("SparseSoftmaxCrossEntropyWithLogits")
def sparse_softmax_cross_entropy(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Loss [n] and its gradient by the logits, softmax - one_hot, [n, C]."""
    logits, labels = inputs
    return _cross_entropy(logits, tf.one_hot(labels, logits.shape[-1]))


@lowers("SoftmaxCrossEntropyWithLogits")
def softmax_cross_entropy(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The same for labels that are distributions, [n, C]."""
    return _cross_entropy(*inputs)


def _cross_entropy(logits: tf.Tensor, target: tf.Tensor) -> list[tf.Tensor]:
    shifted = logits - tf.reduce_max(logits, axis=1, keepdims=True)
    exponentials = tf.exp(shifted)
    total = tf.reduce_sum(exponentials, axis=1, keepdims=True)
    loss = tf.reduce_sum(target * (tf.math.log(total) - shifted), axis=1)
    return [loss, exponentials / total - target]
