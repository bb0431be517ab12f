import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.training.algorithms import fedavg  # noqa: E402
from fedp.training.client_update import build_client_update, sgd  # noqa: E402
from fedp.training.data.federated import Examples  # noqa: E402
from fedp.training.evaluation_rounds import (  # noqa: E402
    EvaluationClient,
    build_evaluation,
)

LAYERS = tf.keras.layers
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


def test_initial_and_personalized_are_uniform_means_over_clients():
    evaluate = build_evaluation(linear_model(), 4, sgd(0.5), epochs=5)
    found = evaluate(THETA, [PLAIN, SWAPPED])
    assert found.initial == pytest.approx((0.75 + 0) / 2)
    assert found.personalized == pytest.approx((0.75 + 1) / 2)
    assert evaluate(THETA, [SWAPPED, PLAIN]) == found


def test_personalization_is_the_client_update_of_training():
    model = linear_model()
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 1))
    y = (x[:, 0] + random.normal(size=60) < 0.3).astype(int)
    one = client(examples(x[:30], y[:30]), examples(x[30:], y[30:]), 3)
    found = build_evaluation(model, 8, sgd(0.05), epochs=2)(THETA, [one])
    run = build_client_update(model, fedavg(2), 8, sgd(0.05))
    g = run([tf.constant(w) for w in THETA], *one.support, one.seed).update
    logits = one.query.x @ (THETA[0] + g[0].numpy()) + THETA[1] + g[1].numpy()
    assert found.personalized == pytest.approx(
        (logits.argmax(axis=1) == one.query.y).mean()
    )
