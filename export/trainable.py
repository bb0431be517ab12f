"""What of a model trains on a device, and where the part that stays ends.

The frozen part is every layer that depends on no weight that trains. It ends in one or
a few tensors, the features: a device computes them once an example, in inference mode,
and trains the rest on them for all epochs.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.forward import run
from fedp.export.layer_graph import Node, nodes_of

_layers = tf.keras.layers
_RANDOM = (
    _layers.Dropout,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
    _layers.SpatialDropout3D,
    _layers.GaussianDropout,
    _layers.GaussianNoise,
    _layers.AlphaDropout,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """A model in a frozen part and the rest.

    Attributes:
        model: the whole.
        choice: what was asked to train.
        trained: variables that train, in the model's order.
        frozen: all its other variables.
        cut: Keras tensors at which the frozen part ends; empty where all of the model
            depends on weights that train.
    """

    model: tf.keras.Model
    choice: str
    trained: tuple[tf.Variable, ...]
    frozen: tuple[tf.Variable, ...]
    cut: tuple[Any, ...]

    @property
    def features_shape(self) -> tuple[int, ...] | None:
        """Of one example's features; None without any."""
        if not self.cut:
            return None
        if len(self.cut) == 1:
            return _shape(self.cut[0])
        return (sum(math.prod(_shape(tensor)) for tensor in self.cut),)

    def features(self, x: tf.Tensor) -> tf.Tensor:
        """[n, *input_shape] -> [n, *features_shape], in inference mode."""
        given = {id(self.model.inputs[0]): x}
        found = run(self.model, given, self.cut, training=False)
        self._check_masks(found)
        if len(found) == 1:
            return found[0]
        flat = [
            tf.reshape(value, [-1, math.prod(_shape(tensor))])
            for value, tensor in zip(found, self.cut, strict=True)
        ]
        return tf.concat(flat, axis=1)

    def rest(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """The model's output from features, or from its input where there are none."""
        given = dict(zip(map(id, self.cut), self._split(x), strict=True))
        given = given or {id(self.model.inputs[0]): x}
        return run(self.model, given, self.model.outputs, training=training)[0]

    def _check_masks(self, features: Sequence[tf.Tensor]) -> None:
        masked = [getattr(value, "_keras_mask", None) is not None for value in features]
        lost = {id(t) for t, mask in zip(self.cut, masked, strict=True) if mask}
        for node in nodes_of(self.model):
            taken = any(id(tensor) in lost for tensor in node.inputs)
            if taken and node.layer._call_spec.expects_mask_arg:
                raise ExportError(
                    f"layer {node.layer.name!r} takes a mask from the part that stays, "
                    "which features do not carry: let --trainable include the layer "
                    "that makes the mask"
                )
            if taken and node.layer.supports_masking:
                lost |= {id(tensor) for tensor in node.outputs}

    def _split(self, features: tf.Tensor) -> list[tf.Tensor]:
        if len(self.cut) < 2:
            return [features] * len(self.cut)
        shapes = [_shape(tensor) for tensor in self.cut]
        parts = tf.split(features, [math.prod(shape) for shape in shapes], axis=1)
        return [
            tf.reshape(part, [-1, *shape])
            for part, shape in zip(parts, shapes, strict=True)
        ]


def parts_of(model: tf.keras.Model, choice: str = "all") -> Parts:
    """Splits a model by what is to train.

    Args:
        model: functional or Sequential.
        choice: "all"; "head", the last layer with weights; "last:N", the last N of
            them; or a pattern of layer names, such as "dense*" or "block?/conv".

    Raises:
        ExportError: nothing matches, or nothing is trainable.
    """
    free = {id(v) for v in model.trainable_variables}
    weighted = [
        (name, layer)
        for name, layer in _named_layers(model)
        if any(id(v) in free for v in _own(layer))
    ]
    if not weighted:
        raise ExportError(
            f"nothing trains: model {model.name!r} has no layer with weights that are "
            "trainable: set trainable=True on the layers that devices are to change"
        )
    chosen = _chosen(choice, [name for name, _ in weighted])
    wanted = {id(v) for name, layer in weighted if name in chosen for v in _own(layer)}
    trained = tuple(v for v in model.trainable_variables if id(v) in wanted)
    frozen = tuple(v for v in model.variables if id(v) not in wanted)
    return Parts(model, choice, trained, frozen, _cut(model, wanted))


def _chosen(choice: str, names: Sequence[str]) -> set[str]:
    if choice == "all":
        return set(names)
    kind, _, count = choice.partition(":")
    if choice == "head" or (kind == "last" and count.isdecimal() and int(count)):
        return set(names[-int(count or 1) :])
    matching = {name for name in names if fnmatch.fnmatchcase(name, choice)}
    if not matching:
        raise ExportError(
            f"nothing trains: {choice!r} is no layer with weights (there are "
            f"{', '.join(names)}); allowed are all, head, last:N and patterns of "
            "their names"
        )
    return matching


def _named_layers(
    model: tf.keras.Model, prefix: str = ""
) -> Iterator[tuple[str, tf.keras.layers.Layer]]:
    """Layers that are no models, in order; "outer/inner" inside of a nested model."""
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            yield from _named_layers(layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


def _own(layer: tf.keras.layers.Layer) -> list[tf.Variable]:
    return list(layer.trainable_variables)


def _cut(model: tf.keras.Model, trained: set[int]) -> tuple[Any, ...]:
    """Tensors from the frozen part into the rest, each once."""
    nodes = nodes_of(model)
    maker = {id(tensor): node for node in nodes for tensor in node.outputs}
    still: set[int] = set()  # Nodes that depend on nothing that trains.
    for node in nodes:
        own = any(id(v) in trained for v in node.layer.trainable_variables)
        if not own and all(id(maker[id(t)]) in still for t in node.inputs):
            still.add(id(node))
    needed = _ancestors(
        [n for n in nodes if id(n) in still and n.layer.variables], maker
    )
    if not needed:
        return ()
    inside: set[int] = set()
    for node in nodes:
        parents = all(id(maker[id(t)]) in inside for t in node.inputs)
        cheap = parents and not _is_random(node.layer)
        if id(node) in still and (id(node) in needed or cheap):
            inside.add(id(node))
    out = [t for n in nodes if id(n) not in inside for t in n.inputs] + model.outputs
    return tuple({id(t): t for t in out if id(maker[id(t)]) in inside}.values())


def _ancestors(nodes: Sequence[Node], maker: dict[int, Node]) -> set[int]:
    found: set[int] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if id(node) not in found:
            found.add(id(node))
            stack.extend(maker[id(tensor)] for tensor in node.inputs)
    return found


def _is_random(layer: tf.keras.layers.Layer) -> bool:
    if isinstance(layer, tf.keras.Model):
        return any(_is_random(inner) for inner in layer.layers)
    return isinstance(layer, _RANDOM)


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(tensor.shape[1:])
