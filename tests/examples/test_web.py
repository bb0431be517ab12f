"""The page of examples/web, driven in headless Chromium, against Python's runtime."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="exporting needs the training install")

from fedp.device_runtime.adaptation import adapt  # noqa: E402
from fedp.device_runtime.contract import Policy  # noqa: E402
from fedp.device_runtime.evidence import Evidence, Score, trials_of  # noqa: E402
from fedp.device_runtime.guards import candidates_of, decide  # noqa: E402
from fedp.device_runtime.session import Session  # noqa: E402
from fedp.export.exporter import Target, export_model  # noqa: E402

WEB = pathlib.Path(__file__).parents[2] / "examples/web"
SEED = 3
# Float32 rounding over some 50 steps of other kernels in another order of sums.
LOSS_TOLERANCE = 5e-6
WEIGHT_TOLERANCE = 2e-6

pytestmark = pytest.mark.slow


def node(*arguments, given=None):
    """Runs Node.js in the page's folder; what it prints."""
    done = subprocess.run(
        ["node", *arguments],
        cwd=WEB,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def packages():
    """What package-lock.json pins, from npm's registry or its cache."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed: the page needs Node.js 20 and npm")
    lock = json.loads((WEB / "package-lock.json").read_text())["packages"]
    installed = WEB / "node_modules/.package-lock.json"
    if installed.exists():
        found = json.loads(installed.read_text())["packages"]
        if all(found[name]["version"] == lock[name]["version"] for name in found):
            return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm ci cannot get the page's packages: {done.stderr[-300:]}")


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
    patterns = random.random((len(manifest.classes), *manifest.input_shape)) < 0.2
    y = random.integers(0, len(manifest.classes), count).astype(np.int32)
    noise = random.random((count, *manifest.input_shape))
    return (0.8 * patterns[y] + 0.2 * noise).astype(np.float32), y


def in_python(session, x, y):
    """Evidence, decision and final model of the device's procedure, and all losses."""
    manifest = session.manifest
    policy = manifest.policy
    features = session.features(x)
    trials = trials_of(policy, y, SEED)
    candidates = candidates_of(policy)
    session.reset()
    theta = session.save()
    initial = [session.evaluate(features[t.judge], y[t.judge]) for t in trials]
    judged = {candidate: [] for candidate in candidates}
    losses = []

    def run(numbers, epochs, on_epoch=None):
        session.reset()
        policy_now = Policy(learning_rate=policy.learning_rate, epochs=epochs)
        done = adapt(
            session, features[numbers], y[numbers], policy_now,
            batch_size=manifest.batch_size, seed=SEED, on_epoch=on_epoch,
        )  # fmt: skip
        losses.append(list(done.losses))
        return session.save()

    def blended(adapted, blend):
        share = np.float32(blend)
        return {n: w + share * (adapted[n] - w) for n, w in theta.items()}

    for trial in trials:
        stops = {}
        run(
            trial.adapt,
            policy.epochs,
            lambda epoch, _, now, stops=stops: stops.update({epoch: now.save()}),
        )
        for candidate in candidates:
            session.restore(blended(stops[candidate.epochs], candidate.blend))
            score = session.evaluate(features[trial.judge], y[trial.judge])
            judged[candidate].append(score)
    evidence = Evidence(
        joined(initial),
        {candidate: joined(scores) for candidate, scores in judged.items()},
        len(x),
        len(np.unique(y)),
    )
    decision = decide(evidence, policy)
    weights = None
    if decision.keep:
        adapted = run(np.arange(len(x)), decision.epochs)
        weights = blended(adapted, decision.blend)
        session.restore(weights)
    else:
        session.reset()
    return losses, evidence, decision, weights, session.infer(x)


def joined(scores):
    return Score(*(np.concatenate(part) for part in zip(*scores)))


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


@pytest.mark.parametrize(
    ("build", "policy"),
    [
        (images, Policy(learning_rate=0.02, epochs=4, blends=(0.5, 1.0))),
        (vectors, Policy("head", learning_rate=0.2, epochs=3, guard="hold-out")),
    ],
)
def test_the_page_adapts_and_decides_as_python_does(
    build, policy, tmp_path, record_property
):
    tf.keras.utils.set_random_seed(0)
    model, target, classes = build(policy)
    export = export_model(
        model, name=build.__name__, classes=classes, target=target, parity_steps=4
    )
    artifact = tmp_path / "model.tflite"
    artifact.write_bytes(export.content)
    manifest = export.manifest
    x, y = examples_of(manifest, 30)
    trials = trials_of(manifest.policy, y, SEED)
    session = Session.open(manifest, export.content)
    before = session.infer(x)
    losses, evidence, decision, weights, after = in_python(session, x, y)
    assert decision.keep  # Else the rest would compare little.

    given = {
        "artifact": str(artifact),
        "x": x.tolist(),
        "y": [classes[label] for label in y],
        "trials": [
            {"adapt": t.adapt.tolist(), "judge": t.judge.tolist()} for t in trials
        ],
        "orders": orders_of(manifest, len(x), trials),
        "vectors": [],
    }
    found = json.loads(node("tests/drive.mjs", given=given))
    compared, used = found["compared"], found["used"]

    assert compared["sha256"] == manifest.sha256
    assert [len(part) for part in compared["losses"]] == [len(p) for p in losses]
    loss = worst(np.concatenate(compared["losses"]), np.concatenate(losses))
    judged = [
        worst(mine["losses"], evidence.candidates[candidate].losses)
        for candidate, mine in zip(
            candidates_of(policy), compared["evidence"]["candidates"]
        )
    ]
    wanted = [weights[spec.name].ravel() for spec in manifest.weights]
    weight = worst(np.concatenate(compared["weights"]), np.concatenate(wanted))
    answer = max(worst(compared["before"], before), worst(compared["after"], after))
    print(f"losses within {loss:.1e}, judged {max(judged):.1e}, ", end="")
    print(f"weights {weight:.1e}, answers {answer:.1e}, step {compared['step_ms']} ms")
    assert max(loss, answer, *judged) < LOSS_TOLERANCE
    assert weight < WEIGHT_TOLERANCE
    print(decision, compared["decision"])
    print(json.dumps(used, indent=1), compared["grown"])
