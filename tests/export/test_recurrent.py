"""Models of tokens and sequences: gradients, artifacts and what is refused."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from fedp.cli import cli
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.personalizer import Personalizer
from fedp.export.exporter import Target, export_model, write_artifact
from fedp.export.forward import run
from fedp.training.models import build_model
from tests.export.lowering.comparing import compare

layers = tf.keras.layers
LENGTH, CHANNELS, CLASSES = 4, 3, 5


def network(*middle, label_steps: bool = False) -> tf.keras.Model:
    """Numbers [L, d] in, one label or one a step out."""
    tf.keras.utils.set_random_seed(0)
    last = [] if label_steps else [layers.Flatten()]
    return tf.keras.Sequential(
        [layers.Input((LENGTH, CHANNELS)), *middle, *last, layers.Dense(CLASSES)]
    )


def numbers(n: int = 3) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(n, LENGTH, CHANNELS))
    return x.astype(np.float32)


def tokens(n: int = 3, count: int = CLASSES) -> np.ndarray:
    """Padded with 0 to different lengths, one of them nothing but padding."""
    random = np.random.default_rng(0)
    x = random.integers(1, count, (n, LENGTH)).astype(np.int32)
    for row, length in enumerate((LENGTH, 2, 0)[:n]):
        x[row, length:] = 0
    return x


def biased(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
    """With biases that are not zero, so that a forgotten one is seen."""
    layer.cell.bias_initializer = tf.keras.initializers.RandomNormal(seed=1)
    return layer


def two_cells() -> list[tf.keras.layers.Layer]:
    return [layers.LSTMCell(2), layers.GRUCell(3)]


class Doubling(layers.SimpleRNNCell):
    """A cell of the user's own, which no fast path may take for Keras'."""

    def call(self, inputs, states, training=None):
        output, states = super().call(inputs, states, training)
        return 2.0 * output, states


RECURRENT = {
    "lstm": lambda: biased(layers.LSTM(2)),
    "lstm sequence": lambda: biased(layers.LSTM(2, return_sequences=True)),
    "lstm backwards": lambda: layers.LSTM(2, go_backwards=True),
    "lstm no bias": lambda: layers.LSTM(2, use_bias=False),
    "lstm relu": lambda: layers.LSTM(
        2, activation="relu", recurrent_activation="hard_sigmoid"
    ),
    "lstm softmax": lambda: layers.LSTM(2, activation="softmax"),
    "gru": lambda: biased(layers.GRU(2, return_sequences=True)),
    "gru reset before": lambda: biased(layers.GRU(2, reset_after=False)),
    "gru no bias": lambda: layers.GRU(2, use_bias=False),
    "simple": lambda: biased(layers.SimpleRNN(2, return_sequences=True)),
    "cell": lambda: layers.RNN(layers.LSTMCell(2), return_sequences=True),
    "stacked cells": lambda: layers.RNN(two_cells(), go_backwards=True),
    "own cell": lambda: layers.RNN(Doubling(2), return_sequences=True),
    "both ways": lambda: layers.Bidirectional(layers.LSTM(2)),
    "both ways, sum of sequences": lambda: layers.Bidirectional(
        layers.GRU(2, return_sequences=True), merge_mode="sum"
    ),
    "both ways, two layers": lambda: layers.Bidirectional(
        layers.LSTM(2, return_sequences=True),
        backward_layer=layers.GRU(2, return_sequences=True, go_backwards=True),
        merge_mode="mul",
    ),
}


@pytest.mark.parametrize("make", RECURRENT.values(), ids=RECURRENT)
def test_gradients_are_tensorflows(make):
    ops = compare(network(make()), numbers())
    assert not ops & {"While", "TensorListReserve", "PartitionedCall"}


def test_stack_with_a_label_a_step():
    model = network(
        layers.LSTM(2, return_sequences=True),
        layers.TimeDistributed(layers.Dense(3, activation="tanh")),
        layers.GRU(2, return_sequences=True),
        label_steps=True,
    )
    y = np.array([[1, 0, 4, 2], [3, -1, -1, -1], [-1, -1, -1, -1]], np.int32)
    compare(model, numbers(), np.array([1, 0.5, 2], np.float32), y=y)


@pytest.mark.parametrize("rows", [CLASSES, 3000])
def test_embedding_sums_the_gradients_of_repeated_tokens(rows):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            layers.Input((LENGTH,), dtype="int32"),
            layers.Embedding(rows, 2),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ]
    )
    assert "ScatterNd" in compare(model, tokens())


MASKED = {
    "lstm": lambda: [layers.LSTM(2, return_sequences=True), layers.LSTM(2)],
    "gru": lambda: [layers.GRU(2)],
    "backwards": lambda: [layers.Bidirectional(layers.LSTM(2))],
    "stacked cells": lambda: [layers.RNN(two_cells())],
    "own cell": lambda: [layers.RNN(Doubling(2))],
    "zero output": lambda: [
        layers.RNN(layers.GRUCell(2), return_sequences=True, zero_output_for_mask=True),
        layers.Flatten(),
    ],
}


@pytest.mark.parametrize("make", MASKED.values(), ids=MASKED)
def test_masked_steps_change_nothing(make):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            layers.Input((LENGTH,), dtype="int32"),
            layers.Embedding(CLASSES, 3, mask_zero=True),
            *make(),
            layers.Dense(CLASSES),
        ]
    )
    compare(model, tokens())


def test_state_of_one_layer_starts_another():
    tf.keras.utils.set_random_seed(0)
    x = layers.Input((LENGTH, CHANNELS))
    first, *states = layers.LSTM(2, return_sequences=True, return_state=True)(x)
    second = layers.LSTM(2)(first, initial_state=states)
    compare(tf.keras.Model(x, layers.Dense(CLASSES)(second)), numbers())


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(40, dropout=0.5),
        layers.GRU(40, dropout=0.5, recurrent_dropout=0.5),
        layers.SimpleRNN(40, recurrent_dropout=0.5),
    ],
    ids=["inputs", "each gate", "states"],
)
def test_dropout_is_active_while_training_alone(layer):
    model = network(layer)
    given = {id(model.inputs[0]): tf.constant(numbers(50))}

    def outputs(training: bool) -> np.ndarray:
        return run(model, given, model.outputs, training=training)[0].numpy()

    np.testing.assert_allclose(outputs(False), model(numbers(50)), atol=1e-6)
    assert np.abs(outputs(True) - outputs(False)).mean() > 0.01
    compare(network(layer), numbers(), random=True)


def sequences(*middle, length: int | None = LENGTH) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [
            layers.Input((length,), dtype="int32"),
            layers.Embedding(CLASSES, 3),
            *middle,
            layers.Dense(CLASSES),
        ]
    )


def export(model, choice: str = "all", **policy):
    target = Target(
        batch_size=6, policy=Policy(trainable=choice, learning_rate=0.5, **policy)
    )
    return export_model(model, name="test", classes=list("abcde"), target=target)


@pytest.mark.parametrize(
    "middle",
    [
        [layers.GRU(4)],
        [layers.Bidirectional(layers.LSTM(4, return_sequences=True))],
    ],
    ids=["text classification", "sequence labels"],
)
def test_artifacts_compute_what_tensorflow_computes(middle):
    done = export(sequences(*middle))
    assert {p.interpreter for p in done.parity} == {"ai_edge_litert", "tflite_runtime"}
    assert done.manifest.tokens == CLASSES
    assert not {"WHILE", "IF", "UNIDIRECTIONAL_SEQUENCE_LSTM"} & set(done.manifest.ops)


@pytest.mark.parametrize("kind", ["ai_edge_litert", "tflite_runtime"])
def test_device_learns_sequences_of_different_lengths(kind, tmp_path):
    model = sequences(layers.LSTM(8, return_sequences=True))
    done = export(model, epochs=20)
    write_artifact(done.content, tmp_path / "model.tflite")
    # The next token is the one after; what is padded has no label.
    first = np.random.default_rng(0).integers(0, CLASSES, (60, 1))
    x = ((first + np.arange(LENGTH)) % CLASSES).astype(np.int32)
    y = (x + 1) % CLASSES
    x[::3, 2:], y[::3, 2:] = 0, -1
    with Personalizer.open(
        tmp_path / "model.tflite", tmp_path / "state", interpreter=kind
    ) as device:
        before = device.predict(x)
        np.testing.assert_allclose(before, tf.nn.softmax(model(x)), atol=1e-5)
        outcome = device.personalize(x, y)
        hits = device.predict(x).argmax(-1) == y
    assert outcome.decision == "keep"
    assert hits[y >= 0].mean() > 0.9
    predicted = CliRunner().invoke(
        cli, ["predict", *map(str, _predict_arguments(tmp_path, x)), "--json"]
    )
    found = json.loads(predicted.stdout)["predictions"][1]
    assert found["label"] == [list("abcde")[i] for i in y[1]]
    assert len(found["probability"]) == LENGTH


def _predict_arguments(folder: pathlib.Path, x: np.ndarray) -> list[str | pathlib.Path]:
    np.savez(folder / "x.npz", x=x)
    artifact, state = folder / "model.tflite", folder / "state"
    return [artifact, "--state", state, "--input", folder / "x.npz"]


@pytest.mark.slow
@pytest.mark.parametrize("labels", [(), (80,)], ids=["one label", "a label a step"])
def test_shakespeare_model(labels):
    model = build_model("shakespeare_lstm", (80,), 90, seed=0, label_shape=labels)
    classes = [chr(40 + i) for i in range(90)]
    target = Target(policy=Policy(learning_rate=0.5))
    done = export_model(model, name="shakespeare_lstm", classes=classes, target=target)
    assert {p.interpreter for p in done.parity} == {"ai_edge_litert", "tflite_runtime"}
    # The weights once, and 160 unrolled steps in three signatures.
    assert len(done.content) < 1.03 * 4 * model.count_params() + 1_000_000
    assert sum(done.manifest.ops.values()) < 11_000


def test_frozen_recurrent_layers_give_features():
    model = sequences(layers.LSTM(4))
    assert export(model, "head").manifest.features_shape == (4,)


def stateful() -> tf.keras.Model:
    x = layers.Input((LENGTH, CHANNELS), batch_size=6)
    return tf.keras.Model(x, layers.Dense(CLASSES)(layers.GRU(2, stateful=True)(x)))


def images_in_time() -> tf.keras.Model:
    x = layers.Input((LENGTH, 3, CHANNELS))
    y = layers.Flatten()(layers.ConvLSTM1D(2, 2)(x))
    return tf.keras.Model(x, layers.Dense(CLASSES)(y))


def with_constants() -> tf.keras.Model:
    class Cell(layers.SimpleRNNCell):
        def call(self, inputs, states, constants, training=None):
            return super().call(inputs + constants[0], states, training)

    x = layers.Input((LENGTH, CHANNELS))
    y = layers.RNN(Cell(2))(x, constants=x[:, 0])
    return tf.keras.Model(x, layers.Dense(CLASSES)(y))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: sequences(layers.LSTM(2), length=None),
            "give the Input its full shape",
        ),
        (lambda: network(layers.LSTM(2, time_major=True)), "batch first"),
        (stateful, "stateful=False"),
        (images_in_time, "flattened features"),
        (with_constants, "constants.*concatenate"),
    ],
    ids=["length", "time major", "stateful", "convolution", "constants"],
)
def test_layer_that_cannot_be_unrolled_is_named(make, reason):
    with pytest.raises(ExportError, match=rf"(layer|model) '\w+'.*{reason}"):
        export(make())


def test_mask_of_a_frozen_embedding_is_not_lost_silently():
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            layers.Input((LENGTH,), dtype="int32"),
            layers.Embedding(CLASSES, 3, mask_zero=True),
            layers.LSTM(4, name="lstm"),
            layers.Dense(CLASSES),
        ]
    )
    with pytest.raises(ExportError, match="'lstm'.*mask.*trainable"):
        export(model, "last:2")
    export(model, "head")
