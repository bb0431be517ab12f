"""Recurrent layers over a fixed length, unrolled: no loop op, gradients in builtins.

Keras runs them in a While loop, or in functions of its own that no other graph can take
in; both end in ops that devices lack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.recurrent_cells import States, over_steps

_layers = tf.keras.layers
# Calls a layer: (layer, arguments, keyword arguments) -> its output.
_Call = Callable[[tf.keras.layers.Layer, Sequence[Any], Mapping[str, Any]], Any]


def is_recurrent(layer: tf.keras.layers.Layer) -> bool:
    """Whether `run_recurrent` is to call it."""
    return isinstance(layer, (_layers.RNN, _layers.Bidirectional))


def run_recurrent(
    layer: tf.keras.layers.Layer,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    training: bool,
) -> Any:
    """What the layer gives for inputs [n, L, d].

    Masks that Keras attached to the inputs are honoured, and passed on.

    Raises:
        ExportError: L is unknown, or the layer does what a device cannot; names it.
    """
    x, states = _arguments(layer, args, kwargs)
    _check(layer, x)
    mask = kwargs.get("mask")
    mask = getattr(x, "_keras_mask", None) if mask is None else mask
    with tf.name_scope(layer.name):
        sequence = tf.transpose(x, [2, 1, 0])
        masks = None if mask is None else _steps_of(mask)
        run = _both_ways if isinstance(layer, _layers.Bidirectional) else _one_way
        result = run(layer, sequence, states, masks, training)
    if mask is not None and layer.return_sequences:
        both = getattr(layer, "merge_mode", "concat") is None
        for output in tf.nest.flatten(result)[: 2 if both else 1]:
            output._keras_mask = mask
    return result


def run_time_distributed(
    layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any], call: _Call
) -> Any:
    """The inner layer on all steps at once, [n, L, ...] -> [n, L, ...]."""
    x = args[0] if args else kwargs["inputs"]
    if tf.nest.is_nested(x) or None in x.shape[1:]:
        raise ExportError(
            f"layer {layer.name!r} takes {x}; one input whose dimensions but the first "
            "are known is supported: give the Input its length"
        )
    y = call(layer.layer, [tf.reshape(x, [-1, *x.shape[2:]])], {})
    return tf.reshape(y, [-1, x.shape[1], *y.shape[1:]])


def _arguments(
    layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tf.Tensor, list[tf.Tensor] | None]:
    """The inputs and the states to begin with."""
    inputs = args[0] if args else kwargs["inputs"]
    states = kwargs.get("initial_state", args[3] if len(args) > 3 else None)
    constants = getattr(layer, "_num_constants", 0) or kwargs.get("constants")
    if constants:
        raise ExportError(
            f"layer {layer.name!r} takes constants, which is not supported: "
            "concatenate them to its inputs"
        )
    if isinstance(inputs, (list, tuple)):
        inputs, states = inputs[0], list(inputs[1:]) or states
    return inputs, None if states is None else tf.nest.flatten(states)


def _check(layer: Any, x: tf.Tensor) -> None:
    inner = (
        [layer.forward_layer, layer.backward_layer]
        if isinstance(layer, _layers.Bidirectional)
        else [layer]
    )
    for one in inner:
        if not isinstance(one, _layers.RNN):
            raise ExportError(
                f"layer {layer.name!r} wraps a {type(one).__name__}; recurrent layers "
                "are supported: run it twice by hand"
            )
        if one.stateful:
            raise ExportError(
                f"layer {layer.name!r} is stateful, but a device's examples follow in "
                "no order: build it with stateful=False"
            )
        if getattr(one, "time_major", False):
            raise ExportError(
                f"layer {layer.name!r} is time_major: build it batch first"
            )
        if getattr(one.cell, "reverse_state_order", False):
            raise ExportError(
                f"layer {layer.name!r} reverses its cells' states: build it with "
                "reverse_state_order=False"
            )
    if x.shape.rank > 3:
        raise ExportError(
            f"layer {layer.name!r} takes {x.shape}, and a loop over images needs "
            "TensorListReserve: use LSTM or GRU over flattened features"
        )
    if x.shape.rank != 3 or None in x.shape[1:]:
        raise ExportError(
            f"layer {layer.name!r} takes {x.shape}; a device's recurrent layers need "
            "[n, length, channels] with a known length, since they are unrolled: give "
            "the model's Input its length"
        )


def _one_way(
    layer: Any,
    sequence: tf.Tensor,
    states: Sequence[tf.Tensor] | None,
    masks: Sequence[tf.Tensor] | None,
    training: bool,
) -> Any:
    """One layer over [d, L, n]; its outputs in batch first."""
    before: States | None = None
    if states is not None:
        before = [tf.transpose(state) for state in states]
    outputs, after = over_steps(
        layer.cell,
        sequence,
        before,
        masks,
        backwards=layer.go_backwards,
        training=training,
    )
    if masks is not None and layer.zero_output_for_mask:
        seen = masks[:: -1 if layer.go_backwards else 1]
        outputs = [o * mask for o, mask in zip(outputs, seen, strict=True)]
    result = (
        tf.transpose(tf.stack(outputs, axis=1), [2, 1, 0])
        if layer.return_sequences
        else tf.transpose(outputs[-1])
    )
    if layer.return_state:
        return [result, *(tf.transpose(state) for state in after)]
    return result


def _both_ways(
    layer: Any,
    sequence: tf.Tensor,
    states: Sequence[tf.Tensor] | None,
    masks: Sequence[tf.Tensor] | None,
    training: bool,
) -> Any:
    half = len(states or ()) // 2
    first, second = (None, None) if states is None else (states[:half], states[half:])
    ahead = _one_way(layer.forward_layer, sequence, first, masks, training)
    back = _one_way(layer.backward_layer, sequence, second, masks, training)
    last: list[tf.Tensor] = []
    if layer.return_state:
        last = [*ahead[1:], *back[1:]]
        ahead, back = ahead[0], back[0]
    if layer.return_sequences:
        back = _reversed(back)
    merged = _MERGES[layer.merge_mode](ahead, back)
    if not last:
        return merged
    return [*merged, *last] if layer.merge_mode is None else [merged, *last]


_MERGES: dict[str | None, Callable[[tf.Tensor, tf.Tensor], Any]] = {
    "concat": lambda a, b: tf.concat([a, b], -1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) / 2.0,
    "mul": lambda a, b: a * b,
    None: lambda a, b: [a, b],
}


def _reversed(sequence: tf.Tensor) -> tf.Tensor:
    """[n, L, u] from its last step to its first."""
    return tf.stack(tf.unstack(sequence, axis=1)[::-1], axis=1)


def _steps_of(mask: tf.Tensor) -> list[tf.Tensor]:
    """A mask bool [n, L] as one float32 [1, n] a step."""
    rows = tf.transpose(tf.cast(mask, tf.float32))
    return [tf.expand_dims(row, 0) for row in tf.unstack(rows, axis=0)]
