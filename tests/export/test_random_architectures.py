"""Small random models of supported layers: each exports and passes parity."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fedp.export.exporter import Target, export_model
from tests.export.layer_table import TOKENS

layers = tf.keras.layers

ACTIVATIONS = (None, "relu", "elu", "gelu", "swish", "tanh", "sigmoid", "softplus")
QUIET = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    # Shrinking would take as many exports again as there are smaller models.
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
}


# Makers of a layer's output from its input, a number 1..3 and an activation.
def convolution(x, size, activation):
    kind = layers.Conv2D if len(x.shape) == 4 else layers.Conv1D
    return kind(3, size, padding="same", activation=activation)(x)


def strided(x, size, activation):
    kind = layers.Conv2D if len(x.shape) == 4 else layers.Conv1D
    return kind(4, size, 2, padding="same", activation=activation)(x)


def dilated(x, size, activation):
    kind = layers.Conv2D if len(x.shape) == 4 else layers.Conv1D
    dilation = {"dilation_rate": 2, "padding": "same"}
    return kind(3, size, activation=activation, **dilation)(x)


def depthwise(x, size, activation):
    kind = layers.DepthwiseConv2D if len(x.shape) == 4 else layers.DepthwiseConv1D
    return kind(size, padding="same", activation=activation)(x)


def separable(x, size, activation):
    kind = layers.SeparableConv2D if len(x.shape) == 4 else layers.SeparableConv1D
    return kind(3, size, padding="same", activation=activation)(x)


def max_pool(x, size, activation):
    kind = layers.MaxPooling2D if len(x.shape) == 4 else layers.MaxPooling1D
    return kind(size, 2, "same")(x)


def average_pool(x, size, activation):
    kind = layers.AveragePooling2D if len(x.shape) == 4 else layers.AveragePooling1D
    return kind(size, 2, "same")(x)


def dense(x, size, activation):
    return layers.Dense(2 + size, activation=activation)(x)


def residual(x, size, activation):
    return layers.Add()([x, layers.Dense(x.shape[-1], activation=activation)(x)])


def concatenated(x, size, activation):
    return layers.Concatenate()([x, layers.Dense(size, activation=activation)(x)])


def recurrent(x, size, activation):
    kind = (layers.LSTM, layers.GRU, layers.SimpleRNN)[size - 1]
    return kind(4, return_sequences=True)(x)


def activated(x, size, activation):
    return layers.Activation(activation or "selu")(x)


def batch_normalized(x, size, activation):
    return layers.BatchNormalization()(x)


def layer_normalized(x, size, activation):
    return layers.LayerNormalization()(x)


def dropped(x, size, activation):
    return layers.Dropout(0.1 * size)(x)


ANY = (
    dense,
    residual,
    concatenated,
    activated,
    batch_normalized,
    layer_normalized,
    dropped,
)
SPATIAL = (
    convolution,
    strided,
    dilated,
    depthwise,
    separable,
    max_pool,
    average_pool,
)


def pooled(x, average: bool):
    """[n, ..., C] -> [n, D]."""
    if len(x.shape) == 4:
        kinds = layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D
    else:
        kinds = layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D
    return kinds[average]()(x)


class Plan(NamedTuple):
    """What a model is made of."""

    shape: tuple[int, ...]
    tokens: bool
    seed: int
    steps: list  # of (maker, size, activation)
    end: str


def plans(tokens: bool = False) -> st.SearchStrategy[Plan]:
    shapes = [(6,)] if tokens else [(8,), (9, 3), (8, 7, 2)]
    return st.sampled_from(shapes).flatmap(lambda shape: _plans(shape, tokens))


def _plans(shape: tuple[int, ...], tokens: bool) -> st.SearchStrategy[Plan]:
    rank = len(shape) + tokens
    makers = ANY + SPATIAL * (rank > 1) + (recurrent,) * (rank == 2)
    step = st.tuples(
        st.sampled_from(makers), st.integers(1, 3), st.sampled_from(ACTIVATIONS)
    )
    ends = ["flat", "max", "average"] if rank > 1 else ["flat"]
    return st.builds(
        Plan,
        st.just(shape),
        st.just(tokens),
        st.integers(0, 99),
        st.lists(step, min_size=1, max_size=5),
        st.sampled_from(ends),
    )


def build(plan: Plan) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(plan.seed)
    x = first = layers.Input(plan.shape, dtype="int32" if plan.tokens else None)
    if plan.tokens:
        x = layers.Embedding(TOKENS, 5)(x)
    for make, size, activation in plan.steps:
        x = make(x, size, activation)
    if plan.tokens:
        x = recurrent(x, 1 + plan.seed % 2, None)
    if plan.end != "flat":
        x = pooled(x, plan.end == "average")
    return tf.keras.Model(first, layers.Dense(4)(layers.Flatten()(x)))


def check(plan: Plan) -> None:
    done = export_model(
        build(plan),
        name="random",
        classes=list("abcd"),
        target=Target(batch_size=6),
        parity_steps=5,
    )
    assert {p.interpreter for p in done.parity} == {"ai_edge_litert", "tflite_runtime"}
    assert not any("FLEX" in op.upper() or "CUSTOM" in op for op in done.manifest.ops)


@settings(max_examples=10, derandomize=True, **QUIET)
@given(plan=plans())
def test_random_models_export(plan):
    check(plan)


@settings(max_examples=3, derandomize=True, **QUIET)
@given(plan=plans(tokens=True))
def test_random_token_models_export(plan):
    check(plan)


@pytest.mark.slow
@settings(max_examples=100, **QUIET)
@given(plan=plans())
def test_many_random_models_export(plan):
    check(plan)


@pytest.mark.slow
@settings(max_examples=40, **QUIET)
@given(plan=plans(tokens=True))
def test_many_random_token_models_export(plan):
    check(plan)
