"""A round on TFF's runtime against the paper's formulas over plain client updates."""

import dataclasses
import math

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")
federated = pytest.importorskip(
    "fedp.training.federated", reason="needs tensorflow-federated"
)

from fedp.training.algorithms import algorithm_of  # noqa: E402
from fedp.training.client_update import build_client_update, sgd  # noqa: E402
from fedp.training.configuration import Stage  # noqa: E402
from fedp.training.worker import WorkerError  # noqa: E402

LAYERS = tf.keras.layers
BATCH, RATE = 4, 0.1
FEDAVG = Stage("s", "fedavg", 1, local_epochs=2, server_optimizer="sgd")
REPTILE = Stage("s", "reptile", 1, local_steps=3, server_optimizer="sgd")
THETA = [
    np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    np.zeros(3, np.float32),
]


@pytest.fixture(scope="module", autouse=True)
def runtime(tmp_path_factory):
    with federated.native_runtime(tmp_path_factory.mktemp("worker") / "log") as worker:
        yield worker


@pytest.fixture(scope="module")
def model():
    return tf.keras.Sequential([LAYERS.Input((2,)), LAYERS.Dense(3)])


def process_of(model, stage):
    return federated.build_process(
        model,
        np.dtype(np.float32),
        (2,),
        algorithm=algorithm_of(stage),
        batch_size=BATCH,
        client_optimizer=sgd(RATE),
        server_optimizer=federated.server_optimizer_of(stage),
    )


def client(count, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)).astype(np.float32)
    y = random.integers(0, 3, count).astype(np.int32)
    return federated.ClientData(x, y, np.array([seed, 0], np.int32))


CLIENTS = [client(3, 1), client(9, 2), client(20, 3)]


def updates(model, stage, theta=THETA, clients=CLIENTS):
    """Each client's g_i, computed here and not in TFF's runtime."""
    run = build_client_update(model, algorithm_of(stage), BATCH, sgd(RATE))
    theta = [tf.constant(w) for w in theta]
    results = [run(theta, *map(tf.constant, each)) for each in clients]
    return [[g.numpy() for g in result.update] for result in results]


def mean(updates, weights):
    return [np.average(layer, axis=0, weights=weights) for layer in zip(*updates)]


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_fedavg_moves_to_the_mean_weighted_by_examples(model):
    process = process_of(model, FEDAVG)
    state, sums = process.next(process.initial(THETA), CLIENTS)
    g = mean(updates(model, FEDAVG), weights=[3, 9, 20])
    assert_close(state.weights, [w + step for w, step in zip(THETA, g)])
    # Batches of 4: 1 + 3 + 5 an epoch.
    assert (sums.examples, sums.processed, sums.steps) == (32, 64, 18)


def test_reptile_moves_to_the_plain_mean(model):
    process = process_of(model, REPTILE)
    state, sums = process.next(process.initial(THETA), CLIENTS)
    g = mean(updates(model, REPTILE), weights=[1, 1, 1])
    assert_close(state.weights, [w + step for w, step in zip(THETA, g)])
    weighted = mean(updates(model, REPTILE), weights=[3, 9, 20])
    assert np.abs(weighted[0] - g[0]).max() > 1e-3
    assert sums.steps == 9


def test_momentum_by_hand(model):
    """m <- 0.9 m + (-g); theta <- theta - alpha m."""
    stage = dataclasses.replace(
        FEDAVG, server_optimizer="momentum", server_learning_rate=0.5
    )
    process = process_of(model, stage)
    state = process.initial(THETA)
    theta, m = THETA, [np.zeros_like(w) for w in THETA]
    for _ in range(3):
        state, _ = process.next(state, CLIENTS)
        g = mean(updates(model, stage, theta), weights=[3, 9, 20])
        m = [0.9 * a - b for a, b in zip(m, g)]
        theta = [(w - 0.5 * a).astype(np.float32) for w, a in zip(theta, m)]
    assert_close(state.weights, theta)


def test_adam_by_hand(model):
    """Kingma and Ba 2015, with epsilon outside of the bias correction."""
    stage = dataclasses.replace(
        REPTILE, server_optimizer="adam", server_learning_rate=0.01
    )
    process = process_of(model, stage)
    state = process.initial(THETA)
    theta = THETA
    m, v = ([np.zeros_like(w) for w in THETA] for _ in range(2))
    for t in range(1, 4):
        state, _ = process.next(state, CLIENTS)
        d = [-g for g in mean(updates(model, stage, theta), weights=[1, 1, 1])]
        m = [0.9 * a + 0.1 * b for a, b in zip(m, d)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, d)]
        rate = 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        theta = [
            (w - rate * a / (np.sqrt(b) + 1e-7)).astype(np.float32)
            for w, a, b in zip(theta, m, v)
        ]
    assert_close(state.weights, theta)


def test_a_client_with_nan_is_left_out(model):
    process = process_of(model, FEDAVG)
    broken = client(50, 4)
    broken.x[3, 1] = np.nan
    state, sums = process.next(process.initial(THETA), [*CLIENTS, broken])
    alone, _ = process.next(process.initial(THETA), CLIENTS)
    assert_close(state.weights, alone.weights)
    assert sums.not_finite == 1 and math.isfinite(sums.loss_sum)


def test_a_round_without_any_usable_client_moves_nothing(model):
    process = process_of(model, FEDAVG)
    state, sums = process.next(process.initial(THETA), [client(0, 1)])
    assert_close(state.weights, THETA)
    assert sums.examples == 0


def test_a_state_goes_through_a_checkpoint(model):
    stage = dataclasses.replace(REPTILE, server_optimizer="adam")
    process = process_of(model, stage)
    state, _ = process.next(process.initial(THETA), CLIENTS)
    arrays = federated.state_arrays(state)
    fresh = process.initial([np.zeros_like(w) for w in THETA])
    restored = federated.state_from_arrays(fresh, arrays)
    for a, b in zip(
        federated.state_arrays(process.next(state, CLIENTS)[0]),
        federated.state_arrays(process.next(restored, CLIENTS)[0]),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("stage", [FEDAVG, REPTILE])
def test_tff_can_compile_a_round_for_other_engines(model, stage):
    import tensorflow_federated as tff

    form = tff.backends.mapreduce.get_map_reduce_form_for_computation(
        process_of(model, stage).next
    )
    work = form.work.type_signature
    assert str(work.parameter[0]) == "<x=float32[?,2],y=int32[?],seed=int32[2]>"


def test_building_a_process_leaves_keras_models_alone(model):
    """Keras models built inside TFF's graphs would break those built before."""
    x = np.ones((1, 2), np.float32)
    before = model(x).numpy()
    process_of(model, FEDAVG)
    np.testing.assert_array_equal(model(x).numpy(), before)


def test_outside_of_the_runtime_nothing_is_started(model):
    import tensorflow_federated as tff

    process = process_of(model, FEDAVG)
    with tff.framework.get_context_stack().install(federated.OUTSIDE):
        with pytest.raises(WorkerError, match="outside of native_runtime"):
            process.initial(THETA)
