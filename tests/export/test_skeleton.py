"""A baked model computes what Keras computes, whatever the weights have become."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime import contract
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.baking import bake
from fedp.device_runtime.contract import CROSS_ENTROPY
from fedp.device_runtime.inference_model import InferenceModel
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.skeleton import LIVE, Skeleton, read_skeleton
from fedp.export import flatbuffer
from fedp.export import skeleton as skeletons
from fedp.export.inference_graph import Answer
from fedp.export.losses import loss_for
from fedp.export.skeleton import NoSkeletonError, make_skeleton, skeleton_entry
from fedp.export.trainable import parts_of
from fedp.training.endings import ends_in_softmax

layers = tf.keras.layers


def sequential(*parts: layers.Layer) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(list(parts))


class Tied(layers.Layer):
    """One table, looked up on the way in and multiplied by on the way out."""

    def build(self, shape: tf.TensorShape) -> None:
        self.table = self.add_weight(name="table", shape=(9, 8))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(tf.gather(self.table, x), axis=1)
        return tf.matmul(mean, self.table, transpose_b=True)


class Unused(layers.Layer):
    """A weight that only training reads."""

    def build(self, shape: tf.TensorShape) -> None:
        self.scale = self.add_weight(name="scale", shape=(1,))

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return x * self.scale if training else x


MODELS = {
    "softmax": lambda: sequential(
        layers.Input((6, 6, 1)),
        layers.Conv2D(3, 3, activation="tanh"),
        layers.Flatten(),
        layers.Dense(5, activation="softmax"),
    ),
    "convolutions": lambda: sequential(
        layers.Input((8, 8, 3)),
        layers.SeparableConv2D(4, 3, padding="same"),
        layers.Conv2DTranspose(4, 3, strides=2),
        layers.DepthwiseConv2D(3, depth_multiplier=2, strides=2),
        layers.Flatten(),
        layers.Dense(5),
    ),
    "batch normalization": lambda: sequential(
        layers.Input((8, 8, 3)),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5),
    ),
    "layer normalization": lambda: sequential(
        layers.Input((8, 8, 3)),
        layers.Conv2D(4, 3),
        layers.LayerNormalization(),
        layers.PReLU(),
        layers.Flatten(),
        layers.Dense(5),
    ),
    "biases that fold": lambda: sequential(
        layers.Input((6,)), layers.Dense(4), layers.Dense(5)
    ),
    "unused": lambda: sequential(
        layers.Input((6,)), layers.Dense(4, "relu"), Unused(), layers.Dense(5)
    ),
    "tied": lambda: sequential(layers.Input((6,), dtype="int32"), Tied()),
    "lstm": lambda: sequential(
        layers.Input((6,), dtype="int32"),
        layers.Embedding(9, 4),
        layers.LSTM(7),
        layers.Dense(5),
    ),
    "gru, both ways": lambda: sequential(
        layers.Input((6, 3)), layers.Bidirectional(layers.GRU(4)), layers.Dense(5)
    ),
}


@pytest.fixture(scope="module")
def other_file() -> bytes:
    """A TFLite file that holds nothing of the models."""

    @tf.function(input_signature=[tf.TensorSpec([3])])
    def double(x: tf.Tensor) -> tf.Tensor:
        return x + x

    concrete = double.get_concrete_function()
    return bytes(
        tf.lite.TFLiteConverter.from_concrete_functions([concrete], double).convert()
    )


def blob(variables: list[tf.Variable]) -> bytes:
    return b"".join(variable.numpy().tobytes() for variable in variables)


def answer_of(model: tf.keras.Model) -> Answer:
    return tf.identity if ends_in_softmax(model) else tf.nn.softmax


def inputs(model: tf.keras.Model, count: int) -> np.ndarray:
    random, spec = np.random.default_rng(count), model.inputs[0]
    shape = (count, *spec.shape[1:])
    if spec.dtype.is_integer:
        return random.integers(0, 9, shape, np.int32)
    return random.random(shape, np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_baked_is_keras_with_any_weights(name: str, other_file: bytes) -> None:
    model = MODELS[name]()
    answer = answer_of(model)
    skeleton = Skeleton.unpack(make_skeleton(parts_of(model), answer, other_file))
    assert len(skeleton.pack()) < 12_000
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign_add(random.normal(0, 0.3, variable.shape))
    baked = bake(other_file, skeleton, blob(model.trainable_variables))
    for kind in available_interpreters():
        served = InferenceModel(baked, kind)
        for count in (1, 7, 20, 1):
            x = inputs(model, count)
            expected = answer(model(x))
            np.testing.assert_allclose(served.infer(x), expected, atol=1e-5)


def test_what_the_artifact_holds_is_not_repeated() -> None:
    """A frozen layer is a constant of the artifact, in whatever order of axes."""
    model = sequential(
        layers.Input((20,)), layers.Dense(30, "relu"), layers.Dense(5, name="live")
    )
    frozen = model.layers[0].kernel.numpy()

    @tf.function(input_signature=[tf.TensorSpec([1], tf.int32)])
    def lookup(i: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(frozen), i)

    concrete = lookup.get_concrete_function()
    artifact = tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete], lookup
    ).convert()
    live = model.get_layer("live").trainable_variables
    skeleton = Skeleton.unpack(
        make_skeleton(parts_of(model, "live"), tf.nn.softmax, artifact)
    )
    (shared,) = (cut for cut in skeleton.cuts if cut.source != LIVE)
    assert shared.size == 4 * 20 * 30
    assert skeleton.weights == 4 * (30 * 5 + 5)
    live[0].assign_add(tf.ones_like(live[0]))
    x = inputs(model, 7)
    found = InferenceModel(bake(artifact, skeleton, blob(live))).infer(x)
    np.testing.assert_allclose(found, tf.nn.softmax(model(x)), atol=1e-6)


def test_a_model_that_tflite_refuses_has_none(other_file: bytes) -> None:
    class Svd(layers.Layer):
        def call(self, x: tf.Tensor) -> tf.Tensor:
            return tf.linalg.svd(x, compute_uv=False)

    model = sequential(layers.Input((3, 3)), layers.Dense(3), Svd())
    with pytest.raises(NoSkeletonError, match="Svd"):
        make_skeleton(parts_of(model), tf.nn.softmax, other_file)
    parts, loss = parts_of(model), loss_for(model, CROSS_ENTROPY)
    said: list[str] = []
    assert skeleton_entry(parts, loss, other_file, said.append) == {}
    assert len(said) == 1 and "predict from variables" in said[0]


def test_what_tflite_lacks_is_spelled_as_in_the_artifact(other_file: bytes) -> None:
    """And all else as TFLite has it, also what the artifact spells otherwise."""

    def relu(z: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ReluGrad(gradients=z, features=z)

    model = sequential(
        layers.Input((6, 6, 1)),
        layers.Conv2D(4, 3, activation=relu),
        layers.Flatten(),
        layers.Dense(5),
    )
    skeleton = Skeleton.unpack(
        make_skeleton(parts_of(model), tf.nn.softmax, other_file)
    )
    baked = bake(other_file, skeleton, blob(model.trainable_variables))
    ops = flatbuffer.operators(baked)
    assert (ops["CONV_2D"], ops["FULLY_CONNECTED"]) == (1, 1)
    assert "BATCH_MATMUL" not in ops


def test_a_loop_beside_a_layer_that_cannot_be_copied(other_file: bytes) -> None:
    class Scale(layers.Layer):
        def __init__(self, factor: np.ndarray) -> None:
            super().__init__()
            self.factor = factor

        def call(self, x: tf.Tensor) -> tf.Tensor:
            return self.factor * x

    model = sequential(layers.Input((6, 3)), layers.GRU(4), Scale(np.ones(4)))
    with pytest.raises(NoSkeletonError, match="its loops stay"):
        make_skeleton(parts_of(model), tf.nn.softmax, other_file)


def test_large_numbers_of_a_regression_may_differ_by_their_rounding(
    other_file: bytes,
) -> None:
    model = sequential(layers.Input((500,)), layers.Dense(300, "tanh"), layers.Dense(2))
    model.layers[-1].kernel.assign(1000 * model.layers[-1].kernel)
    skeleton = Skeleton.unpack(make_skeleton(parts_of(model), tf.identity, other_file))
    baked = bake(other_file, skeleton, blob(model.trainable_variables))
    x = inputs(model, 7)
    np.testing.assert_allclose(InferenceModel(baked).infer(x), model(x), rtol=1e-3)


def test_a_skeleton_is_compared_on_every_token(
    other_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table whose rows from the third on were mixed up would not pass."""
    model = sequential(
        layers.Input((40,), dtype="int32"),
        layers.Embedding(9, 4),
        layers.Flatten(),
        layers.Dense(3),
    )
    right = skeletons.bake

    def mixed(artifact: bytes, skeleton: Skeleton, weights: bytes) -> bytes:
        table = np.frombuffer(weights[: 4 * 9 * 4], np.float32).reshape(9, 4)
        swapped = np.concatenate([table[:2], table[:1:-1]]).tobytes()
        return right(artifact, skeleton, swapped + weights[len(swapped) :])

    make_skeleton(parts_of(model), tf.nn.softmax, other_file)
    monkeypatch.setattr(skeletons, "bake", mixed)
    with pytest.raises(NoSkeletonError, match="differs from Keras"):
        make_skeleton(parts_of(model), tf.nn.softmax, other_file)


def test_making_one_leaves_the_model_alone(other_file: bytes) -> None:
    model = MODELS["lstm"]()
    before = blob(model.variables)
    make_skeleton(parts_of(model), tf.nn.softmax, other_file)
    assert blob(model.variables) == before


def test_artifacts_carry_it_under_their_hash(cnn_artifact, tmp_path) -> None:
    _, content = read_artifact(cnn_artifact)
    skeleton = read_skeleton(content)
    assert skeleton is not None and len(skeleton.pack()) < 4_000
    changed = bytearray(content)
    changed[content.index(skeleton.pack()) + 100] ^= 1
    (tmp_path / "changed.tflite").write_bytes(changed)
    with pytest.raises(contract.ArtifactError, match="hash mismatch"):
        read_artifact(tmp_path / "changed.tflite")
