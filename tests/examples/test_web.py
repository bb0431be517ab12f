"""The page of examples/web, driven in headless Chromium, against Python's runtime."""

import json
import pathlib

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="exporting needs the training install")

from fedp.device_runtime.contract import Policy  # noqa: E402
from fedp.device_runtime.evidence import trials_of  # noqa: E402
from fedp.device_runtime.personalization import Personalization  # noqa: E402
from fedp.device_runtime.session import Session  # noqa: E402
from fedp.export.exporter import Target, export_model  # noqa: E402
from tests.in_node import install_packages, node  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
SEED = 3
# Float32 rounding over some 50 steps of other kernels in another order of sums.
LOSS_TOLERANCE = 5e-6
WEIGHT_TOLERANCE = 2e-6

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def packages():
    install_packages()


def images(policy):
    """All of a small convolutional model trains, with momentum."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    target = Target(
        batch_size=8, fixed_batch=True, client_optimizer="momentum", policy=policy
    )
    return model, target, ["bar", "beam", "box", "dot"]


def vectors(policy):
    """The head of a dense model trains, on features of the rest."""
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Input((6,)), layers.Dense(16, "relu"), layers.Dense(3)]
    )
    target = Target(batch_size=5, fixed_batch=True, policy=policy)
    return model, target, ["one", "two", "three"]


def examples_of(manifest, count):
    """Noise around a pattern of each class, float32 [n, ...], and labels."""
    random = np.random.default_rng(7)
    patterns = random.random((len(manifest.classes), *manifest.input_shape)) < 0.4
    y = random.integers(0, len(manifest.classes), count).astype(np.int32)
    noise = random.random((count, *manifest.input_shape))
    return (0.8 * patterns[y] + 0.2 * noise).astype(np.float32), y


def orders_of(manifest, count, trials):
    """What `adapt` draws from NumPy: [adaptation][epoch] -> order."""
    found = []
    for size in [*(len(trial.adapt) for trial in trials), count]:
        random = np.random.default_rng(SEED)
        epochs = range(manifest.policy.epochs)
        found.append([random.permutation(size).tolist() for _ in epochs])
    return found


def worst(found, wanted):
    """The largest difference of two arrays of one shape."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max())


def guard_vectors():
    return json.loads((ROOT / "device_runtime/vectors/guard.json").read_text())


def given_to_the_page(artifact, manifest, x, y):
    """The same examples, folds and orders as Python's, see tests/drive.mjs."""
    trials = trials_of(manifest.policy, y, SEED)
    return {
        "artifact": str(artifact),
        "x": x.tolist(),
        "y": [manifest.classes[label] for label in y],
        "trials": [
            {name: part.tolist() for name, part in trial._asdict().items()}
            for trial in trials
        ],
        "orders": orders_of(manifest, len(x), trials),
        "vectors": guard_vectors(),
        "steps": 200,
    }


def compare(found, manifest, content, x, y):
    """Step by step against the device runtime; returns the largest differences."""
    session = Session.open(manifest, content)
    before = session.infer(x)
    losses = []
    run = Personalization(
        session,
        session.features(x),
        y,
        manifest.policy,
        seed=SEED,
        on_progress=lambda progress: losses.append(progress.loss),
    )
    result = run.run()
    # Else there would be little to compare, and no change of a prediction to see.
    assert result.decision.keep
    session.restore(result.weights)
    after = session.infer(x)

    assert found["sha256"] == manifest.sha256
    mine, theirs = found["decision"], result.decision
    assert (mine["epochs"], mine["blend"]) == (theirs.epochs, theirs.blend)
    judged = found["evidence"]["candidates"]
    assert len(judged) == len(result.evidence.candidates)
    for one in judged:
        score = result.evidence.candidates[one["epochs"], one["blend"]]
        assert worst(one["losses"], score.losses) < LOSS_TOLERANCE
        assert one["correct"] == score.correct.tolist()
    assert np.abs(after - before).max() > 0.1
    weights = [result.weights[spec.name].ravel() for spec in manifest.weights]
    return {
        "losses": worst(np.concatenate(found["losses"]), losses),
        "weights": worst(np.concatenate(found["weights"]), np.concatenate(weights)),
        "answers": max(worst(found["before"], before), worst(found["after"], after)),
    }


def check_use(used, examples):
    """What a person sees: the answer changes, and that outlives a reload."""

    def answers(when):
        return {name: (a, b) for name, a, b in used[when]["answers"]}

    assert used["loaded"]["examples"] == examples
    assert all(a == b for a, b in answers("loaded").values())
    personalized = used["personalized"]
    assert personalized["verdict"] == "The personalized model is live."
    assert "log loss falls" in personalized["reason"]
    assert any(a != b for a, b in answers("personalized").values())
    assert used["reloaded"] == personalized
    assert used["damaged"]["verdict"] == "The initial model is live."
    assert "damaged" in used["damaged"]["error"]
    assert used["rolled_back"]["verdict"] == "The initial model is live."
    assert answers("rolled_back") == answers("loaded")
    assert used["other_artifact"] is None
    assert used["forgotten"]["examples"] == used["reverted"]["examples"] - 2 == 0
    assert used["forgotten"]["reason"] == "Nothing was learned yet."


@pytest.mark.parametrize(
    ("build", "policy"),
    [
        (images, Policy(learning_rate=0.02, epochs=4, blends=(0.5, 1.0))),
        (
            vectors,
            Policy("head", learning_rate=0.3, epochs=8, guard="cross-validation"),
        ),
    ],
)
def test_the_page_does_what_python_does(build, policy, tmp_path):
    tf.keras.utils.set_random_seed(0)
    model, target, classes = build(policy)
    export = export_model(
        model, name=build.__name__, classes=classes, target=target, parity_steps=4
    )
    artifact = tmp_path / "model.tflite"
    artifact.write_bytes(export.content)
    x, y = examples_of(export.manifest, 30)
    given = given_to_the_page(artifact, export.manifest, x, y)
    given["drawn"] = build is images
    found = json.loads(node("tests/drive.mjs", given=given, temporary=tmp_path))
    differences = compare(found["compared"], export.manifest, export.content, x, y)
    told = [f"{name} within {most:.1e}" for name, most in differences.items()]
    print(f"{build.__name__} in {found['browser']}:", ", ".join(told), end="; ")
    steps = sum(map(len, found["compared"]["losses"]))
    print(f"{steps} steps of {found['compared']['step_ms']:.1f} ms")
    assert differences["losses"] < LOSS_TOLERANCE
    assert differences["answers"] < LOSS_TOLERANCE
    assert differences["weights"] < WEIGHT_TOLERANCE
    assert found["compared"]["kept"]
    assert found["compared"]["again"] == found["compared"]["before"]
    assert found["compared"]["kept_tensors"] == 0  # Nothing collects them.
    assert found["compared"]["grown"] == 0  # bytes of the wasm heap
    decisions = [vector["decision"] for vector in given["vectors"]]
    for mine, theirs in zip(found["compared"]["decisions"], decisions, strict=True):
        assert (mine["epochs"], mine["blend"]) == (theirs["epochs"], theirs["blend"])
    check_use(found["used"], len(x))
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]


def test_the_contract_holds_in_node():
    assert "# fail 0" in node("--test", "--test-reporter=tap")


def test_an_artifact_of_any_batch_is_refused(tmp_path, mlp_artifact):
    given = {"artifact": str(mlp_artifact), "x": [], "y": []}
    with pytest.raises(AssertionError, match="export with --fixed-batch"):
        node("tests/drive.mjs", given=given, temporary=tmp_path)
    assert not list(tmp_path.iterdir())
