"""The live weights: trained as NumPy trains them, saved, restored, isolated."""

import dataclasses
import pathlib

import numpy as np
import pytest

from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.contract import Manifest
from fedp.device_runtime.errors import ArtifactError, StateError
from fedp.device_runtime.examples import as_model_input
from fedp.device_runtime.interpreter import available_interpreters
from fedp.device_runtime.session import Session
from fedp.device_runtime.weights import Weights

from .conftest import make_examples

BOTH = pytest.mark.skipif(
    len(available_interpreters()) < 2, reason="needs both interpreters installed"
)


def examples(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_examples(count, seed)
    return as_model_input(x, (28, 28, 1)), y.astype(np.int32)


def open_session(path: pathlib.Path, kind: str | None = None) -> Session:
    return Session.open(*read_artifact(path), kind)


def distance(a: Weights, b: Weights) -> float:
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


def numpy_forward(weights: Weights, x: np.ndarray) -> list[np.ndarray]:
    """Inputs of each dense layer, then the probabilities, in float64."""
    layers = [x.reshape(len(x), -1).astype(np.float64)]
    count = len(weights) // 2
    for layer in range(count):
        kernel, bias = weights[f"w{2 * layer}"], weights[f"w{2 * layer + 1}"]
        z = layers[-1] @ kernel.astype(np.float64) + bias
        layers.append(np.maximum(z, 0) if layer < count - 1 else z)
    z = np.exp(layers.pop())
    return [*layers, z / z.sum(axis=1, keepdims=True)]


def numpy_step(
    weights: Weights, x: np.ndarray, y: np.ndarray, rate: float
) -> tuple[float, Weights]:
    """Mean log loss and the weights after one step of SGD, by the chain rule."""
    *layers, probabilities = numpy_forward(weights, x)
    loss = -np.log(probabilities[np.arange(len(y)), y]).mean()
    delta = probabilities.copy()
    delta[np.arange(len(y)), y] -= 1  # d loss / d logits = p - onehot(y)
    delta /= len(y)
    after = {}
    for layer in reversed(range(len(layers))):
        kernel = weights[f"w{2 * layer}"].astype(np.float64)
        after[f"w{2 * layer}"] = kernel - rate * layers[layer].T @ delta
        after[f"w{2 * layer + 1}"] = weights[f"w{2 * layer + 1}"] - rate * delta.sum(0)
        delta = (delta @ kernel.T) * (layers[layer] > 0)
    return float(loss), after


@pytest.mark.parametrize("count", [1, 7, 20])
def test_train_step_is_sgd(kind: str, mlp_artifact: pathlib.Path, count: int) -> None:
    session = open_session(mlp_artifact, kind)
    x, y = examples(count)
    loss, after = numpy_step(session.save(), x, y, 0.5)
    ones = np.ones(count, np.float32)
    assert session.train_step(x, y, ones, 0.5) == pytest.approx(loss, rel=1e-5)
    assert distance(session.save(), after) < 1e-5


def test_infer_and_evaluate_agree_with_numpy(
    kind: str, mlp_artifact: pathlib.Path
) -> None:
    session = open_session(mlp_artifact, kind)
    x, y = examples(150)  # More than a batch, and not a multiple of one.
    expected = numpy_forward(session.save(), x)[-1]
    assert np.abs(session.infer(x) - expected).max() < 1e-5
    losses, correct = session.evaluate(x, y)
    assert np.abs(losses + np.log(expected[np.arange(150), y])).max() < 1e-4
    assert (correct == (expected.argmax(axis=1) == y)).all()
    assert losses.shape == correct.shape == (150,)


def test_a_partial_batch_counts_by_its_size(
    kind: str, cnn_artifact: pathlib.Path
) -> None:
    """7 examples give the step that the same 7 give twice over, in a batch of 14."""
    x, y = examples(7)
    once, twice = open_session(cnn_artifact, kind), open_session(cnn_artifact, kind)
    loss = once.train_step(x, y, np.ones(7, np.float32), 0.1)
    both = np.concatenate([x, x]), np.concatenate([y, y])
    assert twice.train_step(*both, np.ones(14, np.float32), 0.1) == pytest.approx(loss)
    assert distance(once.save(), twice.save()) < 1e-6


def test_examples_of_weight_zero_do_not_count(
    kind: str, cnn_artifact: pathlib.Path
) -> None:
    x, y = examples(20)
    weight = np.array([1] * 7 + [0] * 13, np.float32)
    padded, full = open_session(cnn_artifact, kind), open_session(cnn_artifact, kind)
    assert padded.train_step(x[:7], y[:7], weight[:7], 0.1) == pytest.approx(
        full.train_step(x, y, weight, 0.1)
    )
    assert distance(padded.save(), full.save()) < 1e-6


def test_nothing_at_all(kind: str, mlp_artifact: pathlib.Path) -> None:
    session = open_session(mlp_artifact, kind)
    x, y = examples(0)
    assert session.infer(x).shape == (0, 62)
    assert [part.shape for part in session.evaluate(x, y)] == [(0,), (0,)]
    before = session.save()
    session.train_step(x, y, np.zeros(0, np.float32), 0.1)
    assert distance(session.save(), before) == 0


def test_save_restore_reset(kind: str, mlp_artifact: pathlib.Path) -> None:
    session = open_session(mlp_artifact, kind)
    x, y = examples(20)
    initial, before = session.save(), session.infer(x)
    session.train_step(x, y, np.ones(20, np.float32), 0.5)
    trained, after = session.save(), session.infer(x)
    assert distance(trained, initial) > 1e-3
    session.reset()
    assert distance(session.save(), initial) == 0
    assert (session.infer(x) == before).all()
    session.restore(trained)
    assert distance(session.save(), trained) == 0
    assert (session.infer(x) == after).all()


def test_restore_before_anything_else(kind: str, mlp_artifact: pathlib.Path) -> None:
    """The variables' initializer must not come after it."""
    weights = {
        name: value + 1 for name, value in open_session(mlp_artifact).save().items()
    }
    session = open_session(mlp_artifact, kind)
    session.restore(weights)
    session.infer(examples(1)[0])
    session.train_step(*examples(1), np.ones(1, np.float32), 0.0)
    assert distance(session.save(), weights) == 0


def test_sessions_share_nothing(kind: str, mlp_artifact: pathlib.Path) -> None:
    one, other = open_session(mlp_artifact, kind), open_session(mlp_artifact, kind)
    x, y = examples(20)
    before = other.save()
    one.train_step(x, y, np.ones(20, np.float32), 0.5)
    assert distance(other.save(), before) == 0


def test_saved_weights_are_copies(kind: str, mlp_artifact: pathlib.Path) -> None:
    session = open_session(mlp_artifact, kind)
    saved = session.save()
    copies = {name: value.copy() for name, value in saved.items()}
    x, y = examples(20)
    session.train_step(x, y, np.ones(20, np.float32), 0.5)
    session.save()
    assert distance(saved, copies) == 0


def test_weights_of_another_model(kind: str, mlp_artifact: pathlib.Path) -> None:
    session = open_session(mlp_artifact, kind)
    before = session.save()
    with pytest.raises(StateError, match="weight w1"):
        session.restore({**before, "w1": np.zeros(3, np.float32)})
    assert distance(session.save(), before) == 0


def test_memory_layout_does_not_matter(kind: str, mlp_artifact: pathlib.Path) -> None:
    session = open_session(mlp_artifact, kind)
    x, y = examples(9)
    strided = np.repeat(np.asfortranarray(x), 2, axis=0)[::2]
    assert (session.infer(strided) == session.infer(x)).all()
    assert (session.evaluate(strided, y)[0] == session.evaluate(x, y)[0]).all()


def test_manifest_of_another_artifact(kind: str, mlp_artifact: pathlib.Path) -> None:
    manifest: Manifest
    manifest, content = read_artifact(mlp_artifact)
    wrong = dataclasses.replace(manifest, input_shape=(3,))
    session = Session.open(wrong, content, kind)
    with pytest.raises(ArtifactError, match="'infer' fails"):
        session.infer(np.zeros((1, 3), np.float32))


@BOTH
@pytest.mark.parametrize("model", ["mlp_artifact", "cnn_artifact"])
def test_both_interpreters_predict_the_same(
    model: str, request: pytest.FixtureRequest
) -> None:
    """Within 1e-6 in probability, and so do their losses within 1e-5."""
    path = request.getfixturevalue(model)
    one, other = (open_session(path, kind) for kind in available_interpreters())
    x, y = examples(50)
    assert np.abs(one.infer(x) - other.infer(x)).max() < 1e-6
    assert np.abs(one.evaluate(x, y)[0] - other.evaluate(x, y)[0]).max() < 1e-5


@BOTH
@pytest.mark.parametrize("model", ["mlp_artifact", "cnn_artifact"])
def test_both_interpreters_train_the_same(
    model: str, request: pytest.FixtureRequest
) -> None:
    """Ten steps of the client optimizer: within 1e-5 in loss and in every weight."""
    path = request.getfixturevalue(model)
    one, other = (open_session(path, kind) for kind in available_interpreters())
    for step in range(10):
        x, y = examples(20, seed=step)
        ones = np.ones(20, np.float32)
        losses = [s.train_step(x, y, ones, 0.02) for s in (one, other)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert distance(one.save(), other.save()) < 1e-5


def test_outputs_of_another_shape_than_the_manifest_s(mlp_artifact: pathlib.Path):
    """Whoever forges a manifest gets an error that a user can read."""
    manifest, _ = read_artifact(mlp_artifact)
    size = manifest.batch_size

    class Other:
        kind = "other"

        def run(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
            shapes = {"features": (size, 5), "loss": (1,), "output": (3, 61)}
            return {name: np.zeros(shape) for name, shape in shapes.items()}

    forged = dataclasses.replace(manifest, features_shape=(7,))
    session = Session(forged, Other())
    x, y = np.zeros((3, 28, 28, 1), np.float32), np.zeros(3, np.int32)
    for action, message in (
        (lambda: session.features(x), r"features of shape \[3, 5\].*\[3, 7\]"),
        (lambda: session.evaluate(x, y), r"loss of shape \[1\].*\[3\]"),
        (lambda: session.infer(x), r"output of shape \[3, 61\].*\[3, 62\]"),
    ):
        with pytest.raises(ArtifactError, match=message):
            action()
