import numpy as np
import pytest

from fedp.device_runtime.adaptation import adapt
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import DataError
from fedp.device_runtime.examples import as_model_input
from fedp.device_runtime.personalizer import Personalizer
from fedp.device_runtime.session import Session
from fedp.training.data import Examples, open_data, split_examples
from fedp.training.evaluation.clients import evaluate_clients
from fedp.training.evaluation.one_client import evaluate_client

SPEC = "synthetic:12"


@pytest.fixture(scope="module")
def names():
    return list(open_data(SPEC, max_examples=60).clients())


@pytest.fixture(scope="module")
def results(mlp_artifact, names):
    return evaluate_clients(mlp_artifact, SPEC, names, max_examples=60, processes=1)


@pytest.fixture(scope="module")
def evaluate(mlp_artifact):
    read = read_artifact(mlp_artifact)
    with Personalizer.open(mlp_artifact) as device:

        def evaluate(client, support, query, seed):
            session = Session.open(*read)
            return evaluate_client(client, support, query, device, session, seed)

        yield evaluate


def parts(client):
    examples = open_data(SPEC, max_examples=60).load(client)
    return split_examples(client, examples, seed=0)


def test_results_do_not_depend_on_the_number_of_processes(mlp_artifact, names, results):
    seen = []
    by_two = evaluate_clients(
        mlp_artifact,
        SPEC,
        names,
        max_examples=60,
        processes=2,
        on_result=lambda done, total, result: seen.append((done, total, result)),
    )
    assert by_two == results
    assert [(done, total) for done, total, _ in seen] == [
        (n, len(names)) for n in range(1, len(names) + 1)
    ]
    assert sorted(r.client for *_, r in seen) == names


def test_results_come_in_client_order_whatever_came_before(
    mlp_artifact, names, results
):
    again = evaluate_clients(
        mlp_artifact, SPEC, names[:4][::-1], max_examples=60, processes=1
    )
    assert again == results[:4][::-1]


def test_deployed_is_what_a_device_serves(mlp_artifact, results):
    for result in results[:4]:
        support, query = parts(result.client)
        with Personalizer.open(mlp_artifact) as fresh:
            outcome = fresh.personalize(support.x, support.y, seed=0)
            hits = fresh.predict(query.x).argmax(axis=1) == query.y
        assert result.deployed == hits.mean()
        assert result.reason == outcome.reason
        assert result.kept == (outcome.decision == "keep")
        assert (result.adapt_examples, result.test_examples) == (
            len(support.y),
            len(query.y),
        )


def test_a_kept_model_is_a_personalized_one_and_a_reverted_one_the_initial(
    results, evaluate
):
    # Labels without rhyme or reason: nothing is to be learned.
    support, query = parts("writer-0000001")
    labels = np.random.default_rng(0).permutation(len(support.y)) % 62
    lost = evaluate("lost", support._replace(y=labels), query, seed=0)
    results = [*results, lost]
    assert {r.kept for r in results} == {True, False}
    epochs = 5  # The policy's; the guard may also take half of them.
    for result in results:
        kept = {result.curve[3], result.curve[epochs]}
        assert result.deployed in (kept if result.kept else {result.initial})
        assert result.curve[0] == result.initial
        assert result.curve[-1] == result.personalized
        assert len(result.curve) == 1 + epochs
    assert any(len(set(result.curve)) > 2 for result in results)


def test_the_curve_is_of_an_adaptation_on_all_examples(mlp_artifact, evaluate):
    support, query = parts("writer-0000001")
    result = evaluate("ann", support, query, seed=3)
    manifest, content = read_artifact(mlp_artifact)
    session = Session.open(manifest, content)
    accuracies = []

    def measure(*_):
        hits = session.evaluate(as_model_input(query.x, (28, 28, 1)), query.y)[1]
        accuracies.append(float(hits.mean(dtype=np.float64)))

    measure()
    adapt(
        session,
        as_model_input(support.x, (28, 28, 1)),
        support.y,
        manifest.policy,
        batch_size=manifest.batch_size,
        seed=3,
        on_epoch=measure,
    )
    assert list(result.curve) == accuracies


def test_the_device_and_its_guard_never_see_the_test_part(names, evaluate):
    support, query = parts(names[1])
    honest = evaluate(names[1], support, query, seed=0)
    wrong = query._replace(y=(query.y + 1) % 62)
    misled = evaluate(names[1], support, wrong, seed=0)
    assert (misled.reason, misled.kept) == (honest.reason, honest.kept)
    assert misled.curve != honest.curve


def test_a_single_example_is_tested_on_and_the_initial_model_stays(evaluate):
    one = Examples(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int32))
    support, query = split_examples("ann", one, seed=0)
    result = evaluate("ann", support, query, seed=0)
    assert (result.adapt_examples, result.test_examples) == (0, 1)
    assert not result.kept
    assert result.deployed == result.initial == result.personalized


def test_a_diverging_client_is_measured_as_it_ends(evaluate):
    # Inputs of 1e30 make the loss Inf or NaN before the five local epochs are over.
    x = np.full((20, 28, 28), 1e30, np.float32)
    hot = Examples(x, np.arange(20, dtype=np.int32))
    _, query = parts("writer-0000001")
    result = evaluate("hot", hot, query, seed=0)
    assert not result.kept and "NaN" in result.reason
    assert result.deployed == result.initial
    assert 2 <= len(result.curve) < 6


def test_an_unknown_client_is_an_error_of_one_line(mlp_artifact):
    for processes in (1, 2):
        with pytest.raises(DataError, match="no client") as caught:
            evaluate_clients(
                mlp_artifact, SPEC, ["nobody", "no one"], processes=processes
            )
        assert "\n" not in str(caught.value)
