"""Smaller constants: the same numbers from fewer bytes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.baking import bake
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.inference_model import InferenceModel
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.session import Session
from fedp.device_runtime.skeleton import read_skeleton
from fedp.export.exporter import Target, export_model
from fedp.training.models import build_model

layers = tf.keras.layers
CLASSES = [str(c) for c in range(62)]


def export(model, **target):
    return export_model(
        model, name="test", classes=CLASSES, target=Target(**target), parity_steps=2
    )


@pytest.mark.parametrize("kind", ["ai_edge_litert", "tflite_runtime"])
def test_float16_halves_the_file_and_keeps_the_rounded_weights(kind):
    model = build_model("mlp", (28, 28, 1), 62, seed=0)
    exact = [v.numpy() for v in model.trainable_variables]
    whole, half = export(model), export(model, initial_weights="float16")
    assert len(half.content) < 0.53 * len(whole.content)
    session = Session.open(half.manifest, half.content, kind)
    for found, value in zip(session.save().values(), exact, strict=True):
        assert (found == value.astype(np.float16).astype(np.float32)).all()
    x = np.random.default_rng(0).random((20, 28, 28, 1), dtype=np.float32)
    y = np.zeros(20, np.int32)
    session.train_step(x, y, np.ones(20, np.float32), 0.1)
    session.reset()
    for found, value in zip(session.save().values(), exact, strict=True):
        assert (found == value.astype(np.float16).astype(np.float32)).all()
    assert all((v.numpy() == e).all() for v, e in zip(model.variables, exact))


def test_float16_halves_what_stays_too():
    model = build_model("mlp", (28, 28, 1), 62, seed=0)
    policy = Policy(trainable="head")
    whole = export(model, policy=policy)
    half = export(model, policy=policy, initial_weights="float16")
    assert len(half.content) < 0.53 * len(whole.content)
    skeleton = read_skeleton(half.content)
    weights = [v.numpy().astype(np.float16) for v in model.layers[-1].weights]
    blob = b"".join(w.astype(np.float32).tobytes() for w in weights)
    x = np.random.default_rng(0).random((20, 28, 28, 1), dtype=np.float32)
    for kind in available_interpreters():
        served = InferenceModel(bake(half.content, skeleton, blob), kind)
        expected = Session.open(half.manifest, half.content, kind).infer(x)
        np.testing.assert_allclose(served.infer(x), expected, atol=1e-6)


def test_weights_beyond_float16_are_refused():
    model = tf.keras.Sequential([layers.Input((4,)), layers.Dense(62)])
    model.layers[0].kernel.assign(np.full((4, 62), 1e6, np.float32))
    with pytest.raises(ExportError, match="dense.*beyond float16.*float32"):
        export(model, initial_weights="float16")
    assert (model.layers[0].kernel.numpy() == 1e6).all()


def test_unknown_format_is_refused():
    model = tf.keras.Sequential([layers.Input((4,)), layers.Dense(62)])
    with pytest.raises(ExportError, match="'int4'; allowed are float32 and float16"):
        export(model, initial_weights="int4")


@pytest.mark.parametrize("kind", ["ai_edge_litert", "tflite_runtime"])
def test_fixed_batch_has_no_open_shape_and_still_takes_any_number(kind):
    model = build_model("mlp", (28, 28, 1), 62, seed=0)
    done = export(model, fixed_batch=True, batch_size=8)
    session = Session.open(done.manifest, done.content, kind)
    details = tf.lite.Interpreter(model_content=done.content).get_tensor_details()
    assert not any(-1 in d["shape_signature"] for d in details)
    for n in (1, 8, 11):
        x = np.random.default_rng(n).random((n, 28, 28, 1), dtype=np.float32)
        np.testing.assert_allclose(session.infer(x), tf.nn.softmax(model(x)), atol=1e-6)
        losses, _ = session.evaluate(x, np.zeros(n, np.int32))
        assert losses.shape == (n,)
