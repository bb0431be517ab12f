"""Activations and gradients far out, at 0 and next to it, on every interpreter."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.interpreter import available_interpreters
from fedp.export.conversion import quiet
from fedp.export.lowering.rewrite import rewrite

keras = tf.keras
X = np.array(
    [0, 1e-30, 1e-12, 1e-6, 1e-3, 0.3, 1, 2.5, 3, 5.9, 6, 6.1, 12, 50], np.float32
)
X = np.concatenate([-X[:0:-1], X])

ACTIVATIONS = {
    **{
        name: getattr(keras.activations, name)
        for name in (
            "elu exponential gelu hard_sigmoid linear relu selu sigmoid softplus "
            "softsign swish tanh"
        ).split()
    },
    "approximate gelu": lambda x: keras.activations.gelu(x, approximate=True),
    "relu6": tf.nn.relu6,
    "leaky relu": lambda x: tf.nn.leaky_relu(x, 0.1),
    "log sigmoid": tf.math.log_sigmoid,
    "relu settings": keras.layers.ReLU(5.95, 0.1, 0.2),
    "thresholded": keras.layers.ThresholdedReLU(1.0),
    "elu settings": keras.layers.ELU(0.3),
    "softmax": lambda x: tf.nn.softmax(x[None])[0],
    "log softmax": lambda x: tf.nn.log_softmax(x[None])[0],
    "log1p": lambda x: tf.math.log1p(tf.abs(x)),
    "expm1": lambda x: tf.math.expm1(x),
    "erf": tf.math.erf,
    "absolute": tf.abs,
    "clip": lambda x: tf.clip_by_value(x, -3.0, 6.0),
    "binary, 0": lambda x: tf.nn.sigmoid_cross_entropy_with_logits(tf.zeros_like(x), x),
    "binary, 1": lambda x: tf.nn.sigmoid_cross_entropy_with_logits(tf.ones_like(x), x),
    "no nan": lambda x: tf.math.divide_no_nan(1.0 + x, tf.nn.relu(x)),
}


def both(function):
    """Traces the function and its gradient."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(X.shape)])
    def traced(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x)

    return traced.get_concrete_function()


@pytest.fixture(scope="module")
def graphs():
    return {name: both(function) for name, function in ACTIVATIONS.items()}


@pytest.fixture(scope="module")
def content(graphs):
    """All of them in one file: values and gradients as the rows of one output."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(X.shape)])
    def everything(x):
        pairs = [rewrite(graph, [x], {}) for graph in graphs.values()]
        return tf.stack([row for pair in pairs for row in pair])

    function = everything.get_concrete_function()
    with quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], None)
        return converter.convert()


@pytest.mark.parametrize("kind", available_interpreters())
def test_extremes_are_tensorflows(graphs, content, kind):
    package = importlib.import_module(f"{kind}.interpreter")
    interpreter = package.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], X)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    for number, (name, graph) in enumerate(graphs.items()):
        for what, row in zip(("value", "gradient"), (0, 1)):
            expected = graph(tf.constant(X))[row].numpy()
            # TensorFlow's SELU has e^x - 1 = 0 there, and the slope of positive x.
            kept = (X >= 0) | (X < -1e-8) if name == "selu" else slice(None)
            np.testing.assert_allclose(
                found[2 * number + row][kept],
                expected[kept],
                rtol=1e-5,
                atol=1e-6,
                err_msg=f"{name}: {what} at {X}",
            )
