"""Models of supported layers, converted: builtin ops, parity on both interpreters."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.errors import ExportError
from fedp.export.exporter import Export, Target, export_model
from tests.export.layer_table import LOSSES, SEQUENCE, TABLE, VECTOR, functional

layers = tf.keras.layers


def export(model: tf.keras.Model, loss="sparse_categorical_crossentropy", steps=10):
    names = 2 if loss == "binary_crossentropy" else model.output_shape[-1]
    return export_model(
        model,
        name="test",
        classes=[str(i) for i in range(names)],
        loss=loss,
        target=Target(batch_size=6),
        parity_steps=steps,
    )


def check(done: Export, *, random: bool = False) -> None:
    """Builtin ops alone, and TensorFlow's steps on both interpreters."""
    assert not [op for op in done.manifest.ops if "FLEX" in op.upper()]
    assert "CUSTOM" not in done.manifest.ops
    assert {p.interpreter for p in done.parity} == {"ai_edge_litert", "tflite_runtime"}
    for parity in done.parity:
        assert not parity.failed and parity.loss < 1e-5
        for weight in parity.weights.values():
            assert (weight.drift is None) == random
            assert random or weight.drift < 1e-3 * weight.moved + 1e-5


def normalized(x):
    """Every normalization, with a residual."""
    y = layers.LayerNormalization()(layers.Dense(6)(x))
    y = layers.Add()([x, layers.BatchNormalization(name="batch")(y)])
    y = layers.GroupNormalization(3)(layers.Dense(6, activation="swish")(y))
    return layers.UnitNormalization()(y)


def activated(x):
    """Every activation in a branch of its own."""
    names = (
        "relu relu6 elu selu gelu swish sigmoid hard_sigmoid tanh softmax softplus "
        "softsign exponential leaky_relu"
    ).split()
    functions = [
        getattr(tf.keras.activations, n, None) or getattr(tf.nn, n) for n in names
    ]
    parts = [layers.Dense(2, activation=function)(x) for function in functions]
    parts += [layers.PReLU()(x), layers.ReLU(0.7, 0.2, 0.1)(x)]
    return layers.Concatenate()(parts)


def merged(x):
    """Every merging and reshaping layer, and arithmetic."""
    a, b = layers.Dense(6)(x), layers.Dense(6, activation="tanh")(x)
    parts = [
        layers.Multiply()([a, b]),
        layers.Subtract()([a, b]),
        layers.Average()([a, b]),
        layers.Maximum()([a, b]),
        layers.Minimum()([a, b]),
        a * 2.0 + tf.nn.relu(b),
    ]
    joined = layers.Concatenate(axis=1)(parts)
    turned = layers.Permute((2, 1))(layers.Reshape((5, 36))(joined))
    return layers.Cropping1D((1, 2))(layers.Rescaling(0.5, 0.1)(turned))


def attending(x):
    """A transformer's block."""
    y = layers.LayerNormalization()(
        x + layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)
    )
    return layers.LayerNormalization()(
        y + layers.Dense(6)(layers.Dense(9, activation="gelu")(y))
    )


def dropped(x):
    """Every random layer."""
    y = layers.SpatialDropout1D(0.3)(layers.Dropout(0.3)(x))
    y = layers.GaussianDropout(0.2)(layers.GaussianNoise(0.2)(y))
    return layers.AlphaDropout(0.2)(layers.Dense(6)(y))


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (SEQUENCE, normalized),
        (VECTOR, activated),
        (SEQUENCE, merged),
        (SEQUENCE, attending),
        (SEQUENCE, dropped),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_layers_train_as_tensorflows(shape, body):
    done = export(functional(shape, body))
    check(done, random=body is dropped)
    notes = [note for note in done.manifest.notes if "moving statistics" in note]
    assert [("batch" in note) for note in notes] == [True] * (body is normalized)


@pytest.mark.parametrize(("loss", "make"), LOSSES.values(), ids=LOSSES)
def test_losses_train_as_tensorflows(loss, make):
    check(export(make(), loss))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "random"),
    [
        pytest.param(make, row.random, id=f"{row.layer}: {name}")
        for row in TABLE
        for name, make in row.cases.items()
    ],
)
def test_every_line_of_the_table_converts(make, random):
    done = export(make(), steps=4)
    assert {p.interpreter for p in done.parity} == {"ai_edge_litert", "tflite_runtime"}
    assert not any("FLEX" in op.upper() or "CUSTOM" in op for op in done.manifest.ops)


def test_moving_statistics_stay():
    tf.keras.utils.set_random_seed(0)
    batch = layers.BatchNormalization()
    model = tf.keras.Sequential(
        [layers.Input((4,)), layers.Dense(6), batch, layers.Dense(3)]
    )
    batch.moving_mean.assign(np.linspace(0, 1, 6))
    done = export(model, steps=3)
    trained = [weight.layer for weight in done.manifest.weights]
    assert batch.gamma.name in trained and batch.beta.name in trained
    assert set(done.manifest.frozen) == {
        batch.moving_mean.name,
        batch.moving_variance.name,
    }


def sequential(shape, *middle, dtype=None):
    return tf.keras.Sequential(
        [layers.Input(shape, dtype=dtype), *middle, layers.Flatten(), layers.Dense(4)]
    )


def two_outputs():
    x = layers.Input((3,))
    return tf.keras.Model(x, [layers.Dense(4)(x), layers.Dense(4)(x)])


class Subclassed(tf.keras.Model):
    def call(self, x):
        return x


IMAGE = (6, 6, 2)
REFUSED = {
    "conv3d.*Conv3D.*Conv2D": lambda: sequential((4, 4, 4, 2), layers.Conv3D(3, 2)),
    "convlstm.*TensorList.*LSTM": lambda: sequential(
        (3, *IMAGE), layers.ConvLSTM2D(2, 2, name="convlstm")
    ),
    "up.*ResizeNearest.*Conv2DTranspose": lambda: sequential(
        IMAGE, layers.Dense(2), layers.UpSampling2D(name="up")
    ),
    "odd.*Lgamma.*docs/layers.md": lambda: sequential(
        (3,), layers.Dense(3), layers.Lambda(tf.math.lgamma, name="odd")
    ),
    "half.*mixed_float16.*policy float32": lambda: sequential(
        (3,), layers.Dense(3, dtype="mixed_float16", name="half")
    ),
    "double.*float64": lambda: sequential(
        (3,), layers.Dense(3, dtype="float64", name="double")
    ),
    "first.*channels last": lambda: sequential(
        (2, 6, 6), layers.Conv2D(2, 3, data_format="channels_first", name="first")
    ),
    "grouped.*groups=1": lambda: sequential(
        (6, 6, 4), layers.Conv2D(4, 3, groups=2, name="grouped")
    ),
    "text.*int32 tokens": lambda: sequential(
        (1,),
        layers.TextVectorization(8, output_sequence_length=4, name="text"),
        dtype="string",
    ),
    "lookup.*int32 tokens": lambda: sequential(
        (1,), layers.StringLookup(vocabulary=["a"], name="lookup"), dtype="string"
    ),
    "hashed.*int32 tokens": lambda: sequential(
        (1,), layers.Hashing(9, name="hashed"), dtype="string"
    ),
    "bag.*DenseBincount.*Embedding": lambda: sequential(
        (3,), layers.CategoryEncoding(5, name="bag"), dtype="int32"
    ),
    "flip.*RngReadAndSkip.*augment": lambda: sequential(
        IMAGE, layers.Dense(2), layers.RandomFlip(name="flip")
    ),
    "1 inputs and 2 outputs": two_outputs,
    "subclassed.*functional": Subclassed,
    "takes \\[None, None, 2\\].*full shape": lambda: tf.keras.Sequential(
        [layers.Input((None, 2)), layers.GlobalMaxPooling1D(), layers.Dense(4)]
    ),
}


@pytest.mark.filterwarnings("ignore:.*mixed_float16")
@pytest.mark.parametrize(("pattern", "make"), REFUSED.items(), ids=REFUSED)
def test_refusal_names_layer_op_and_choice(pattern, make):
    with pytest.raises(ExportError, match=pattern):
        export_model(make(), name="refused", classes=list("abcd"))


@pytest.mark.parametrize(
    "function",
    [lambda x: tf.gather(x, [2, 0, 2], axis=1), lambda x: tf.tile(x, [1, 2, 1])],
    ids=["gather", "tile"],
)
def test_what_a_lowering_did_not_foresee_is_an_export_error(function):
    tf.keras.utils.set_random_seed(0)
    x = layers.Input((5, 6))
    middle = layers.Lambda(function, name="odd")(layers.Dense(4)(x))
    model = tf.keras.Model(x, layers.Dense(3)(layers.Flatten()(middle)))
    try:
        export_model(model, name="odd", classes=list("abc"), parity_steps=2)
    except ExportError as error:
        assert "layer" in str(error) and "\n" not in str(error)
