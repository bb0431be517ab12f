"""What every engine has to do, and that all of them give the same model.

Weights agree to 2e-6 after three rounds that move them by 0.01 and more: float32 sums
of the same numbers in another order.
"""

import contextlib

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="training needs the training install")
federated = pytest.importorskip(
    "fedp.training.federated", reason="needs tensorflow-federated"
)

from fedp.device_runtime.errors import DataError  # noqa: E402
from fedp.training.algorithms import algorithm_of  # noqa: E402
from fedp.training.checkpoints import read_checkpoint, write_checkpoint  # noqa: E402
from fedp.training.client_optimizers import sgd  # noqa: E402
from fedp.training.config_sources import parse_stage, stages_of  # noqa: E402
from fedp.training.configuration import TrainingConfig  # noqa: E402
from fedp.training.engines.contract import ClientType  # noqa: E402
from fedp.training.engines.opening import open_engine  # noqa: E402
from fedp.training.loading import open_training_data, read_client  # noqa: E402
from fedp.training.sampling import Participant  # noqa: E402

TOLERANCE = 2e-6
LAYERS = tf.keras.layers
THETA = [
    np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
    np.zeros(3, np.float32),
]
STAGES = [
    "fedavg,rounds=3,E=2",
    "fedavg,rounds=3,E=1,aggregator=unweighted",
    "reptile,rounds=3,K=3",
    "fedsgd,rounds=3,server=sgd,lr=1",
    "fomaml,rounds=3,K=2,server=sgd,lr=1",
    "maml,rounds=3,K=2,server=sgd,lr=1",
    "fedavg,rounds=3,E=1,aggregator=robust",
]


@pytest.fixture(scope="module")
def model():
    return tf.keras.Sequential([LAYERS.Input((4,)), LAYERS.Dense(3)])


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    """Eight clients of 2 to 16 examples; "broken" holds NaN, which no reader takes."""
    random = np.random.default_rng(0)
    names = [*(f"c{n}" for n in range(8)), "broken"]
    client = np.repeat(names, [*range(2, 18, 2), 3])
    x = random.normal(size=(len(client), 4)).astype(np.float32)
    x[client == "broken"] = np.nan
    path = tmp_path_factory.mktemp("data") / "floats.npz"
    np.savez(path, x=x, y=random.integers(0, 3, len(client)), client=client)
    return path


@pytest.fixture(scope="module", params=["local", "tff", "ray"])
def engine(request, data_file, tmp_path_factory):
    """Opens stages on one engine; started once for all tests."""
    config = TrainingConfig(
        str(data_file), engine=request.param, clients_per_round=6, clients_per_task=2
    )
    data = open_training_data(config)
    log = tmp_path_factory.mktemp("log") / "engine.log"

    def read(participant):
        return read_client(data, config, participant)

    with contextlib.closing(data), open_engine(config, read, log) as open_stage:
        yield open_stage


@pytest.fixture(scope="module")
def reference(data_file):
    """The default engine with one client at a time."""
    from fedp.training.engines.local import LocalEngine

    config = TrainingConfig(str(data_file))
    data = open_training_data(config)

    def open_stage(process):
        return LocalEngine(
            process.functions(), lambda who: read_client(data, config, who), threads=1
        )

    return open_stage


def process_of(model, text):
    (stage,) = stages_of([parse_stage(text)])
    return federated.build_process(
        model,
        ClientType(np.dtype(np.float32), (4,)),
        algorithm=algorithm_of(stage),
        batch_size=4,
        client_optimizer=sgd(0.1),
        server_optimizer=federated.server_optimizer_of(stage),
        aggregation=federated.aggregation_of(stage, 6),
    )


def participants(number):
    names = [f"c{n}" for n in np.random.default_rng(number).permutation(8)[:6]]
    return [
        Participant(n, np.array([number, i], np.int32)) for i, n in enumerate(names)
    ]


def walk(stage, rounds=3):
    states, sums = [stage.initial(THETA)], []
    for number in range(rounds):
        upcoming = participants(number + 1)
        result = stage.next(states[-1], participants(number), upcoming)
        states.append(result.state)
        sums.append(result.sums)
        assert not result.failed
    return states, sums


@pytest.mark.parametrize("text", STAGES)
def test_all_engines_give_the_same_model(model, engine, reference, text):
    process = process_of(model, text)
    with (
        contextlib.closing(engine(process)) as stage,
        contextlib.closing(reference(process)) as other,
    ):
        (states, sums), (expected, expected_sums) = walk(stage), walk(other)
    for state, wanted in zip(states, expected):
        assert [leaf.dtype for leaf in state] == [leaf.dtype for leaf in wanted]
        for leaf, other_leaf in zip(state, wanted):
            np.testing.assert_allclose(leaf, other_leaf, atol=TOLERANCE, rtol=1e-5)
    for found, wanted in zip(sums, expected_sums):
        assert found == pytest.approx(wanted, rel=1e-5)
    if "reptile" not in text:  # Adam at 1e-3 moves less
        assert np.abs(states[-1][0] - THETA[0]).max() > 0.01


def test_a_state_is_left_as_it_was_and_goes_through_a_checkpoint(
    model, engine, tmp_path
):
    with contextlib.closing(engine(process_of(model, "reptile,rounds=3,K=2"))) as stage:
        states, _ = walk(stage, 1)
        copy = [leaf.copy() for leaf in states[1]]
        write_checkpoint(tmp_path, 1, states[1])
        _, stored = read_checkpoint(tmp_path)
        once = stage.next(states[1], participants(1)).state
        again = stage.next(stored, participants(1)).state
    for a, b in zip(states[1], copy):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(once, again):
        np.testing.assert_array_equal(a, b)


def test_a_client_that_cannot_be_read_is_left_out_and_named(model, engine, reference):
    process = process_of(model, STAGES[0])
    broken = Participant("broken", np.zeros(2, np.int32))
    unknown = Participant("nobody", np.zeros(2, np.int32))
    rest = participants(0)
    with (
        contextlib.closing(engine(process)) as stage,
        contextlib.closing(reference(process)) as other,
    ):
        result = stage.next(stage.initial(THETA), [rest[0], broken, *rest[1:], unknown])
        expected = other.next(other.initial(THETA), rest)
    assert set(result.failed) == {"broken", "nobody"}
    assert "NaN" in result.failed["broken"] and "\n" not in result.failed["broken"]
    np.testing.assert_allclose(result.state[0], expected.state[0], atol=TOLERANCE)
    assert result.sums.examples == expected.sums.examples


def test_without_any_client_nothing_moves(model, engine):
    broken = Participant("broken", np.zeros(2, np.int32))
    with contextlib.closing(engine(process_of(model, STAGES[0]))) as stage:
        state = stage.initial(THETA)
        result = stage.next(state, [broken])
    np.testing.assert_array_equal(result.state[0], THETA[0])
    assert result.sums.examples == 0 and set(result.failed) == {"broken"}


def test_the_reference_reads_with_the_readers_errors(data_file):
    data = open_training_data(TrainingConfig(str(data_file)))
    with contextlib.closing(data), pytest.raises(DataError):
        data.load("broken")
