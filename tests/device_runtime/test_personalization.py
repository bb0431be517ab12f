"""One personalization: its steps, and that it may be stopped before any of them."""

import dataclasses
import gc
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedp.device_runtime import Budget, Meter, Personalizer, Progress, read_artifact
from fedp.device_runtime.adaptation import adapt
from fedp.device_runtime.contract import Policy
from fedp.device_runtime.errors import StateError
from fedp.device_runtime.evidence import Candidate, trials_of
from fedp.device_runtime.examples import examples_for
from fedp.device_runtime.guards import Decision, decide
from fedp.device_runtime.personalization import Personalization
from fedp.device_runtime.session import Session
from fedp.device_runtime.unfinished import Snapshot
from fedp.device_runtime.weights import blended

from .conftest import make_examples

X, Y = make_examples(30)
PROBE, _ = make_examples(20, seed=1)
# 4 trials of 22 or 23 examples in 2 batches, then 30 in 2: 2 * 4 * (4 + 1) steps.
POLICY = Policy(learning_rate=0.1, epochs=4, guard="sure", blends=(0.5, 1.0))
STEPS = 40


@pytest.fixture(scope="module")
def session(mlp_artifact: pathlib.Path) -> Session:
    return Session.open(*read_artifact(mlp_artifact))


def plan(session: Session, policy: Policy = POLICY, **options) -> Personalization:
    x, y = examples_for(X, Y, session.manifest)
    return Personalization(session, x, y, policy, seed=3, **options)


def same(first, second) -> bool:
    """Whether two results are equal to the last bit."""
    if first.decision != second.decision:
        return False
    one, two = first.evidence, second.evidence
    scores = [(one.initial, two.initial)]
    scores += [(one.candidates[c], two.candidates[c]) for c in one.candidates]
    pairs = [pair for a, b in scores for pair in zip(a, b, strict=True)]
    if (first.weights is None) != (second.weights is None):
        return False
    if first.weights is not None:
        pairs += [(first.weights[n], second.weights[n]) for n in first.weights]
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize("guard", ["sure", "cross-validation"])
def test_it_is_what_its_parts_are(session: Session, guard: str) -> None:
    """Written out once more, with plain loops."""
    asked = dataclasses.replace(POLICY, guard=guard)
    result = plan(session, asked).run()
    x, y = examples_for(X, Y, session.manifest)
    session.reset()
    theta = session.save()

    def adapted(part: np.ndarray, epochs: int):
        session.reset()
        policy = dataclasses.replace(POLICY, epochs=epochs)
        adapt(session, x[part], y[part], policy, batch_size=20, seed=3)
        return session.save()

    trials = trials_of(asked, y, 3)
    assert len(trials) == 4 and len(result.evidence.candidates) == 2
    for (epochs, blend), score in result.evidence.candidates.items():
        losses = []
        for trial in trials:
            session.restore(blended(theta, adapted(trial.adapt, epochs), blend))
            losses.append(session.evaluate(x[trial.judge], y[trial.judge])[0])
        assert (np.concatenate(losses) == score.losses).all()
    assert result.decision == decide(result.evidence, asked)
    assert result.decision.keep
    everything = np.arange(len(x))
    weights = adapted(everything, result.decision.epochs)
    weights = blended(theta, weights, result.decision.blend)
    assert all((weights[n] == result.weights[n]).all() for n in weights)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(stops=st.lists(st.integers(0, STEPS // 2), max_size=4))
def test_stops_change_nothing(session: Session, stops: list[int]) -> None:
    whole = plan(session).run()
    saved: list[Snapshot] = []
    done = 0
    for steps in stops:
        run = plan(session, save=saved.append)
        if saved:
            assert run.resume(Snapshot.from_bytes(saved[-1].to_bytes()))
        result = run.run(Meter(Budget(steps=steps)))
        done += steps
        if result is not None:
            break
        assert (run.stopped_by, run.steps) == ("steps", done)
    run = plan(session)
    if saved:
        assert run.resume(saved[-1])
    assert same(run.run(), whole)
    assert run.steps <= run.all_steps == STEPS


def test_progress(session: Session) -> None:
    told: list[Progress] = []
    result = plan(session, on_progress=told.append).run()
    assert result.decision.keep
    assert [p.steps for p in told] == list(range(1, len(told) + 1))
    assert [p.trial for p in told[:32:8]] == [1, 2, 3, 4]
    assert {p.phase for p in told[:32]} == {"judging"}
    assert {(p.phase, p.trial) for p in told[32:]} == {("adapting", 0)}
    assert [p.epoch for p in told[:8]] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert told[-1].share == len(told) / STEPS
    assert told[-1].seconds >= told[0].seconds > 0


@pytest.mark.parametrize("guard", ["sure", "hold-out", "paired", "blend", "always"])
def test_a_loss_that_explodes_ends_it_at_once(session: Session, guard: str) -> None:
    policy = dataclasses.replace(POLICY, learning_rate=1e30, guard=guard)
    run = plan(session, policy)
    result = run.run()
    assert (result.decision.keep, result.weights, run.stopped_by) == (
        False,
        None,
        "loss",
    )
    assert "NaN" in result.decision.reason
    assert run.steps < 8  # Not even the first trial is completed.


def test_no_guard_needs_no_evidence(session: Session) -> None:
    run = plan(session, dataclasses.replace(POLICY, guard="always"))
    result = run.run()
    assert (run.steps, result.evidence.judged) == (8, 0)
    assert result.decision[:2] == Decision(4, 1.0, "")[:2]
    run = plan(session, dataclasses.replace(POLICY, guard="never"))
    assert run.run().weights is None and run.steps == 0


def test_asked_for_all_candidates_it_judges_beyond_an_explosion(
    session: Session,
) -> None:
    policy = dataclasses.replace(POLICY, learning_rate=3.0, epochs=3)
    wanted = [Candidate(1, 1.0), Candidate(3, 1.0)]
    run = plan(session, policy, candidates=wanted)
    evidence = run.gather()
    assert 0 < run.lasted < 3 and not evidence.finite
    assert np.isfinite(evidence.candidates[wanted[0]].losses).all()
    assert np.isnan(evidence.candidates[wanted[1]].losses).any()


def test_a_foreign_snapshot_is_not_taken_up(session: Session) -> None:
    saved: list[Snapshot] = []
    assert plan(session, save=saved.append).run(Meter(Budget(steps=5))) is None
    other = dataclasses.replace(POLICY, blends=(1.0,))
    assert not plan(session, other).resume(saved[0])
    short = dataclasses.replace(saved[0], weights=saved[0].weights[:-4])
    assert not plan(session).resume(short)
    content = saved[0].to_bytes()
    for damaged in (b"", content[:100], b"PK" + content[2:50], content[:-30]):
        assert Snapshot.from_bytes(damaged) is None


# Through the front door ---------------------------------------------------------------

WHOLE = Budget(epochs=30)


def test_an_adaptation_goes_on_in_another_process(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Stopped by the app, by steps, and by the end of the process between them."""
    program = """
import sys
import numpy as np
from fedp.device_runtime import Budget, Personalizer
with np.load(sys.argv[3]) as data, Personalizer.open(*sys.argv[1:3]) as device:
    budget = Budget(epochs=30, steps=int(sys.argv[4]))
    outcome = device.personalize(data["x"], data["y"], budget=budget)
    print(outcome.decision, outcome.steps)
"""
    np.savez(tmp_path / "me.npz", x=X, y=Y)
    state = tmp_path / "state"

    def other(steps: int) -> str:
        arguments = [mlp_artifact, state, tmp_path / "me.npz", steps]
        command = [sys.executable, "-c", program, *map(str, arguments)]
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.strip()

    with Personalizer.open(mlp_artifact) as device:
        alone = device.personalize(X, Y, budget=WHOLE)
        wanted = device.predict(PROBE)
    assert alone.decision == "keep"
    with Personalizer.open(mlp_artifact, state) as device:
        initial = device.predict(PROBE)
        outcome = device.personalize(X, Y, budget=WHOLE, should_stop=iter(
            [False] * 25 + [True]
        ).__next__)  # fmt: skip
        assert (outcome.decision, outcome.stopped_by) == ("unfinished", "should_stop")
        assert (outcome.steps, outcome.generation) == (25, None)
        assert "after 25 of at most 300 steps" in outcome.reason
        assert device.status().live == "initial"
    assert other(70) == "unfinished 70"
    assert other(1000) == f"keep {alone.steps - 95}"
    with Personalizer.open(mlp_artifact, state) as device:
        assert (device.predict(PROBE) == wanted).all() and (wanted != initial).any()
        # All is done: the next one begins anew.
        assert device.personalize(X, Y, budget=WHOLE).steps == alone.steps


def test_stored_examples_that_came_meanwhile_wait_for_the_next_one(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        ids = [device.add_example(x, y) for x, y in zip(X[:29], Y[:29], strict=True)]
        half = Budget(epochs=30, steps=50)
        assert device.personalize(budget=half).decision == "unfinished"
        device.add_example(X[29], Y[29])
        outcome = device.personalize(budget=WHOLE)
        assert (outcome.examples, outcome.decision) == (29, "keep")
        assert outcome.steps < 300 - 40
        assert device.personalize(budget=half).examples == 30
        # What was deleted must not be learned from any more.
        assert device.delete_example(ids[0])
        assert device.personalize(budget=WHOLE).examples == 29


def test_other_examples_begin_anew(mlp_artifact: pathlib.Path) -> None:
    with Personalizer.open(mlp_artifact) as device:
        half = Budget(epochs=30, steps=50)
        assert device.personalize(X, Y, budget=half).stopped_by == "steps"
        outcome = device.personalize(X[:20], Y[:20], budget=half)
        assert "after 50 of" in outcome.reason
        outcome = device.personalize(X[:20], Y[:20], budget=half)
        assert "after 100 of" in outcome.reason
        assert "after 50 of" in device.personalize(X, Y, budget=half, seed=1).reason


def test_the_newest_examples_stay_within_a_budget(mlp_artifact: pathlib.Path) -> None:
    with Personalizer.open(mlp_artifact) as device:
        few = Budget(epochs=10, examples=12)
        assert device.personalize(X, Y, budget=few).examples == 12
        after = device.predict(PROBE)
        device.personalize(X[-12:], Y[-12:], budget=Budget(epochs=10))
        assert (device.predict(PROBE) == after).all()


def test_memory_that_runs_out_stops_it(mlp_artifact: pathlib.Path) -> None:
    held: list[np.ndarray] = []

    def grow(_: Progress) -> None:
        held.append(np.ones(50_000_000))

    gc.collect()
    with Personalizer.open(mlp_artifact) as device:
        budget = Budget(epochs=30, memory_mb=100)
        outcome = device.personalize(X, Y, budget=budget, on_progress=grow)
        assert (outcome.decision, outcome.stopped_by) == ("unfinished", "memory_mb")
        assert 1 <= outcome.steps < 6


def test_what_is_forgotten_meanwhile_does_not_come_back(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Also the app's other threads go on: predict, feedback, forget."""
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        device.personalize(X, Y, budget=WHOLE)

        def forget(progress: Progress) -> None:
            if progress.steps == 20:
                other = threading.Thread(target=live_on)
                other.start()
                other.join(20)
                assert not other.is_alive()

        def live_on() -> None:
            assert device.record_feedback(True) is not None
            device.predict(PROBE)
            device.forget()

        with pytest.raises(StateError, match="forgotten while"):
            device.personalize(X, Y, budget=WHOLE, seed=1, on_progress=forget)
        assert device.status().live == "initial"
        assert device.status().generations == 0
