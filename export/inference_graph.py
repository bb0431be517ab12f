"""The model's plain inference function in TFLite, with any numbers as its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export import flatbuffer
from fedp.export.conversion import quiet
from fedp.export.lowering.rewrite import rewrite
from fedp.export.lowering.table import LOWERINGS, Lowering, Scope

Answer = Callable[[tf.Tensor], tf.Tensor]


class InferenceGraph:
    """A Keras model's answers, traced once.

    Args:
        model: one input [n, ...], one output [n, ..., C].
        answer: from its output to what devices predict.
        live: the variables that devices change.
        lowered: spell ops as the artifact does, save what TFLite has for inference.
    """

    def __init__(
        self,
        model: tf.keras.Model,
        answer: Answer,
        live: Sequence[tf.Variable],
        lowered: bool = False,
    ) -> None:
        self.live = list(live)
        spelled = {op: f for op, f in LOWERINGS.items() if op not in _NATIVE}
        self._table = {**_AS_IT_IS, **spelled} if lowered else _AS_IT_IS
        self._frozen = {
            id(v.handle): v.numpy()
            for v in model.variables
            if not any(v is weight for weight in live)
        }
        self._x = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, name="x")

        @tf.function(autograph=False)
        def infer(x: tf.Tensor) -> tf.Tensor:
            return answer(model(x, training=False))

        self._traced = infer.get_concrete_function(self._x)

    def convert(
        self, values: Sequence[np.ndarray], opaque: Sequence[int] = ()
    ) -> bytes:
        """A TFLite model with one signature, x -> output, and these weights.

        Args:
            values: of the live weights.
            opaque: numbers of weights that the converter does not get to see.

        Raises:
            ExportError: the converter refuses the function.
        """
        held = {f"held{i}": values[i] for i in opaque}
        specs = {
            name: tf.TensorSpec(value.shape, tf.float32, name=name)
            for name, value in held.items()
        }

        @tf.function(autograph=False)
        def infer(x: tf.Tensor, **given: tf.Tensor) -> dict[str, tf.Tensor]:
            named = {handle: tf.constant(v) for handle, v in self._frozen.items()}
            for i, (variable, value) in enumerate(zip(self.live, values, strict=True)):
                name = f"held{i}"
                tensor = given[name] if name in given else tf.constant(value)
                named[id(variable.handle)] = tensor
            outputs = rewrite(self._traced, [x], named, table=self._table, strict=False)
            return {"output": outputs[0]}

        try:
            with quiet():
                concrete = infer.get_concrete_function(self._x, **specs)
                converter = tf.lite.TFLiteConverter.from_concrete_functions(
                    [concrete], tf.Module()
                )
                content = bytes(converter.convert())
        # The converter raises several private types; loops are not carried over.
        except Exception as error:
            raise ExportError(f"TFLite refuses it: {_reason(error)}") from error
        flatbuffer.operators(content)
        return flatbuffer.hold(content, held)


def unrolled(model: tf.keras.Model) -> tf.keras.Model:
    """The model with a copy of every step in place of a loop, and its own weights.

    TFLite cannot convert a loop over a batch of any size. Weights are in the same
    order.

    Raises:
        ExportError: a layer cannot be copied.
    """

    def copy(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        return type(layer).from_config(_without_loops(layer.get_config()))

    try:
        clone = tf.keras.models.clone_model(model, clone_function=copy)
        clone.set_weights(model.get_weights())
    except Exception as error:  # whatever a user's layer does on the way
        raise ExportError(f"its loops stay: {_reason(error)}") from error
    return clone


def has_loops(model: tf.keras.Model) -> bool:
    """Whether a layer, or one inside it, is a loop."""
    return any(isinstance(part, tf.keras.layers.RNN) for part in model.submodules)


def _without_loops(config: Any) -> Any:
    """A layer's configuration with all recurrent layers in it unrolled."""
    if isinstance(config, list):
        return [_without_loops(part) for part in config]
    if not isinstance(config, dict):
        return config
    inner = {key: _without_loops(value) for key, value in config.items()}
    return {**inner, "unroll": True} if "unroll" in inner else inner


def _gather(
    op: tf.Operation, inputs: Sequence[tf.Tensor], scope: Scope
) -> list[tf.Tensor]:
    return [tf.gather(inputs[0], inputs[1], batch_dims=op.get_attr("batch_dims"))]


# Of an embedding's variable, which here is a tensor; all other ops stay as they are.
_AS_IT_IS: dict[str, Lowering] = {"ResourceGather": _gather}

# Fast with constant weights; their lowerings are for weights that change.
_NATIVE = frozenset(
    "AvgPool BiasAdd Conv2D Conv2DBackpropInput DepthwiseConv2dNative MatMul MaxPool "
    "Softmax".split()
)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
