"""What trains on a device: the choice, and where the frozen part ends."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.loaded_interpreter import LoadedInterpreter
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.export import flatbuffer
from fedp.export.exporter import Target, export_model, write_artifact
from fedp.export.trainable import parts_of

layers = tf.keras.layers
KINDS = ["ai_edge_litert", "tflite_runtime"]


def network() -> tf.keras.Model:
    """A stem, two branches of which one skips a layer, and a head."""
    tf.keras.utils.set_random_seed(0)
    x = layers.Input((12,))
    stem = layers.Dense(6, activation="relu", name="stem")(x)
    stem = layers.Dropout(0.5, name="drop1")(stem)
    left = layers.Dense(5, activation="tanh", name="left")(stem)
    right = layers.Dense(4, name="right")(stem)
    both = layers.Concatenate()([left, right])
    both = layers.Dropout(0.5, name="drop2")(both)
    return tf.keras.Model(x, layers.Dense(3, name="head")(both))


def names(variables) -> list[str]:
    return [v.name.split("/")[0] for v in variables if "kernel" in v.name]


@pytest.mark.parametrize(
    ("choice", "trained", "shape"),
    [
        ("all", ["stem", "left", "right", "head"], None),
        ("head", ["head"], (9,)),
        ("last:1", ["head"], (9,)),
        ("last:2", ["right", "head"], (11,)),  # 5 of the left branch, 6 of the stem
        ("last:3", ["left", "right", "head"], (6,)),
        ("last:9", ["stem", "left", "right", "head"], None),
        ("[lr]*t", ["left", "right"], (6,)),
        ("stem", ["stem"], None),
    ],
)
def test_choices(choice, trained, shape):
    parts = parts_of(network(), choice)
    assert names(parts.trained) == trained
    assert sorted(names(parts.trained) + names(parts.frozen)) == [
        "head",
        "left",
        "right",
        "stem",
    ]
    assert parts.features_shape == shape


@pytest.mark.parametrize("choice", ["", "conv*", "last:0", "last:", "last:x", "drop1"])
def test_choice_of_nothing_names_the_layers(choice):
    with pytest.raises(ExportError, match="stem, left, right, head.*last:N"):
        parts_of(network(), choice)


@pytest.mark.parametrize("choice", ["all", "head", "last:2"])
def test_a_model_in_which_nothing_is_trainable_is_refused(choice):
    still, empty = network(), tf.keras.Sequential([layers.Input((3,)), layers.ReLU()])
    still.trainable = False
    for model in (still, empty):
        with pytest.raises(ExportError, match="nothing trains.*trainable=True"):
            parts_of(model, choice)


def test_features_and_rest_are_the_model():
    model = network()
    x = np.random.default_rng(0).random((7, 12), dtype=np.float32)
    for choice in ("all", "head", "last:2", "left"):
        parts = parts_of(model, choice)
        features = parts.features(x) if parts.cut else x
        np.testing.assert_allclose(
            parts.rest(features, training=False), model(x), atol=1e-6
        )


def test_dropout_is_active_after_the_cut_alone():
    parts = parts_of(network(), "head")
    x = np.random.default_rng(0).random((50, 12), dtype=np.float32)
    assert (parts.features(x).numpy() == parts.features(x).numpy()).all()
    features = parts.features(x)
    one, two = (parts.rest(features, training=True).numpy() for _ in range(2))
    assert (one != two).any()


def test_nested_models_are_named_by_their_path():
    inner = tf.keras.Sequential(
        [layers.Input((12,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")],
        name="body",
    )
    model = tf.keras.Sequential([inner, layers.Dense(3, name="head")])
    model.build((None, 12))
    assert names(parts_of(model, "body/b").trained) == ["b"]
    assert parts_of(model, "head").features_shape == (4,)


def export(model, choice, **target):
    policy = Policy(trainable=choice, learning_rate=0.1)
    return export_model(
        model,
        name="test",
        classes=["a", "b", "c"],
        target=Target(batch_size=8, policy=policy, **target),
        parity_steps=2,
    )


def plain() -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(3, name="head"),
        ]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_head_trains_on_features_as_the_whole_model_would_with_the_rest_frozen(kind):
    model = plain()
    done = export(model, "head")
    assert done.manifest.features_shape == (8,)
    assert [w.layer for w in done.manifest.weights] == ["head/kernel:0", "head/bias:0"]
    assert "conv/kernel:0" in done.manifest.frozen
    random = np.random.default_rng(0)
    x = random.random((20, 6, 6, 2), dtype=np.float32)
    session = Session.open(done.manifest, done.content, kind)
    expected = tf.keras.Model(model.inputs, model.layers[-2].output)(x)
    features = session.features(x)
    np.testing.assert_allclose(features, expected, atol=1e-6)
    np.testing.assert_allclose(session.infer(x), tf.nn.softmax(model(x)), atol=1e-6)

    y = random.integers(0, 3, 8).astype(np.int32)
    with tf.GradientTape() as tape:
        logits = model(x[:8])
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        )
    head = model.layers[-1].trainable_variables
    steps = [w - 0.1 * g for w, g in zip(head, tape.gradient(loss, head), strict=True)]
    found = session.train_step(features[:8], y, np.ones(8, np.float32), 0.1)
    assert found == pytest.approx(float(loss), rel=1e-5)
    for weight, value in zip(session.save().values(), steps, strict=True):
        np.testing.assert_allclose(weight, value, atol=1e-6)


def test_frozen_part_runs_once_an_example_and_not_once_an_epoch(tmp_path, monkeypatch):
    write_artifact(export(plain(), "head").content, tmp_path / "m.tflite")
    seen = []
    run = LoadedInterpreter.run

    def counted(self, signature, **inputs):
        if signature == contract.FEATURES:
            seen.append(len(inputs["x"]))
        return run(self, signature, **inputs)

    monkeypatch.setattr(LoadedInterpreter, "run", counted)
    random = np.random.default_rng(0)
    with Personalizer.open(tmp_path / "m.tflite") as device:
        outcome = device.personalize(
            random.random((40, 6, 6, 2), dtype=np.float32), random.integers(0, 3, 40)
        )
    # Five epochs of four trials of 30 examples, in batches of 8.
    assert (outcome.judged, outcome.steps) == (40, 5 * 4 * 4)
    assert sum(seen) == 40


def test_frozen_weights_are_stored_once():
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            layers.Input((200,)),
            layers.Dense(200, activation="relu"),
            layers.Dense(200, activation="relu"),
            layers.Dense(3),
        ]
    )
    weights = 4 * model.count_params()
    assert len(export(model, "head").content) < 1.03 * weights + 60_000


@pytest.mark.parametrize("initial_weights", ["float32", "float16"])
def test_a_frozen_weight_behind_a_trained_one_is_stored_once(initial_weights):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(128, activation="relu", name="c"),
            layers.Dense(256, activation="relu", name="z"),
            layers.Dense(3, name="cd"),
        ]
    )
    done = export(model, "c*", initial_weights=initial_weights)
    weights = (4 if initial_weights == "float32" else 2) * model.count_params()
    assert len(done.content) < weights + 40_000
    sizes = [len(c.data) for c in flatbuffer.constants(done.content)]
    assert sizes.count(max(sizes)) == 1
    x = np.random.default_rng(0).random((5, 64), dtype=np.float32)
    for kind in KINDS:
        found = Session.open(done.manifest, done.content, kind).infer(x)
        np.testing.assert_allclose(found, tf.nn.softmax(model(x)), atol=1e-3)


def test_a_frozen_convolution_behind_a_trained_one_is_stored_once():
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(32, 3, activation="relu", name="conv"),
            layers.Conv2D(32, 3, activation="relu", name="z"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="cd"),
        ]
    )
    content = export(model, "c*").content
    sizes = [len(c.data) for c in flatbuffer.constants(content)]
    # 3 * 3 * 32 * 32 numbers, and no 16ths of what Winograd's algorithm makes of them
    assert sorted(sizes)[-2:] == [4 * 3 * 3 * 3 * 32, 4 * 3 * 3 * 32 * 32]


AFTER = {
    "Conv2D": lambda: [layers.Conv2D(3, 3, name="z")],
    "Conv2DTranspose": lambda: [layers.Conv2DTranspose(3, 3, strides=2, name="z")],
    "DepthwiseConv2D": lambda: [layers.DepthwiseConv2D(3, name="z")],
    "SeparableConv2D": lambda: [layers.SeparableConv2D(3, 3, name="z")],
    "BatchNormalization": lambda: [layers.BatchNormalization(name="z")],
    "LayerNormalization": lambda: [layers.LayerNormalization(name="z")],
    "Dense": lambda: [layers.Flatten(), layers.Dense(7, name="z")],
}


def convolution_before(*after: layers.Layer) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    conv = layers.Conv2D(4, 3, activation="relu", name="conv")
    head = [layers.Flatten(), layers.Dense(3, name="head")]
    return tf.keras.Sequential([layers.Input((8, 8, 2)), conv, *after, *head])


@pytest.mark.parametrize("kind", AFTER)
def test_a_convolution_trains_before_a_frozen_layer(kind):
    done = export(convolution_before(*AFTER[kind]()), "conv")
    assert [w.layer for w in done.manifest.weights] == ["conv/kernel:0", "conv/bias:0"]
    assert done.manifest.parity  # of every interpreter, or the export fails


def test_all_trains_around_a_layer_that_does_not():
    model = convolution_before(layers.BatchNormalization(name="z"))
    model.get_layer("z").trainable = False
    assert "z/gamma:0" in export(model, "all").manifest.frozen
