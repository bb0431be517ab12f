"""Each optimizer against Keras' own, and started anew for every client."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.client_optimizers import (  # noqa: E402
    adam,
    client_optimizer_of,
    momentum,
    sgd,
)
from fedp.training.configuration import TrainingConfig  # noqa: E402

KERAS = tf.keras.optimizers.legacy
PAIRS = [
    (sgd(0.1), lambda: KERAS.SGD(0.1)),
    # Keras folds the learning rate into what it remembers; constant, it is the same.
    (momentum(0.1, 0.8), lambda: KERAS.SGD(0.1, momentum=0.8)),
    (adam(0.01), lambda: KERAS.Adam(0.01)),
]


def gradients(step):
    random = np.random.default_rng(step)
    shapes = [(3, 2), (2,)]
    return [tf.constant(random.normal(size=s).astype(np.float32)) for s in shapes]


def fresh():
    return [tf.Variable(tf.ones([3, 2])), tf.Variable(tf.ones([2]))]


@pytest.mark.parametrize(("optimizer", "keras"), PAIRS)
def test_five_steps_are_those_of_keras(optimizer, keras):
    ours, theirs, peer = fresh(), fresh(), keras()
    slots = optimizer.slots(ours)
    optimizer.start(slots)
    for step in range(5):
        optimizer.step(ours, gradients(step), slots)
        peer.apply_gradients(zip(gradients(step), theirs))
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-6)


@pytest.mark.parametrize("optimizer", [pair[0] for pair in PAIRS])
def test_a_start_forgets_every_step_before(optimizer):
    weights = fresh()
    slots = optimizer.slots(weights)
    walks = []
    for _ in range(2):
        for weight in weights:
            weight.assign(tf.ones_like(weight))
        optimizer.start(slots)
        for step in range(3):
            optimizer.step(weights, gradients(step), slots)
        walks.append([w.numpy() for w in weights])
    for a, b in zip(*walks):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "slots"), [("sgd", 0), ("momentum", 2), ("adam", 1 + 2 * 2)]
)
def test_a_configuration_names_it(name, slots):
    config = TrainingConfig("synthetic", client_optimizer=name)
    optimizer = client_optimizer_of(config)
    assert optimizer.learning_rate == config.client_learning_rate
    assert len(optimizer.slots(fresh())) == slots
