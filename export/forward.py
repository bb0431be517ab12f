"""Runs a model for a device: what differs there from Keras' own call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from fedp.export import layer_graph
from fedp.export.recurrent import is_recurrent, run_recurrent, run_time_distributed


def run(
    model: tf.keras.Model,
    given: Mapping[int, Any],
    wanted: Sequence[Any],
    *,
    training: bool,
) -> list[Any]:
    """Values of a model's Keras tensors, see `layer_graph.run`."""

    def call(
        layer: tf.keras.layers.Layer, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if isinstance(layer, tf.keras.Model):
            inner = dict(zip(map(id, layer.inputs), tf.nest.flatten(args), strict=True))
            found = run(layer, inner, layer.outputs, training=training)
            return found[0] if len(found) == 1 else found
        if is_recurrent(layer):
            return run_recurrent(layer, args, kwargs, training=training)
        if isinstance(layer, tf.keras.layers.TimeDistributed):
            return run_time_distributed(layer, args, kwargs, call)
        if isinstance(layer, (tf.keras.layers.Dropout,)):
            return layer(*args, **{**kwargs, "training": training})
        return layer(*args, **kwargs)

    return layer_graph.run(model, given, wanted, call)
