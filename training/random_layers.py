"""Dropout and other random layers drawn from a seed, so that a run can be repeated.

Keras draws them from a state that no checkpoint holds: stateful generators, or inside
TFF's graphs unseeded operators. This file is the only one that knows Keras' inside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


@contextlib.contextmanager
def seeded_random_layers(model: tf.keras.Model, seed: tf.Tensor) -> Iterator[None]:
    """Makes the model's random layers draw from a seed while the context lasts.

    Args:
        model: any Keras model.
        seed: int32 [2]; each layer draws from its own seed, derived from this one.
    """
    generators = [
        module._random_generator
        for module in model.submodules
        if hasattr(module, "_random_generator")
    ]
    before = [dict(vars(generator)) for generator in generators]
    for number, generator in enumerate(generators):
        _draw_from(generator, tf.random.experimental.stateless_fold_in(seed, number))
    try:
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            vars(generator).update(state)


def _draw_from(generator: Any, seed: tf.Tensor) -> None:
    generator._rng_type = generator.RNG_STATELESS
    generator._built = True
    # Keras builds its stateless seed as [_seed, 0]: one number is all it takes.
    generator._seed = tf.random.stateless_uniform(
        [], seed, minval=None, maxval=None, dtype=tf.int32
    )
