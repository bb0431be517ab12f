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
        if _has_statistics(layer):
            return layer(*args, **{**kwargs, "training": False})
        if layer._call_spec.expects_training_arg:
            return layer(*args, **{**kwargs, "training": training})
        return layer(*args, **kwargs)

    return layer_graph.run(model, given, wanted, call)


def frozen_statistics(model: tf.keras.Model) -> list[str]:
    """Names of the layers whose moving statistics stay as they are on a device.

    Batch normalization has to standardize a device's examples as it did those of all
    clients; a batch of one person's examples would tell it otherwise. Its gamma and
    beta train like any weight.
    """
    found = []
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            found += [f"{layer.name}/{name}" for name in frozen_statistics(layer)]
        elif _has_statistics(layer):
            found.append(layer.name)
    return found


def _has_statistics(layer: tf.keras.layers.Layer) -> bool:
    # A layer may wrap another one: TimeDistributed(BatchNormalization()).
    kind = tf.keras.layers.BatchNormalization
    return any(isinstance(inner, kind) for inner in layer._flatten_layers())
