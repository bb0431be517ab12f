"""How many tokens a model knows: what its embeddings have rows for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from fedp.export.layer_graph import nodes_of


def token_count(model: tf.keras.Model) -> int:
    """Rows of the embeddings that look the input up; 0 where none limits it.

    Embeddings of something else, such as positions, do not count. Where none takes the
    input itself, the largest of all is the limit.
    """
    (spec,) = model.inputs
    if not spec.dtype.is_integer:
        return 0
    direct = list(_rows(model, spec))
    if direct:
        return min(direct)
    embeddings = [m for m in model.submodules if _is_embedding(m)]
    return max((layer.input_dim for layer in embeddings), default=0)


def _rows(model: tf.keras.Model, taken: Any) -> Iterator[int]:
    """Rows of the embeddings that take a Keras tensor as it is."""
    for node in nodes_of(model):
        for place, tensor in enumerate(node.inputs):
            if tensor is taken and _is_embedding(node.layer):
                yield node.layer.input_dim
            elif tensor is taken and isinstance(node.layer, tf.keras.Model):
                yield from _rows(node.layer, node.layer.inputs[place])


def _is_embedding(layer: Any) -> bool:
    return isinstance(layer, tf.keras.layers.Embedding)
