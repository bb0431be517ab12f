"""What the mean over the labelled steps of a sequence needs."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.table import Scope, lowers


@lowers("DivNoNan")
def div_no_nan(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """x / y, and 0 where y is 0."""
    x, y = inputs
    nothing = tf.cast(tf.equal(y, 0.0), y.dtype)
    return [x * (1.0 - nothing) / (y + nothing)]
