"""Client optimizers inside the file: their steps, and when they forget."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from fedp.device_runtime.contract import CROSS_ENTROPY
from fedp.device_runtime.errors import ExportError, StateError
from fedp.device_runtime.session import Session
from fedp.export.device_optimizers import device_optimizer
from fedp.export.exporter import Target, export_model

layers = tf.keras.layers
KINDS = ["ai_edge_litert", "tflite_runtime"]
RATE = 0.05


def model() -> tf.keras.Model:
    tf.keras.utils.set_random_seed(0)
    return tf.keras.Sequential(
        [layers.Input((12,)), layers.Dense(2000, activation="tanh"), layers.Dense(3)]
    )


@pytest.fixture(scope="module", params=["momentum", "adam"])
def done(request):
    return export_model(
        model(),
        name="test",
        classes=["a", "b", "c"],
        loss=CROSS_ENTROPY,
        target=Target(batch_size=8, client_optimizer=request.param),
        parity_steps=2,
    )


def batches(count):
    random = np.random.default_rng(0)
    for _ in range(count):
        x = random.random((8, 12), dtype=np.float32)
        yield x, random.integers(0, 3, 8).astype(np.int32), np.ones(8, np.float32)


def keras_weights(name, count):
    """Weights after some steps of Keras' own optimizer of that name."""
    net = model()
    optimizer = (
        tf.keras.optimizers.Adam(RATE)
        if name == "adam"
        else tf.keras.optimizers.SGD(RATE, momentum=0.9)
    )
    for x, y, _ in batches(count):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=net(x))
            )
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables, strict=True))
    return [v.numpy() for v in net.trainable_variables]


def train(session, count, skip=0):
    for batch in list(batches(skip + count))[skip:]:
        session.train_step(*batch, RATE)


@pytest.mark.parametrize("kind", KINDS)
def test_ten_steps_are_those_of_keras(done, kind):
    session = Session.open(done.manifest, done.content, kind)
    train(session, 10)
    expected = keras_weights(done.manifest.client_optimizer, 10)
    for found, value in zip(session.save().values(), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", ["reset", "restore"])
def test_slots_are_forgotten_where_an_adaptation_starts(done, kind, again):
    session = Session.open(done.manifest, done.content, kind)
    initial = session.save()
    train(session, 3)
    first = session.save()
    assert all(np.any(slot) for slot in session.save_slots().values())
    session.reset() if again == "reset" else session.restore(initial)
    assert not any(np.any(slot) for slot in session.save_slots().values())
    train(session, 3)
    assert all((session.save()[name] == first[name]).all() for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_adaptation_goes_on_from_weights_and_slots(done, kind):
    whole = Session.open(done.manifest, done.content, kind)
    train(whole, 6)
    begun = Session.open(done.manifest, done.content, kind)
    train(begun, 4)
    begun.infer(np.zeros((1, 12), np.float32))  # tflite_runtime hands weights over
    rest = Session.open(done.manifest, done.content, kind)
    rest.restore(begun.save())
    rest.restore_slots(begun.save_slots())
    train(rest, 2, skip=4)
    for name, value in whole.save().items():
        assert (rest.save()[name] == value).all()


def test_slots_of_another_optimizer_are_refused(done):
    session = Session.open(done.manifest, done.content)
    with pytest.raises(StateError, match="s0"):
        session.restore_slots({})


def test_slots_take_no_room_in_the_file(done):
    weights = sum(4 * int(np.prod(w.shape)) for w in done.manifest.weights)
    slots = sum(4 * int(np.prod(s.shape)) for s in done.manifest.slots)
    assert slots >= weights
    assert len(done.content) < weights + 60_000


def test_unknown_optimizers_and_settings_are_refused():
    with pytest.raises(ExportError, match="allowed are sgd, momentum, adam"):
        device_optimizer("lion")
    with pytest.raises(ExportError, match="no setting 'beta1'; allowed are momentum"):
        device_optimizer("momentum", {"beta1": 0.9})
