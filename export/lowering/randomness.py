"""Random ops with fixed seeds, so that a device's dropout can be repeated."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.table import Scope, lowers


@lowers("RandomUniform")
def random_uniform(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Numbers in [0, 1) from Philox, seeded by the op's order in the graph.

    In a fresh interpreter the first draw is bit-equal to TensorFlow's; later draws
    are not, because TensorFlow skips ahead in its stream and TFLite does not.
    """
    numbers = tf.raw_ops.RandomUniform(
        shape=inputs[0],
        dtype=tf.float32,
        seed=scope.random_seed,
        seed2=_next_seed(scope),
    )
    return [numbers]


@lowers("RandomStandardNormal")
def random_normal(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Normal numbers of mean 0 and deviation 1, seeded in the same way."""
    numbers = tf.raw_ops.RandomStandardNormal(
        shape=inputs[0],
        dtype=tf.float32,
        seed=scope.random_seed,
        seed2=_next_seed(scope),
    )
    return [numbers]


# The same table with TensorFlow's own ops for all the rest draws the same numbers.
SEEDED = {"RandomUniform": random_uniform, "RandomStandardNormal": random_normal}


def has_random_ops(function: tf.types.experimental.ConcreteFunction) -> bool:
    """Whether two calls of a traced function may differ."""
    return any(o.type in SEEDED for o in function.graph.get_operations())


def _next_seed(scope: Scope) -> int:
    second = int(scope.memo.get("random_ops", 0)) + 1
    scope.memo["random_ops"] = second
    return second
