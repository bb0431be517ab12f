"""TFLite with Flex: a naive training signature, its gradients TensorFlow ops."""

from __future__ import annotations

from typing import Any

from device.keras_model import keras_model, one_thread
from device.peer import Peer, Train
from device.work import Work

_FILE = "flex.tflite"


def prepare(work: Work) -> None:
    import tensorflow as tf

    model = keras_model(work)

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        @tf.function(
            input_signature=(
                tf.TensorSpec(work.x.shape[1:], name="x"),
                tf.TensorSpec(work.y.shape[1:], tf.int32, name="y"),
            )
        )
        def train(self, x: Any, y: Any) -> dict[str, Any]:
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x))
                loss = tf.reduce_mean(losses)
            variables = model.trainable_variables
            gradients = tape.gradient(loss, variables)
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.assign_sub(work.learning_rate * gradient)
            return {"loss": tf.reshape(loss, [1])}

    module, folder = Module(), str(work.folder / "flex")
    tf.saved_model.save(module, folder, signatures={"train": module.train})
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.experimental_enable_resource_variables = True
    builtins, flex = tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS
    converter.target_spec.supported_ops = [builtins, flex]
    (work.folder / _FILE).write_bytes(converter.convert())


def train(work: Work) -> Train:
    one_thread()
    import tensorflow as tf

    path = str(work.folder / _FILE)
    interpreter = tf.lite.Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    step = interpreter.get_signature_runner("train")
    return lambda x, y: float(step(x=x, y=y)["loss"][0])


PEER = Peer(
    "TFLite with Flex",
    ("tensorflow",),
    "pip install tensorflow==2.14.1",
    train,
    prepare=prepare,
    note="runs in TensorFlow alone: ai_edge_litert and tflite_runtime have no Flex",
)
