"""What no training graph can be made of, found before anything is traced."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from fedp.device_runtime.errors import ExportError

# What is refused as a whole, and what to do: for docs/layers.md.
UNTRACEABLE = {
    "subclassed models": "build a functional or Sequential model",
    "several inputs or outputs": "join them: Concatenate outside of the model, or one "
    "model an output",
    "text inputs": "turn text into numbers outside of the model: its input is int32 "
    "tokens",
    "unknown dimensions": "give the Input its full shape; only the batch may vary",
    "mixed precision, float16 and float64": "build the model with the policy float32; "
    "--initial-weights float16 makes the file small",
    "channels_first": "build the model channels last",
    "convolutions with groups > 1": "use groups=1, or DepthwiseConv2D",
    "SpectralNormalization": "use LayerNormalization, or a kernel_constraint in "
    "training only",
}


def check_model(model: tf.keras.Model) -> None:
    """Refuses a model of which no training graph can be traced.

    Raises:
        ExportError: names what is in the way, its layer and the nearest choice.
    """
    if not hasattr(model, "_nodes_by_depth"):
        if not isinstance(model, tf.keras.Sequential):
            _refuse(f"model {model.name!r} is subclassed", "subclassed models")
        _refuse(f"model {model.name!r} has no input shape", "unknown dimensions")
    count = len(model.inputs), len(model.outputs)
    if count != (1, 1):
        found = f"model {model.name!r} has {count[0]} inputs and {count[1]} outputs"
        _refuse(found, "several inputs or outputs")
    if model.inputs[0].dtype == tf.string:
        _refuse(f"layer {model.layers[0].name!r} takes text", "text inputs")
    shape = list(model.inputs[0].shape)
    if None in shape[1:]:
        _refuse(f"model {model.name!r} takes {shape}", "unknown dimensions")
    for layer in _layers_of(model):
        _check_layer(layer)


def _check_layer(layer: tf.keras.layers.Layer) -> None:
    name = f"layer {layer.name!r} ({type(layer).__name__})"
    policy = layer.dtype_policy
    floating = {policy.compute_dtype, policy.variable_dtype} - {
        "float32",
        "int32",
        "int64",
        "bool",
        "string",
    }
    if floating:
        found = f"{name} computes with the policy {policy.name!r}"
        _refuse(found, "mixed precision, float16 and float64")
    windows = hasattr(layer, "strides") or hasattr(layer, "pool_size")
    if windows and getattr(layer, "data_format", None) == "channels_first":
        _refuse(f"{name} has channels first", "channels_first")
    if windows and getattr(layer, "groups", 1) > 1:
        _refuse(f"{name} has groups", "convolutions with groups > 1")
    if type(layer).__name__ == "SpectralNormalization":
        _refuse(f"{name} assigns its weights in the call", "SpectralNormalization")


def _layers_of(model: tf.keras.Model) -> Iterator[tf.keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            if not hasattr(layer, "_nodes_by_depth"):
                _refuse(f"model {layer.name!r} is subclassed", "subclassed models")
            yield from _layers_of(layer)
        else:
            yield layer


def _refuse(found: str, kind: str) -> None:
    raise ExportError(f"{found}, which cannot be exported: {UNTRACEABLE[kind]}")
