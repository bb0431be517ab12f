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
from fedp.training.client_optimizers import client_optimizer_of, sgd  # noqa: E402
from fedp.training.client_update import build_client_update  # noqa: E402
from fedp.training.configuration import (  # noqa: E402
    PERSONALIZED_FEDAVG,
    Stage,
    TrainingConfig,
)
from fedp.training.engines.contract import ClientData, ClientType  # noqa: E402
from fedp.training.engines.local import LocalEngine  # noqa: E402
from fedp.training.engines.worker_process import WorkerError  # noqa: E402
from fedp.training.sampling import Participant  # noqa: E402

LAYERS = tf.keras.layers
BATCH, RATE = 4, 0.1
FEDAVG = Stage("s", "fedavg", 1, local_epochs=2, server_optimizer="sgd")
REPTILE = Stage("s", "reptile", 1, local_steps=3, server_optimizer="sgd")
THETA = [
    np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    np.zeros(3, np.float32),
]


@pytest.fixture(scope="module")
def model():
    return tf.keras.Sequential([LAYERS.Input((2,)), LAYERS.Dense(3)])


def process_of(model, stage, client_optimizer=None, clients=3):
    return federated.build_process(
        model,
        ClientType(np.dtype(np.float32), (2,)),
        algorithm=algorithm_of(stage),
        batch_size=BATCH,
        client_optimizer=client_optimizer or sgd(RATE),
        server_optimizer=federated.server_optimizer_of(stage),
        aggregation=federated.aggregation_of(stage, clients),
    )


class Process:
    """A stage on the default engine, with clients handed over instead of read."""

    def __init__(self, model, stage, client_optimizer=None, clients=3):
        functions = process_of(model, stage, client_optimizer, clients).functions()
        self.clients = {}
        self.engine = LocalEngine(functions, lambda who: self.clients[who.client])

    def initial(self, theta):
        return self.engine.initial(theta)

    def next(self, state, clients):
        self.clients = {str(number): each for number, each in enumerate(clients)}
        who = [Participant(name, each.seed) for name, each in self.clients.items()]
        result = self.engine.next(state, who)
        return result.state, result.sums


def client(count, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)).astype(np.float32)
    y = random.integers(0, 3, count).astype(np.int32)
    return ClientData(x, y, np.array([seed, 0], np.int32))


CLIENTS = [client(3, 1), client(9, 2), client(20, 3)]


def updates(model, stage, theta=THETA, clients=CLIENTS, optimizer=None):
    """Each client's g_i, computed here and not in TFF's runtime."""
    run = build_client_update(model, algorithm_of(stage), BATCH, optimizer or sgd(RATE))
    theta = [tf.constant(w) for w in theta]
    results = [run(theta, *map(tf.constant, each)) for each in clients]
    return [[g.numpy() for g in result.update] for result in results]


def mean(updates, weights):
    return [np.average(layer, axis=0, weights=weights) for layer in zip(*updates)]


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_fedavg_moves_to_the_mean_weighted_by_examples(model):
    process = Process(model, FEDAVG)
    state, sums = process.next(process.initial(THETA), CLIENTS)
    g = mean(updates(model, FEDAVG), weights=[3, 9, 20])
    assert_close(state[:2], [w + step for w, step in zip(THETA, g)])
    # Batches of 4: 1 + 3 + 5 an epoch.
    assert (sums.examples, sums.processed, sums.steps) == (32, 64, 18)


def test_reptile_moves_to_the_plain_mean(model):
    process = Process(model, REPTILE)
    state, sums = process.next(process.initial(THETA), CLIENTS)
    g = mean(updates(model, REPTILE), weights=[1, 1, 1])
    assert_close(state[:2], [w + step for w, step in zip(THETA, g)])
    weighted = mean(updates(model, REPTILE), weights=[3, 9, 20])
    assert np.abs(weighted[0] - g[0]).max() > 1e-3
    assert sums.steps == 9


def test_momentum_by_hand(model):
    """m <- 0.9 m + (-g); theta <- theta - alpha m."""
    stage = dataclasses.replace(
        FEDAVG, server_optimizer="momentum", server_learning_rate=0.5
    )
    process = Process(model, stage)
    state = process.initial(THETA)
    theta, m = THETA, [np.zeros_like(w) for w in THETA]
    for _ in range(3):
        state, _ = process.next(state, CLIENTS)
        g = mean(updates(model, stage, theta), weights=[3, 9, 20])
        m = [0.9 * a - b for a, b in zip(m, g)]
        theta = [(w - 0.5 * a).astype(np.float32) for w, a in zip(theta, m)]
    assert_close(state[:2], theta)


def test_adam_by_hand(model):
    """Kingma and Ba 2015, with epsilon outside of the bias correction."""
    stage = dataclasses.replace(
        REPTILE, server_optimizer="adam", server_learning_rate=0.01
    )
    process = Process(model, stage)
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
    assert_close(state[:2], theta)


def test_by_default_the_server_has_momentum_then_adam_and_clients_have_sgd(model):
    """Algorithm 2 by hand, which swapped optimizers would not give."""
    config = TrainingConfig("synthetic", client_learning_rate=RATE)
    fedavg, reptile = PERSONALIZED_FEDAVG
    process = Process(model, fedavg, client_optimizer_of(config))
    state, theta, m = process.initial(THETA), THETA, [0.0, 0.0]
    for _ in range(2):
        state, _ = process.next(state, CLIENTS)
        g = mean(updates(model, fedavg, theta), weights=[3, 9, 20])
        m = [0.9 * a + b for a, b in zip(m, g)]
        theta = [(w + a).astype(np.float32) for w, a in zip(theta, m)]
    assert_close(state[:2], theta)
    process = Process(model, reptile, client_optimizer_of(config))
    state, _ = process.next(process.initial(THETA), CLIENTS)
    g = mean(updates(model, reptile), weights=[1, 1, 1])
    # The first step of Adam is alpha along the sign, up to epsilon.
    steps = [b / (np.abs(b) + 1e-7 / math.sqrt(0.001)) for b in g]
    assert_close(state[:2], [w + 1e-3 * s for w, s in zip(THETA, steps)])


def test_the_client_optimizer_of_the_configuration_walks(model):
    config = TrainingConfig(
        "synthetic", client_optimizer="adam", client_learning_rate=RATE
    )
    optimizer = client_optimizer_of(config)
    process = Process(model, REPTILE, optimizer)
    state, _ = process.next(process.initial(THETA), CLIENTS)
    g = mean(updates(model, REPTILE, optimizer=optimizer), weights=[1, 1, 1])
    assert_close(state[:2], [w + step for w, step in zip(THETA, g)])


def test_unweighted_makes_every_client_weigh_the_same(model):
    stage = dataclasses.replace(FEDAVG, aggregator="unweighted")
    process = Process(model, stage)
    state, _ = process.next(process.initial(THETA), CLIENTS)
    g = mean(updates(model, FEDAVG), weights=[1, 1, 1])
    assert_close(state[:2], [w + step for w, step in zip(THETA, g)])


def test_a_robust_mean_zeroes_an_update_that_is_far_too_large(model):
    stage = dataclasses.replace(FEDAVG, aggregator="robust")
    far = client(9, 5)._replace(x=client(9, 5).x * 1e4)
    process = Process(model, stage)
    state = process.initial(THETA)
    for _ in range(8):  # it learns what is usual
        state, _ = process.next([*map(np.asarray, THETA), *state[2:]], CLIENTS)
    state, _ = process.next([*THETA, *state[2:]], [*CLIENTS, far])
    plain = Process(model, FEDAVG)
    poisoned, _ = plain.next(plain.initial(THETA), [*CLIENTS, far])
    clean, _ = plain.next(plain.initial(THETA), CLIENTS)
    moved = np.abs(state[0] - clean[0]).max()
    assert moved < 0.1 and np.abs(poisoned[0] - clean[0]).max() > 100


def test_dp_clips_each_update_and_adds_noise_to_their_sum(model):
    """Mean of 200 rounds: the clipped mean; spread: z * clip / M a coordinate."""
    stage = dataclasses.replace(
        FEDAVG, aggregator="dp", clip_norm=0.05, noise_multiplier=2.0
    )
    process = Process(model, stage)
    start = process.initial(THETA)
    found = np.array([process.next(start, CLIENTS)[0][0] for _ in range(200)])
    clipped = []
    for update in updates(model, FEDAVG):
        norm = math.sqrt(sum((layer**2).sum() for layer in update))
        clipped.append([layer * min(1, 0.05 / norm) for layer in update])
        assert norm > 0.05
    expected = THETA[0] + mean(clipped, weights=[1, 1, 1])[0]
    deviation = 2.0 * 0.05 / 3
    error = np.abs(found.mean(axis=0) - expected)
    assert error.max() < 4.5 * deviation / math.sqrt(200)
    # A standard deviation of 1,200 draws is off by 2 % at one sigma.
    assert np.std(found - found.mean(axis=0)) == pytest.approx(deviation, rel=0.1)


def test_a_client_with_nan_is_left_out(model):
    process = Process(model, FEDAVG)
    broken = client(50, 4)
    broken.x[3, 1] = np.nan
    state, sums = process.next(process.initial(THETA), [*CLIENTS, broken])
    alone, _ = process.next(process.initial(THETA), CLIENTS)
    assert_close(state[:2], alone[:2])
    assert sums.not_finite == 1 and math.isfinite(sums.loss_sum)


def test_a_round_without_any_usable_client_moves_nothing(model):
    process = Process(model, FEDAVG)
    state, sums = process.next(process.initial(THETA), [client(0, 1)])
    assert_close(state[:2], THETA)
    assert sums.examples == 0


def test_building_a_process_leaves_keras_models_alone(model):
    """Keras models built inside TFF's graphs would break those built before."""
    x = np.ones((1, 2), np.float32)
    before = model(x).numpy()
    process_of(model, FEDAVG)
    np.testing.assert_array_equal(model(x).numpy(), before)


def test_outside_of_the_runtime_nothing_is_started(model):
    process = process_of(model, FEDAVG)
    with federated.tff.framework.get_context_stack().install(federated.OUTSIDE):
        with pytest.raises(WorkerError, match="outside of native_runtime"):
            process.initialize()
