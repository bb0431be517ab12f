"""The Keras model of a work, and what is exported of it."""

from __future__ import annotations

import pathlib
from typing import Any

from device import layers
from device.work import Work


def one_thread() -> None:
    """Limits TensorFlow; before its first operator."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def keras_model(work: Work) -> Any:
    """The model, holding the initial weights; it gives logits."""
    import tensorflow as tf

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input(layers.INPUT_SHAPE),
            *(_layer(layer) for layer, _ in work.layers),
        ]
    )
    model.set_weights(work.weights())
    return model


def artifact(work: Work) -> pathlib.Path:
    """What fedp's exporter makes of it."""
    from fedp.export.exporter import Target, export_model

    path = work.folder / "fedp.tflite"
    if not path.exists():
        model = keras_model(work)
        exported = export_model(
            model,
            name=work.model,
            classes=[str(label) for label in range(layers.CLASSES)],
            target=Target(batch_size=work.y.shape[1]),
            parity_steps=6,
        )
        path.write_bytes(exported.content)
    return path


def plain_tflite(work: Work, examples: int) -> pathlib.Path:
    """What TensorFlow's converter makes of it: constant weights, a fixed batch."""
    import tensorflow as tf

    path = work.folder / f"plain{examples}.tflite"
    if not path.exists():
        model = keras_model(work)
        shape = tf.TensorSpec([examples, *layers.INPUT_SHAPE], name="x")
        infer = tf.function(lambda x: {"output": tf.nn.softmax(model(x))})
        function = infer.get_concrete_function(shape)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
        path.write_bytes(converter.convert())
    return path


def _layer(layer: layers.Layer) -> Any:
    import tensorflow as tf

    keras = tf.keras.layers
    match layer:
        case layers.Conv():
            return keras.Conv2D(layer.filters, layer.size, layer.stride)
        case layers.DepthwiseConv():
            return keras.DepthwiseConv2D(layer.size)
        case layers.Relu():
            return keras.ReLU()
        case layers.MaxPool():
            return keras.MaxPooling2D(layer.size)
        case layers.Flatten():
            return keras.Flatten()
        case layers.Dense():
            return keras.Dense(layer.units)
