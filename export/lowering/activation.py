"""Activations and their gradients as arithmetic: no SELECT and no zeros in the file."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from fedp.export.lowering.elementary import log1p
from fedp.export.lowering.masks import above, is_positive
from fedp.export.lowering.table import Scope, lowers

# Of Klambauer et al. 2017, as TensorFlow has them.
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_SCALE_ALPHA = 1.7580993408473768599402175208123


@lowers("ReluGrad")
def relu_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The gradient passes where the output is positive."""
    gradient, features = inputs
    if op.inputs[1].op.type != "Relu":
        features = tf.nn.relu(features)
    return [gradient * is_positive(features)]


@lowers("Relu6Grad")
def relu6_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """The gradient passes between 0 and 6."""
    gradient, features = inputs
    return [gradient * above(features) * above(6.0, features)]


@lowers("LeakyReluGrad")
def leaky_relu_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """g for a positive input, else alpha g."""
    gradient, features = inputs
    alpha = op.get_attr("alpha")
    return [gradient * (alpha + (1.0 - alpha) * above(features))]


@lowers("EluGrad")
def elu_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: g (1 + min(y, 0))."""
    gradient, y = inputs
    return [gradient * (1.0 + tf.minimum(y, 0.0))]


@lowers("Selu")
def selu(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """Scaled relu above 0, scaled elu below it."""
    below = tf.nn.elu(tf.minimum(inputs[0], 0.0))
    return [_SELU_SCALE * tf.nn.relu(inputs[0]) + _SELU_SCALE_ALPHA * below]


@lowers("SeluGrad")
def selu_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: scale g, or (y + scale alpha) g below 0."""
    gradient, y = inputs
    low = tf.minimum(y, 0.0)
    change = above(0.0, y) * (low + (_SELU_SCALE_ALPHA - _SELU_SCALE))
    return [gradient * (_SELU_SCALE + change)]


@lowers("Softplus")
def softplus(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    x = inputs[0]
    return [tf.nn.relu(x) + log1p(tf.exp(-tf.abs(x)))]


@lowers("SoftplusGrad")
def softplus_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """g / (1 + e^-x)."""
    gradient, x = inputs
    return [gradient * tf.sigmoid(x)]


@lowers("Softsign")
def softsign(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """x / (1 + |x|)."""
    return [inputs[0] / (1.0 + tf.abs(inputs[0]))]


@lowers("SoftsignGrad")
def softsign_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """g / (1 + |x|)^2."""
    gradient, x = inputs
    one = 1.0 + tf.abs(x)
    return [gradient / (one * one)]


@lowers("SigmoidGrad")
def sigmoid_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: g y (1 - y)."""
    y, gradient = inputs
    return [gradient * y * (1.0 - y)]


@lowers("TanhGrad")
def tanh_grad(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """With the output y: g (1 - y^2)."""
    y, gradient = inputs
    return [gradient * (1.0 - y * y)]


@lowers("LogSoftmax")
def log_softmax(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    """z - log(sum(e^z)) of z = x - max(x)."""
    x = inputs[0]
    shifted = x - tf.reduce_max(x, axis=-1, keepdims=True)
    total = tf.reduce_sum(tf.exp(shifted), axis=-1, keepdims=True)
    return [shifted - tf.math.log(total)]
