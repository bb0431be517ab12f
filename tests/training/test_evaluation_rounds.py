import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.algorithms import fedavg  # noqa: E402
from fedp.training.client_optimizers import momentum, sgd  # noqa: E402
from fedp.training.client_update import build_client_update  # noqa: E402
from fedp.training.data.federated import Examples  # noqa: E402
from fedp.training.engines.contract import ClientType  # noqa: E402
from fedp.training.evaluation_rounds import (  # noqa: E402
    Evaluation,
    EvaluationClient,
    build_evaluation,
)

LAYERS = tf.keras.layers
FLOATS = ClientType(np.dtype(np.float32), (1,))
# Class 0 for x < 0 and class 1 for x > 0.
THETA = [np.array([[0.0, 1.0]], np.float32), np.zeros(2, np.float32)]


def examples(x, y):
    return Examples(np.array(x, np.float32).reshape(-1, 1), np.array(y, np.int32))


def client(support, query, seed=0):
    return EvaluationClient(support, query, np.array([seed, seed], np.int32))


def linear_model():
    return tf.keras.Sequential([LAYERS.Input((1,)), LAYERS.Dense(2)])


# Three of four right at first; the support teaches nothing new (no examples).
PLAIN = client(examples([], []), examples([-1, -2, 1, 2], [0, 0, 1, 0]))
# This one swaps the classes, and has enough support to learn it: 0 right, then all.
SWAPPED = client(examples([-1, 1] * 20, [1, 0] * 20), examples([-1, 1], [1, 0]), 1)


def curves(clients, batch_size=4, optimizer=None, epochs=(0, 5), threads=2):
    rule = optimizer or sgd(0.5)
    function = build_evaluation(linear_model(), FLOATS, batch_size, rule, epochs)
    evaluation = Evaluation(function, threads)
    found = evaluation.curves(THETA, clients)
    assert evaluation.accuracy(THETA, clients) == tuple(found.mean(axis=0)[[0, -1]])
    evaluation.close()
    return found


def test_accuracies_before_and_after_of_each_client():
    found = curves([PLAIN, SWAPPED])
    np.testing.assert_allclose(found, [[0.75, 0.75], [0, 1]])
    np.testing.assert_array_equal(curves([SWAPPED, PLAIN]), found[::-1])


def noisy_client():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 1))
    y = (x[:, 0] + random.normal(size=60) < 0.3).astype(int)
    return client(examples(x[:30], y[:30]), examples(x[30:], y[30:]), 3)


@pytest.mark.parametrize("optimizer", [sgd(0.05), momentum(0.05)])
def test_a_curve_is_what_the_client_update_of_training_gives(optimizer):
    one = noisy_client()
    (found,) = curves([one], 8, optimizer, epochs=(0, 1, 2, 5))
    for epoch, accuracy in zip((1, 2, 5), found[1:]):
        run = build_client_update(linear_model(), fedavg(epoch), 8, optimizer)
        g = run([tf.constant(w) for w in THETA], *one.support, one.seed).update
        logits = one.query.x @ (THETA[0] + g[0].numpy()) + THETA[1] + g[1].numpy()
        assert accuracy == pytest.approx((logits.argmax(axis=1) == one.query.y).mean())


def test_threads_change_nothing():
    clients = [noisy_client(), SWAPPED, PLAIN] * 4
    np.testing.assert_array_equal(curves(clients, threads=1), curves(clients))
