"""An artifact's signatures as TensorFlow functions over lowered graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.contract import WeightSpec
from fedp.device_runtime.errors import ExportError
from fedp.export.device_optimizers import DeviceOptimizer
from fedp.export.losses import Loss
from fedp.export.lowering.rewrite import rewrite
from fedp.export.trainable import Parts

_TINY = 1e-12  # keeps the mean of an all-padding batch at zero


def train_graph(parts: Parts, loss: Loss, batch: int | None = None) -> Any:
    """Traces the mean loss and its gradients by the weights that train.

    Args:
        parts: the model.
        loss: of one example.
        batch: examples a call; None for any number.

    Returns:
        ConcreteFunction (x or features [n,...], y [n,...], weight [n], scale [1]) ->
        [loss, *gradients]. Examples of weight 0 count for nothing; the gradients are
        those of the weighted mean, times the scale.
    """

    @tf.function(autograph=False)
    def train(
        x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor, scale: tf.Tensor
    ) -> list[tf.Tensor]:
        share = weight / tf.maximum(tf.reduce_sum(weight), _TINY)
        with tf.GradientTape() as tape:
            losses = loss.of_example(y, parts.rest(x, training=True))
        gradients = tape.gradient(losses, parts.trained, output_gradients=share * scale)
        for variable, gradient in zip(parts.trained, gradients, strict=True):
            if gradient is None:
                raise ExportError(
                    f"the loss does not depend on weight {variable.name}, so it cannot "
                    "train: remove its layer, or leave it out with --trainable"
                )
        return [tf.reduce_sum(losses * share), *map(tf.convert_to_tensor, gradients)]

    specs = _example_specs(parts, loss, batch)
    return train.get_concrete_function(
        *specs, tf.TensorSpec([batch]), tf.TensorSpec([1])
    )


def evaluate_graph(parts: Parts, loss: Loss, batch: int | None = None) -> Any:
    """Traces (x or features, y) -> [loss [n], correct [n]], both per example."""

    @tf.function(autograph=False)
    def evaluate(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        output = parts.rest(x, training=False)
        return [loss.of_example(y, output), loss.correct(y, output)]

    return evaluate.get_concrete_function(*_example_specs(parts, loss, batch))


def answer_graph(parts: Parts, loss: Loss, batch: int | None = None) -> Any:
    """Traces x or features -> [what the loss makes of the output]."""

    @tf.function(autograph=False)
    def answer(x: tf.Tensor) -> list[tf.Tensor]:
        return [loss.answer(parts.rest(x, training=False))]

    return answer.get_concrete_function(_example_specs(parts, loss, batch)[0])


def features_graph(parts: Parts, batch: int | None = None) -> Any:
    """Traces x -> [features]."""

    @tf.function(autograph=False)
    def features(x: tf.Tensor) -> list[tf.Tensor]:
        return [parts.features(x)]

    return features.get_concrete_function(_input_spec(parts, batch))


def weight_specs(parts: Parts) -> tuple[WeightSpec, ...]:
    """The weights that train, in the order of `save`.

    Raises:
        ExportError: one is a scalar.
    """
    for variable in parts.trained:
        if not variable.shape.rank:
            raise ExportError(
                f"weight {variable.name} is a scalar, which devices read back as 0: "
                "give it the shape [1]"
            )
    return tuple(
        WeightSpec(f"w{i}", variable.name, tuple(variable.shape))
        for i, variable in enumerate(parts.trained)
    )


@dataclasses.dataclass(frozen=True)
class _Graphs:
    """Traced functions, where saving the module does not look for them."""

    train: Any
    evaluate: Any
    answer: Any
    features: Any


class ArtifactModule(tf.Module):
    """The weights as variables and the signatures over them.

    Args:
        parts: the model; its weights become the initial ones.
        loss: of one example.
        optimizer: of `train`.
        batch: examples a call; None for any number.
    """

    def __init__(
        self,
        parts: Parts,
        loss: Loss,
        optimizer: DeviceOptimizer,
        batch: int | None = None,
    ) -> None:
        super().__init__()
        specs = weight_specs(parts)
        self.weights = [
            tf.Variable(variable.numpy(), name=spec.name)
            for spec, variable in zip(specs, parts.trained, strict=True)
        ]
        self.slots = [
            tf.Variable(tf.zeros(spec.shape), name=spec.name)
            for spec in optimizer.slots(specs)
        ]
        self._parts, self._loss, self._optimizer = parts, loss, optimizer
        self._batch = batch
        self._initial = [variable.numpy() for variable in parts.trained]
        self._frozen = {id(v.handle): tf.constant(v.numpy()) for v in parts.frozen}
        self._graphs = _Graphs(
            train_graph(parts, loss, batch),
            evaluate_graph(parts, loss, batch),
            answer_graph(parts, loss, batch),
            features_graph(parts, batch) if parts.cut else None,
        )
        # Of constants the converter stores whatever lowerings make of them, too.
        behind = [v for v in parts.frozen if self._is_behind(v)]
        self.still = [
            tf.Variable(v.numpy(), trainable=False, name=f"f{i}")
            for i, v in enumerate(behind)
        ]
        self._behind = [id(v.handle) for v in behind]
        self._still = [v.numpy() for v in behind]

    def signatures(self) -> dict[str, Any]:
        """The concrete functions by signature name."""
        x, y = _example_specs(self._parts, self._loss, self._batch)
        raw = _input_spec(self._parts, self._batch)
        flag = tf.TensorSpec([1], tf.int32, name="unused")
        weight = tf.TensorSpec([self._batch], name="weight")
        rate = tf.TensorSpec([1], name="learning_rate")
        found = {
            contract.TRAIN: _function(self.train, x, y, weight, rate),
            contract.EVALUATE: _function(self.evaluate, x, y),
            contract.INFER: _function(self.infer, raw),
            contract.SAVE: _function(self.save, flag),
            contract.RESTORE: _function(self.restore, **_specs_of(self.weights)),
            contract.RESET: _function(self.reset, flag),
        }
        if self._graphs.features:
            found[contract.FEATURES] = _function(self.features, raw)
        if self.slots:
            found[contract.SAVE_SLOTS] = _function(self.save_slots, flag)
            slots = _specs_of(self.slots)
            found[contract.RESTORE_SLOTS] = _function(self.restore_slots, **slots)
        return found

    def train(
        self, x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor, learning_rate: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """One step of the client optimizer; returns the loss before it, [1]."""
        before = [tf.identity(w) for w in self.weights]
        slots = [tf.identity(s) for s in self.slots]
        scale = learning_rate if self._optimizer.takes_scaled else tf.ones([1])
        inputs = [x, y, weight, scale]
        loss, *gradients = rewrite(self._graphs.train, inputs, self._values(before))
        after = self._optimizer.step(before, gradients, slots, learning_rate)
        for variables, values in zip((self.weights, self.slots), after, strict=True):
            _assign(variables, values)
        return {"loss": tf.reshape(loss, [1])}

    def evaluate(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        """Loss [n] and correctness [n] of each example."""
        loss, correct = rewrite(self._graphs.evaluate, [x, y], self._values())
        return {"loss": loss, "correct": correct}

    def infer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Class probabilities [n, ..., C]."""
        inputs = [self._frozen_part(x) if self._graphs.features else x]
        return {"output": rewrite(self._graphs.answer, inputs, self._values())[0]}

    def features(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the rest trains on, [n, ...]."""
        return {"features": self._frozen_part(x)}

    def save(self, unused: tf.Tensor) -> dict[str, tf.Tensor]:
        """The live weights."""
        return {f"w{i}": tf.identity(w) for i, w in enumerate(self.weights)}

    def save_slots(self, unused: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the client optimizer remembers."""
        return {f"s{i}": tf.identity(s) for i, s in enumerate(self.slots)}

    def restore(self, **weights: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the given weights the live ones, where an adaptation may start."""
        return self._start([weights[f"w{i}"] for i in range(len(self.weights))])

    def reset(self, unused: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the initial weights the live ones."""
        # The converter takes variables for constants that no signature assigns.
        _assign(self.still, [tf.constant(value) for value in self._still])
        return self._start([tf.constant(value) for value in self._initial])

    def restore_slots(self, **slots: tf.Tensor) -> dict[str, tf.Tensor]:
        """Goes on with an adaptation that was stopped."""
        _assign(self.slots, [slots[f"s{i}"] for i in range(len(self.slots))])
        return {"done": tf.ones([1])}

    def _start(self, weights: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        _assign(self.weights, weights)
        _assign(self.slots, [tf.zeros(slot.shape) for slot in self.slots])
        return {"done": tf.ones([1])}

    def _frozen_part(self, x: tf.Tensor) -> tf.Tensor:
        # As it stands: TFLite has an op for everything that only infers.
        return rewrite(
            self._graphs.features, [x], self._frozen, table={}, strict=False
        )[0]

    def _is_behind(self, variable: tf.Variable) -> bool:
        """Whether what trains, or comes after it, reads a kernel that stays."""
        graphs = (self._graphs.train, self._graphs.evaluate, self._graphs.answer)
        read = {id(outer) for g in graphs for outer, _ in g.graph.captures}
        kernel = variable.shape.rank > 1 and variable.dtype == tf.float32
        return bool(kernel) and id(variable.handle) in read

    def _values(
        self, values: Sequence[tf.Tensor] | None = None
    ) -> Mapping[int, tf.Tensor]:
        """What the model's variables stand for, by `id` of their handles."""
        values = values or [tf.identity(w) for w in self.weights]
        named = {
            id(variable.handle): value
            for variable, value in zip(self._parts.trained, values, strict=True)
        }
        still = dict(zip(self._behind, map(tf.identity, self.still), strict=True))
        return named | self._frozen | still


def _assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _specs_of(variables: Sequence[tf.Variable]) -> dict[str, tf.TensorSpec]:
    return {v.name.removesuffix(":0"): tf.TensorSpec(v.shape) for v in variables}


def _function(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return tf.function(method, autograph=False).get_concrete_function(*args, **kwargs)


def _input_spec(parts: Parts, batch: int | None) -> tf.TensorSpec:
    model = parts.model
    dtype = tf.as_dtype(model.inputs[0].dtype)
    return tf.TensorSpec([batch, *model.input_shape[1:]], dtype, name="x")


def _example_specs(
    parts: Parts, loss: Loss, batch: int | None
) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    labels = loss.labels
    y = tf.TensorSpec([batch, *labels.shape], tf.as_dtype(labels.dtype), name="y")
    if parts.features_shape is None:
        return _input_spec(parts, batch), y
    return tf.TensorSpec([batch, *parts.features_shape], name="x"), y
