"""The six signatures of an artifact as TensorFlow functions over lowered graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.errors import ExportError
from fedp.export.lowering.rewrite import rewrite

_TINY = 1e-12  # keeps the mean of an all-padding batch at zero


def train_graph(model: tf.keras.Model, loss: Callable[..., tf.Tensor]) -> Any:
    """Traces the reference: mean loss and its gradients by the trainable weights.

    Args:
        model: Keras model with one input and one output, [n, C].
        loss: (labels int32 [n], output [n, C]) to per-example loss [n].

    Returns:
        ConcreteFunction (x [n,...], y int32 [n], weight [n]) -> [loss, *gradients].
        Examples of weight 0 count for nothing; the gradient is of the weighted mean.
    """

    @tf.function(autograph=False)
    def train(x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor) -> list[tf.Tensor]:
        share = weight / tf.maximum(tf.reduce_sum(weight), _TINY)
        with tf.GradientTape() as tape:
            losses = loss(y, model(x, training=True))
        gradients = tape.gradient(
            losses, model.trainable_variables, output_gradients=share
        )
        return [tf.reduce_sum(losses * share), *map(tf.convert_to_tensor, gradients)]

    return train.get_concrete_function(*_example_specs(model), _vector_spec())


def evaluate_graph(model: tf.keras.Model, loss: Callable[..., tf.Tensor]) -> Any:
    """Traces (x, y) -> [loss [n], correct [n]], both per example."""

    @tf.function(autograph=False)
    def evaluate(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        output = model(x, training=False)
        predicted = tf.argmax(output, axis=1, output_type=tf.int32)
        return [loss(y, output), tf.cast(tf.equal(predicted, y), tf.float32)]

    return evaluate.get_concrete_function(*_example_specs(model))


def infer_graph(model: tf.keras.Model, softmax: bool) -> Any:
    """Traces x -> [class probabilities [n, C]]."""

    @tf.function(autograph=False)
    def infer(x: tf.Tensor) -> list[tf.Tensor]:
        output = model(x, training=False)
        return [tf.nn.softmax(output) if softmax else tf.identity(output)]

    return infer.get_concrete_function(_example_specs(model)[0])


class ArtifactModule(tf.Module):
    """The weights as variables and the six signatures over them.

    Args:
        model: Keras model; its weights become the initial ones.
        loss: per-example loss.
        ends_in_softmax: whether the model's output already is probabilities.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        loss: Callable[..., tf.Tensor],
        ends_in_softmax: bool,
    ):
        super().__init__()
        self._initial = [v.numpy() for v in model.trainable_variables]
        for variable, value in zip(
            model.trainable_variables, self._initial, strict=True
        ):
            if not value.shape:
                raise ExportError(
                    f"weight {variable.name} is a scalar, which devices read back as "
                    "0: give it the shape [1]"
                )
        self.weights = [
            tf.Variable(value, name=f"w{i}") for i, value in enumerate(self._initial)
        ]
        self._model = model
        self._train = train_graph(model, loss)
        self._evaluate = evaluate_graph(model, loss)
        self._infer = infer_graph(model, not ends_in_softmax)

    def signatures(self) -> dict[str, Any]:
        """The concrete functions by signature name."""
        x, y = _example_specs(self._model)
        flag = tf.TensorSpec([1], tf.int32, name="unused")
        rate = tf.TensorSpec([1], tf.float32, name="learning_rate")
        weights = {w.name[:-2]: tf.TensorSpec(w.shape) for w in self.weights}
        return {
            contract.TRAIN: _function(self.train, x, y, _vector_spec(), rate),
            contract.EVALUATE: _function(self.evaluate, x, y),
            contract.INFER: _function(self.infer, x),
            contract.SAVE: _function(self.save, flag),
            contract.RESTORE: _function(self.restore, **weights),
            contract.RESET: _function(self.reset, flag),
        }

    def train(
        self, x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor, learning_rate: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """One step of SGD; returns the loss before it, [1]."""
        before = [tf.identity(w) for w in self.weights]
        loss, *gradients = rewrite(self._train, [x, y, weight], self._values(before))
        for weights, value, gradient in zip(
            self.weights, before, gradients, strict=True
        ):
            weights.assign(value - learning_rate * gradient)
        return {"loss": tf.reshape(loss, [1])}

    def evaluate(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        """Loss [n] and correctness [n] of each example."""
        loss, correct = rewrite(self._evaluate, [x, y], self._values())
        return {"loss": loss, "correct": correct}

    def infer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Class probabilities [n, C]."""
        return {"output": rewrite(self._infer, [x], self._values())[0]}

    def save(self, unused: tf.Tensor) -> dict[str, tf.Tensor]:
        """The live weights."""
        return {f"w{i}": tf.identity(w) for i, w in enumerate(self.weights)}

    def restore(self, **weights: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the given weights the live ones."""
        for i, variable in enumerate(self.weights):
            variable.assign(weights[f"w{i}"])
        return {"done": tf.ones([1])}

    def reset(self, unused: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the initial weights the live ones."""
        for variable, value in zip(self.weights, self._initial, strict=True):
            variable.assign(value)
        return {"done": tf.ones([1])}

    def _values(self, values: list[tf.Tensor] | None = None) -> dict[int, tf.Tensor]:
        """What the model's variables stand for, by `id` of their handles."""
        values = values or [tf.identity(w) for w in self.weights]
        trainable = self._model.trainable_variables
        named = {
            id(v.handle): value for v, value in zip(trainable, values, strict=True)
        }
        frozen = self._model.non_trainable_variables
        return named | {id(v.handle): tf.constant(v.numpy()) for v in frozen}


def _function(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return tf.function(method, autograph=False).get_concrete_function(*args, **kwargs)


def _example_specs(model: tf.keras.Model) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    x = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name="x")
    return x, tf.TensorSpec([None], tf.int32, name="y")


def _vector_spec() -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.float32, name="weight")
