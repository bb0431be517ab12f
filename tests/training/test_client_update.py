"""The inner loop against the same loop written out in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

tf = pytest.importorskip("tensorflow", reason="training needs the training install")

from fedp.device_runtime.examples import as_model_input  # noqa: E402
from fedp.training.algorithms import (  # noqa: E402
    fedavg,
    fedsgd,
    fomaml,
    maml,
    reptile,
)
from fedp.training.client_optimizers import sgd  # noqa: E402
from fedp.training.client_steps import epoch_order, model_input  # noqa: E402
from fedp.training.client_update import build_client_update  # noqa: E402
from fedp.training.models import build_model  # noqa: E402

LAYERS = tf.keras.layers
SEED = np.array([5, 6], np.int32)
THETA = [
    np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
    np.array([0.1, 0.0, -0.1], np.float32),
]


def linear_model():
    return tf.keras.Sequential([LAYERS.Input((4,)), LAYERS.Dense(3)])


def examples(count, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 4)).astype(np.float32)
    return x, random.integers(0, 3, count).astype(np.int32)


def run(model, algorithm, x, y, theta=THETA, seed=SEED, batch_size=4, rate=0.1):
    update = build_client_update(model, algorithm, batch_size, sgd(rate))
    theta = [tf.constant(w) for w in theta]
    return update(theta, tf.constant(x), tf.constant(y), tf.constant(seed))


def order_of(epoch, count):
    return epoch_order(tf.constant(count), tf.constant(SEED), epoch).numpy()


def numpy_loop(x, y, steps, batch_size=4, rate=0.1):
    """Softmax regression: d loss / d logits = (p - onehot(y)) / batch."""
    w, b = (each.astype(np.float64) for each in THETA)
    batches = -(-len(y) // batch_size)
    loss_sum = processed = 0
    for step in range(steps):
        epoch, batch = divmod(step, batches)
        rows = order_of(epoch, len(y))[batch * batch_size :][:batch_size]
        logits = x[rows] @ w + b
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        loss_sum -= np.log(p[np.arange(len(rows)), y[rows]]).sum()
        processed += len(rows)
        gradient = (p - np.eye(3)[y[rows]]) / len(rows)
        w -= rate * x[rows].T @ gradient
        b -= rate * gradient.sum(axis=0)
    return [w - THETA[0], b - THETA[1]], loss_sum, processed


@pytest.mark.parametrize(
    ("algorithm", "steps"),
    # 10 examples in batches of 4, 4 and 2: three batches an epoch.
    [(fedavg(1), 3), (fedavg(4), 12), (reptile(2), 2), (reptile(7), 7)],
)
def test_it_is_the_loop_written_out(algorithm, steps):
    x, y = examples(10)
    update, loss_sum, processed = numpy_loop(x, y, steps)
    result = run(linear_model(), algorithm, x, y)
    for found, expected in zip(result.update, update, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)
    assert float(result.loss_sum) == pytest.approx(loss_sum, rel=1e-5)
    assert (int(result.steps), int(result.processed)) == (steps, processed)
    assert (int(result.examples), int(result.not_finite)) == (10, 0)


def test_fedavg_weighs_by_examples_and_reptile_does_not():
    x, y = examples(10)
    assert float(run(linear_model(), fedavg(1), x, y).weight) == 10
    assert float(run(linear_model(), reptile(1), x, y).weight) == 1


def softmax_gradient(w, b, x, y):
    """Of the mean loss: d / d logits = (p - onehot(y)) / n."""
    p = np.exp(x @ w + b)
    d = (p / p.sum(axis=1, keepdims=True) - np.eye(3)[y]) / len(y)
    return x.T @ d, d.sum(axis=0)


def test_fomaml_is_the_next_gradient_alone():
    """Eq. 4, with 10 examples in batches of 4, 4 and 2."""
    x, y = examples(10)
    walked, _, _ = numpy_loop(x, y, steps=2)
    rows = order_of(0, 10)[8:]
    w, b = (a + g for a, g in zip(THETA, walked))
    expected = [-0.1 * g for g in softmax_gradient(w, b, x[rows], y[rows])]
    result = run(linear_model(), fomaml(2), x, y)
    for found, g in zip(result.update, expected):
        np.testing.assert_allclose(found, g, atol=2e-6)
    assert int(result.steps) == 3 and int(result.processed) == 10


def test_maml_is_the_loss_after_the_walk_differentiated_by_theta():
    """Eq. 3 by central differences of L(U_K(theta)) in float64."""
    x, y = examples(10)
    batches = [rows for rows in np.split(order_of(0, 10), [4, 8])]

    def loss_after_two_steps(flat):
        w, b = flat[:12].reshape(4, 3), flat[12:]
        for rows in batches[:2]:
            gw, gb = softmax_gradient(w, b, x[rows], y[rows])
            w, b = w - 0.1 * gw, b - 0.1 * gb
        logits = x[batches[2]] @ w + b
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -np.log(p[[0, 1], y[batches[2]]]).mean()

    theta = np.concatenate([w.ravel() for w in THETA]).astype(np.float64)
    h = 1e-5 * np.eye(len(theta))
    slope = [
        (loss_after_two_steps(theta + d) - loss_after_two_steps(theta - d)) / 2e-5
        for d in h
    ]
    found = run(linear_model(), maml(2), x, y).update
    flat = np.concatenate([np.ravel(g) for g in found])
    np.testing.assert_allclose(flat, -0.1 * np.array(slope), atol=2e-6)
    first_order = run(linear_model(), fomaml(2), x, y).update
    assert np.abs(found[0] - first_order[0]).max() > 1e-4


def test_without_local_steps_maml_fomaml_and_fedsgd_are_one():
    x, y = examples(10)
    updates = [run(linear_model(), a, x, y).update for a in (maml(0), fomaml(0))]
    for update in updates:
        for found, g in zip(update, run(linear_model(), fedsgd(), x, y).update):
            np.testing.assert_allclose(found, g, atol=1e-7)


@pytest.mark.parametrize("name", ["emnist_cnn", "mlp"])
def test_equation_5_on_a_real_model(name):
    """g_FedAvg = g_FedSGD + sum of g_FOMAML(j), j = 1..K-1, for K steps."""
    model = build_model(name, (28, 28, 1), 10, seed=0)
    theta = model.get_weights()
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (20, 28, 28), np.uint8)
    y = random.integers(0, 10, 20).astype(np.int32)

    def g(algorithm):
        return run(model, algorithm, x, y, theta, batch_size=5, rate=0.05).update

    whole = g(fedavg(1))  # K = 4 batches of 5
    parts = [g(fedsgd()), *(g(fomaml(j)) for j in range(1, 4))]
    for layer, pieces in zip(whole, zip(*parts)):
        scale = np.abs(layer).max()
        np.testing.assert_allclose(layer, sum(pieces), atol=1e-5 * scale, rtol=0)
        # Each of the parts counts.
        assert all(np.abs(layer - sum(pieces) + p).max() > 1e-3 * scale for p in pieces)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(0, 20), st.integers(0, 2**31 - 1))
def test_an_epoch_visits_every_example_once_in_an_order_of_its_own(count, epoch, seed):
    def order(epoch):
        seeds = tf.constant([seed, 1], tf.int32)
        return epoch_order(tf.constant(count), seeds, epoch).numpy().tolist()

    assert sorted(order(epoch)) == list(range(count))
    assert order(epoch) == order(epoch)
    # 20! orders: two equal ones would be no coincidence.
    assert count < 20 or order(epoch) != order(epoch + 1)


@pytest.mark.parametrize("algorithm", [fedavg(3), reptile(3), fomaml(2), maml(2)])
def test_no_examples_give_no_update(algorithm):
    result = run(linear_model(), algorithm, *examples(0))
    assert all(not g.numpy().any() for g in result.update)
    assert [float(v) for v in result[1:]] == [0] * 6


@pytest.mark.parametrize("algorithm", [fedavg(1), fomaml(3), maml(3)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_client_that_leaves_the_finite_numbers_counts_for_nothing(algorithm, bad):
    x, y = examples(10)
    x[7, 2] = bad
    result = run(linear_model(), algorithm, x, y)
    assert all(not g.numpy().any() for g in result.update)
    assert float(result.weight) == 0 and float(result.loss_sum) == 0
    assert int(result.not_finite) == 1


def test_uint8_is_scaled_as_devices_do_it():
    model = tf.keras.Sequential([LAYERS.Input((16, 16, 1)), LAYERS.Flatten()])
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    scale = tf.function(lambda images: model_input(images, model))
    expected = as_model_input(x, (16, 16, 1))
    np.testing.assert_array_equal(scale(tf.constant(x)), expected)


def test_dropout_is_drawn_from_the_seed():
    model = tf.keras.Sequential(
        [LAYERS.Input((4,)), LAYERS.Dropout(0.5), LAYERS.Dense(3)]
    )
    x, y = examples(4)  # one batch: the order changes nothing
    first = run(model, reptile(1), x, y).update[0].numpy()
    # Any other use of the model's own generator in between has to be harmless.
    model(tf.ones([2, 4]), training=True)
    again = run(model, reptile(1), x, y).update[0].numpy()
    other = run(model, reptile(1), x, y, seed=SEED + 1).update[0].numpy()
    without = run(linear_model(), reptile(1), x, y).update[0].numpy()
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert np.abs(first - without).max() > 1e-3


def test_every_step_drops_other_units():
    model = tf.keras.Sequential(
        [LAYERS.Input((64,)), LAYERS.Dropout(0.5), LAYERS.Dense(2, use_bias=False)]
    )
    theta = [np.zeros((64, 2), np.float32)]
    x, y = np.ones((1, 64), np.float32), np.zeros(1, np.int32)
    one = run(model, reptile(1), x, y, theta).update[0].numpy()
    two = run(model, reptile(2), x, y, theta).update[0].numpy()
    # A row of the update is zero where its input was dropped in every step.
    dropped_once, dropped_twice = (one == 0).all(axis=1), (two == 0).all(axis=1)
    assert 15 < dropped_once.sum() < 49
    assert 4 < dropped_twice.sum() < dropped_once.sum()
