"""A finished artifact: what is in it, and that it is proved."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime import artifact_file
from fedp.device_runtime.certificate import certificate_path
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import ExportError
from fedp.device_runtime.session import Session
from fedp.export import flatbuffer
from fedp.export.exporter import Target, check_place, export_model, write_artifact
from fedp.export.lowering.table import LOWERINGS
from fedp.export.parity import WeightParity
from fedp.export.signatures import ArtifactModule
from fedp.training.models import build_model

layers = tf.keras.layers


def export(model: tf.keras.Model, parity_steps: int = 3, **target):
    return export_model(
        model,
        name="test",
        classes=[str(c) for c in range(model.output_shape[1])],
        target=Target(batch_size=8, **target),
        parity_steps=parity_steps,
    )


def small(*middle: layers.Layer, last: str | None = None) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    head = [layers.Flatten(), layers.Dense(5, activation=last)]
    return tf.keras.Sequential([layers.Input((6, 6, 1)), *middle, *head])


def open_session(done, kind: str | None = None) -> Session:
    return Session.open(done.manifest, done.content, kind)


def test_artifact_holds_the_weights_once(cnn_artifact):
    manifest, content = artifact_file.read_artifact(cnn_artifact)
    weights = sum(4 * int(np.prod(w.shape)) for w in manifest.weights)
    assert weights <= len(content) <= 1.03 * weights + 150_000


def test_every_op_is_builtin_and_listed(cnn_artifact):
    manifest, content = artifact_file.read_artifact(cnn_artifact)
    assert flatbuffer.operators(content) == manifest.ops
    assert {"BATCH_MATMUL", "ASSIGN_VARIABLE", "CALL_ONCE"} <= set(manifest.ops)
    assert not any("FLEX" in op.upper() or "CUSTOM" in op for op in manifest.ops)


def test_flex_op_is_refused():
    function = tf.function(
        lambda x: tf.raw_ops.ReluGrad(gradients=x, features=x),
        input_signature=[tf.TensorSpec([4])],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], tf.Module()
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.SELECT_TF_OPS]
    with pytest.raises(ExportError, match="FlexReluGrad"):
        flatbuffer.operators(converter.convert())


@pytest.mark.parametrize("name", ["emnist_cnn_dropout", "mlp"])
def test_builtin_models_pass_parity_on_every_interpreter(name):
    model = build_model(name, (28, 28, 1), 62, seed=0)
    done = export(model, parity_steps=3)
    assert {p.interpreter for p in done.parity} == {"ai_edge_litert", "tflite_runtime"}
    for parity in done.parity:
        assert not parity.failed and parity.loss < 1e-5
        assert all(w.typical < 1e-6 < w.moved for w in parity.weights.values())
        assert all(
            (w.drift is None) == ("dropout" in name) for w in parity.weights.values()
        )
    assert set(done.manifest.parity) == {p.interpreter for p in done.parity}


def test_near_tie_in_one_step_is_rounding_and_an_error_in_every_step_is_not():
    once = WeightParity(typical=1e-8, worst=1e-4, drift=1e-4, moved=1e-2)
    always = WeightParity(typical=1e-4, worst=1e-4, drift=1e-4, moved=1e-2)
    assert once.passed and not always.passed


def test_wrong_lowering_does_not_pass_parity(monkeypatch):
    def passes_everything(op, inputs, scope):
        return [inputs[0]]

    monkeypatch.setitem(LOWERINGS, "ReluGrad", passes_everything)
    with pytest.raises(ExportError, match="does not compute what TensorFlow computes"):
        export(small(layers.Conv2D(3, 3, activation="relu")))


@pytest.mark.parametrize(
    ("method", "wrong", "reason"),
    [
        ("evaluate", lambda self, x, y: _seven(y), "answers"),
        (
            "infer",
            lambda self, x: {"output": 0.1 * tf.ones_like(x[:, 0, :5, 0])},
            "answers",
        ),
        (
            "reset",
            lambda self, unused: self._start([0.0 * w for w in self.weights]),
            "back",
        ),
    ],
)
def test_what_a_device_judges_by_is_compared_too(monkeypatch, method, wrong, reason):
    monkeypatch.setattr(ArtifactModule, method, wrong)
    with pytest.raises(ExportError, match=reason):
        export(small(layers.Conv2D(3, 3, activation="relu")))


def test_what_tflite_2_14_would_overwrite_is_right():
    """Its plain kernels write over an image that is reshaped twice."""
    tf.keras.utils.set_random_seed(0)
    same = {"padding": "same"}
    middle = [layers.Conv2D(3, 3, **same), layers.DepthwiseConv2D(2, **same)]
    model = tf.keras.Sequential(
        [layers.Input((2, 2, 2)), *middle, layers.Flatten(), layers.Dense(4)]
    )
    done = export(model)
    assert len(done.parity) == 2 and all(p.answers < 1e-5 for p in done.parity)


def _seven(y):
    return {
        "loss": 7.0 + 0.0 * tf.cast(y, tf.float32),
        "correct": tf.cast(y, tf.float32),
    }


def test_steps_that_diverge_are_no_fault_of_the_file():
    policy = Policy(learning_rate=1e38)
    with pytest.raises(ExportError, match=r"diverge at learning rate 1e\+38.*smaller"):
        export(small(layers.Dense(4, "relu")), policy=policy)


def test_a_model_without_a_finite_loss_is_told_apart():
    model = small()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(ExportError, match="before any step"):
        export(model)


@pytest.mark.parametrize("last", [None, "softmax"])
@pytest.mark.parametrize("kind", ["ai_edge_litert", "tflite_runtime"])
def test_infer_gives_probabilities_for_any_batch(last, kind):
    model = small(layers.Conv2D(3, 3, activation="relu"), last=last)
    session = open_session(export(model), kind)
    for n in (1, 7, 33):
        x = np.random.default_rng(n).random((n, 6, 6, 1), dtype=np.float32)
        expected = model(x) if last else tf.nn.softmax(model(x))
        np.testing.assert_allclose(session.infer(x), expected, atol=1e-6)


def test_probabilities_are_left_as_they_are_behind_any_name():
    tf.keras.utils.set_random_seed(0)
    pooled = [layers.Conv2D(3, 3, activation=tf.nn.softmax), layers.GlobalAvgPool2D()]
    model = tf.keras.Sequential([layers.Input((6, 6, 1)), *pooled])
    x = np.random.default_rng(0).random((7, 6, 6, 1), dtype=np.float32)
    found = open_session(export(model)).infer(x)
    np.testing.assert_allclose(found, model(x), atol=1e-6)


def test_reset_and_restore_bring_weights_back():
    session = open_session(export(small(layers.Conv2D(3, 3, activation="tanh"))))
    initial = session.save()
    x, y = np.ones((8, 6, 6, 1), np.float32), np.zeros(8, np.int32)
    session.train_step(x, y, np.ones(8, np.float32), 0.1)
    trained = session.save()
    assert any((trained[w] != initial[w]).any() for w in initial)
    session.reset()
    assert all((session.save()[w] == initial[w]).all() for w in initial)
    session.restore(trained)
    assert all((session.save()[w] == trained[w]).all() for w in initial)


def test_scalar_weight_is_refused():
    class Scale(layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight("factor", ())

        def call(self, x):
            return x * self.factor

    with pytest.raises(ExportError, match="factor.*shape \\[1\\]"):
        export(small(Scale()))


def test_artifact_is_written_whole_or_not_at_all(tmp_path):
    write_artifact(b"new", tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").read_bytes() == b"new"
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "missing" / "model.tflite", tmp_path / "folder"):
        with pytest.raises(ExportError, match="--out"):
            write_artifact(b"x", out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "model.tflite"]


def test_nothing_is_written_over_what_the_export_reads(tmp_path):
    model, other = tmp_path / "model.keras", tmp_path / "other.tflite"
    key = certificate_path(other)
    for path in (model, key):
        path.write_bytes(b"mine")
    (tmp_path / "link").symlink_to(model)
    check_place(other, model)
    for out, what in ((model, model), (tmp_path / "link", model), (other, key)):
        with pytest.raises(ExportError, match=f"over {what}, which the export reads"):
            check_place(out, model, key)


def test_certificate_is_written_before_the_artifact(tmp_path):
    out = tmp_path / "model.tflite"
    write_artifact(b"new", out, b"certificate")
    assert certificate_path(out).read_bytes() == b"certificate"
    out.unlink()
    certificate_path(out).unlink()
    certificate_path(out).mkdir()
    with pytest.raises(ExportError, match="certificate.npz cannot be written"):
        write_artifact(b"new", out, b"certificate")
    assert not out.exists()
