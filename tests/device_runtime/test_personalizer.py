"""The front door on real artifacts and real files."""

import dataclasses
import os
import pathlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from fedp.device_runtime import Budget, Personalizer, read_artifact
from fedp.device_runtime.errors import ArtifactError, DataError, StateError

from .conftest import make_examples

WHOLE = Budget(epochs=30)
X, Y = make_examples(80)
PROBE, PROBE_Y = make_examples(100, seed=1)


def flip_in(path: pathlib.Path, needle: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(needle) + len(needle) // 2] ^= 1
    path.write_bytes(content)


def test_personalizes_and_remembers(
    kind: str, mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path, interpreter=kind) as device:
        assert device.interpreter == kind
        before = device.predict(PROBE)
        assert before.shape == (100, 62) and before.dtype == np.float32
        assert np.abs(before.sum(axis=1) - 1).max() < 1e-5
        assert device.status().live == "initial" and device.status().decision is None

        outcome = device.personalize(X, Y, budget=WHOLE)
        assert (outcome.decision, outcome.generation) == ("keep", 1)
        # Four trials of 60 examples judge by all 80, which the final model adapts on.
        assert (outcome.judged, outcome.examples, outcome.blend) == (80, 80, 1)
        assert (outcome.epochs, outcome.stopped_by) == (30, "epochs")
        assert outcome.steps == 30 * (4 * 3 + 4)
        assert outcome.personalized_accuracy > outcome.initial_accuracy
        assert outcome.personalized_loss < outcome.initial_loss
        assert 0 < outcome.seconds < 60

        after = device.predict(PROBE)
        assert (after.argmax(axis=1) == PROBE_Y).mean() > 0.9
        status = device.status()
        assert (status.live, status.generations, status.decision) == (1, 1, "keep")
        assert status.reason == outcome.reason and status.warnings == ()
        assert status.artifact == read_artifact(mlp_artifact)[0].sha256
        assert status.state == str(tmp_path / "state.sqlite")
    with Personalizer.open(mlp_artifact, tmp_path, interpreter=kind) as device:
        assert (device.predict(PROBE) == after).all()
        assert device.status() == status


def test_every_personalization_starts_from_the_initial_model(
    mlp_artifact: pathlib.Path,
) -> None:
    with Personalizer.open(mlp_artifact) as device:
        first = device.personalize(X, Y, budget=WHOLE, seed=3)
        once = device.predict(PROBE)
        second = device.personalize(X, Y, budget=WHOLE, seed=3)
        assert second.initial_loss == first.initial_loss
        assert (device.predict(PROBE) == once).all()


def test_reverts_what_is_worse(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Random labels are learned by heart; the hold-out tells."""
    random = np.random.default_rng(5)
    noise = random.integers(0, 256, (60, 28, 28)).astype(np.uint8)
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        initial = device.predict(PROBE)
        device.personalize(X, Y, budget=WHOLE)
        assert (device.predict(PROBE) != initial).any()
        outcome = device.personalize(
            noise, random.integers(0, 62, 60), budget=Budget(epochs=200)
        )
        assert outcome.decision == "revert"
        assert "nothing is surely better" in outcome.reason
        assert outcome.personalized_loss > outcome.initial_loss
        assert (device.predict(PROBE) == initial).all()
        status = device.status()
        assert (status.live, status.decision, status.generations) == (
            "initial",
            "revert",
            2,
        )
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert (device.predict(PROBE) == initial).all()
        assert device.status() == status


def test_rollback_and_reset(mlp_artifact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        models = [device.predict(PROBE)]
        for seed in (1, 2):
            assert device.personalize(X, Y, budget=WHOLE, seed=seed).decision == "keep"
            models.append(device.predict(PROBE))
        assert (models[1] != models[2]).any()
        assert device.rollback().live == 1
        assert (device.predict(PROBE) == models[1]).all()
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert (device.predict(PROBE) == models[1]).all()
        for _ in range(2):  # Beyond the first there is nothing to go back to.
            assert device.rollback().live == "initial"
            assert (device.predict(PROBE) == models[0]).all()
        device.personalize(X, Y, budget=WHOLE)
        status = device.reset()
        assert (status.live, status.generations) == ("initial", 0)
        assert (device.predict(PROBE) == models[0]).all()
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert (device.predict(PROBE) == models[0]).all()


@pytest.mark.parametrize(
    ("count", "judged", "reason"),
    [
        (0, 0, "there are no examples to adapt on"),
        (1, 0, "all examples have one label"),
        (2, 0, "too few examples to judge by: there are 0"),
        (5, 5, "nothing is surely better: after 5 epochs at blend 1, on 5 examples"),
    ],
)
def test_few_examples(
    kind: str, mlp_artifact: pathlib.Path, count: int, judged: int, reason: str
) -> None:
    with Personalizer.open(mlp_artifact, interpreter=kind) as device:
        before = device.predict(PROBE)
        outcome = device.personalize(X[:count], Y[:count])
        assert outcome.reason.startswith(reason)
        assert outcome.decision == "revert"
        assert (outcome.judged, outcome.examples) == (judged, count)
        assert (outcome.initial_accuracy is None) == (judged == 0)
        assert (device.predict(PROBE) == before).all()


def test_empty_lists_are_no_examples(mlp_artifact: pathlib.Path) -> None:
    with Personalizer.open(mlp_artifact) as device:
        outcome = device.personalize(np.array([]), np.array([]))
        assert outcome.reason == "there are no examples to adapt on"


def test_values_that_make_the_loss_overflow(
    kind: str, mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    huge = np.full((40, 28, 28), 1e38, np.float32)
    with Personalizer.open(mlp_artifact, tmp_path, interpreter=kind) as device:
        before = device.predict(PROBE)
        outcome = device.personalize(huge, Y[:40])
        assert (outcome.decision, outcome.stopped_by) == ("revert", "loss")
        assert "NaN" in outcome.reason and outcome.steps < 10
        assert (device.predict(PROBE) == before).all()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X[:, :27], Y),
        (X, Y[:-1]),
        (X, Y + 62),
        (X, Y.astype(float)),
        (np.full(X.shape, np.nan), Y),
        (X[:0], Y),
        (X, np.array(0)),
        (np.array(0.5), Y),
        (X[:0], np.array(0)),
        (np.array(0.5), Y[:0]),
        (np.array(0.5), np.array(0)),
        (X, None),
        (None, Y),
    ],
)
def test_wrong_examples_change_nothing(
    mlp_artifact: pathlib.Path, x: np.ndarray, y: np.ndarray
) -> None:
    with Personalizer.open(mlp_artifact) as device:
        device.personalize(X, Y, budget=WHOLE)
        before, status = device.predict(PROBE), device.status()
        with pytest.raises(DataError):
            device.personalize(x, y)
        assert (device.predict(PROBE) == before).all() and device.status() == status


def test_wrong_input_to_predict(mlp_artifact: pathlib.Path) -> None:
    with Personalizer.open(mlp_artifact) as device:
        with pytest.raises(DataError, match="the model takes"):
            device.predict(PROBE[:, :5])
        with pytest.raises(DataError, match=r"x has shape \[\]"):
            device.predict(np.array(0.5))
        assert device.predict(PROBE[:0]).shape == (0, 62)


def test_an_error_in_a_callback_changes_nothing(mlp_artifact: pathlib.Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with Personalizer.open(mlp_artifact) as device:
        device.personalize(X, Y, budget=WHOLE)
        before, status = device.predict(PROBE), device.status()
        with pytest.raises(KeyboardInterrupt):
            device.personalize(X, Y, seed=9, on_progress=stop)
        assert (device.predict(PROBE) == before).all() and device.status() == status
        assert device.personalize(X, Y, budget=WHOLE).decision == "keep"


def test_predict_goes_on_while_another_thread_personalizes(
    kind: str, mlp_artifact: pathlib.Path
) -> None:
    """Every answer is of the old or of the new model, whole."""
    answers: list[np.ndarray] = []
    with Personalizer.open(mlp_artifact, interpreter=kind) as device:
        old = device.predict(PROBE)
        thread = threading.Thread(
            target=device.personalize, args=(X, Y), kwargs={"budget": WHOLE}
        )
        thread.start()
        while thread.is_alive():
            answers.append(device.predict(PROBE))
            device.status()
        thread.join()
        new = device.predict(PROBE)
    assert (new != old).any()
    assert any((answer == old).all() for answer in answers)
    assert all((answer == old).all() or (answer == new).all() for answer in answers)


def test_many_threads_predict_at_once(kind: str, mlp_artifact: pathlib.Path) -> None:
    """Each gets the answer to its own question."""
    parts = [PROBE[start : start + 7 + start] for start in range(0, 40, 10)]
    wrong: list[int] = []
    with Personalizer.open(mlp_artifact, interpreter=kind) as device:
        answers = [device.predict(part) for part in parts]

        def ask(number: int) -> None:
            for _ in range(100):
                answer = device.predict(parts[number])
                if np.abs(answer - answers[number]).max() > 1e-6:
                    wrong.append(number)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_in_memory_leaves_no_file(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Personalizer.open(mlp_artifact) as device:
        device.personalize(X, Y, budget=WHOLE)
        device.personalize(X, Y, budget=WHOLE, seed=1)
        assert device.rollback().live == 1 and device.status().state is None
    assert os.listdir(tmp_path) == []


def test_closed(mlp_artifact: pathlib.Path) -> None:
    device = Personalizer.open(mlp_artifact)
    device.close()
    device.close()
    for use in (lambda: device.predict(PROBE), device.status, device.reset):
        with pytest.raises(StateError, match="open it again"):
            use()


def test_state_of_another_artifact(
    mlp_artifact: pathlib.Path, cnn_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        device.personalize(X, Y, budget=WHOLE)
        after = device.predict(PROBE)
    with Personalizer.open(cnn_artifact, tmp_path) as device:
        assert (device.status().live, device.status().generations) == ("initial", 0)
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert (device.predict(PROBE) == after).all()


def test_adapts_to_the_examples_it_was_told_of(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert device.personalize().reason == "there are no examples to adapt on"
        device.keep_examples(capacity=len(X))
        ids = [device.add_example(x, y) for x, y in zip(X[:3], Y[:3], strict=True)]
        with pytest.raises(DataError, match="shape"):
            device.add_example(X[0, 1:], Y[0])
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert device.delete_example(ids[1]) and not device.delete_example(ids[1])
        for x, y in zip(X[3:], Y[3:], strict=True):
            device.add_example(x, y, source="keyboard")
        stored = device.examples()
        kept = np.delete(np.arange(len(X)), 1)
        assert (stored.x == X[kept]).all() and (stored.y == Y[kept]).all()
        outcome = device.personalize(budget=WHOLE)
        assert (outcome.decision, outcome.examples) == ("keep", 79)
        after = device.predict(PROBE)
    with Personalizer.open(mlp_artifact) as device:
        device.personalize(X[kept], Y[kept], budget=WHOLE)
        assert (device.predict(PROBE) == after).all()


def test_forgets_examples_and_what_was_learned(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        initial = device.predict(PROBE)
        device.add_example(X[0], Y[0])
        assert device.personalize(X, Y, budget=WHOLE).decision == "keep"
        weights = sqlite3.connect(tmp_path / "state.sqlite")
        (blob,) = weights.execute("SELECT weights FROM generations").fetchone()
        weights.close()
        secrets = (X[0].tobytes()[300:500], blob[40_000:40_100])
        found = (tmp_path / "state.sqlite").read_bytes()
        assert all(secret in found for secret in secrets)
        assert (device.forget().live, len(device.examples().ids)) == ("initial", 0)
        assert (device.predict(PROBE) == initial).all()
        for path in tmp_path.iterdir():
            assert not any(secret in path.read_bytes() for secret in secrets)


def test_serves_what_another_process_has_adapted(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    adapt = """
import sys
import numpy as np
from fedp.device_runtime import Budget, Personalizer
with np.load(sys.argv[3]) as data, Personalizer.open(*sys.argv[1:3]) as device:
    def hold(progress):
        if progress.steps == 3:
            print("adapting", flush=True)
            sys.stdin.readline()
    device.personalize(data["x"], data["y"], budget=Budget(epochs=30), on_progress=hold)
    print("adapted", flush=True)
    sys.stdin.readline()
"""
    np.savez(tmp_path / "me.npz", x=X, y=Y)
    state = tmp_path / "state"
    arguments = [mlp_artifact, state, tmp_path / "me.npz"]
    with (
        Personalizer.open(mlp_artifact, state) as device,
        subprocess.Popen(
            [sys.executable, "-c", adapt, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other,
    ):
        initial = device.predict(PROBE)
        assert other.stdout.readline() == "adapting\n"
        with pytest.raises(StateError, match="another process is adapting"):
            device.personalize(X, Y)
        assert (device.predict(PROBE) == initial).all()
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "adapted\n"
        after = device.predict(PROBE)
        assert (after.argmax(axis=1) == PROBE_Y).mean() > 0.9
        assert device.status().live == 1
        # It dies as adapters do, and its lock with it.
        other.kill()
        other.wait()
        assert device.personalize(X, Y).decision == "keep"


@pytest.mark.parametrize("both", [True, False])
def test_reverts_a_model_whose_user_has_changed(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path, both: bool
) -> None:
    """Labels change half way; the log outlives the process."""

    def record(device: Personalizer, labels: np.ndarray) -> list[bool]:
        verdicts = []
        for x, y in zip(PROBE, labels, strict=True):
            if both:
                verdict = device.record_outcome(x, y)
            else:
                right = device.predict(x[None])[0].argmax() == y
                verdict = device.record_feedback(bool(right))
            verdicts.append(verdict is None or verdict.reverted)
        return verdicts

    names = np.arange(5)
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        initial = device.predict(PROBE)
        if not both:
            # Most of what the initial model says is right, so that it can be missed.
            said = device.predict(X).argmax(axis=1)
            names = np.array([np.bincount(said[Y == c]).argmax() for c in range(5)])
            names[3] = 61
        assert device.record_feedback(False) is None
        outcome = device.personalize(X, names[Y], budget=WHOLE)
        assert outcome.decision == "keep"
        after = device.predict(PROBE)
        assert not any(record(device, names[PROBE_Y]))
    # Now the initial model is right, or any other; the personalized one never is.
    changed = np.where(
        initial.argmax(axis=1) != after.argmax(axis=1), initial.argmax(axis=1), 60
    )
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        for x, y in zip(PROBE[:5], changed[:5], strict=True):
            device.record_outcome(x, y) if both else device.record_feedback(False)
        assert device.status().live == 1
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        verdicts = record(device, changed)
        assert 1 <= verdicts.index(True) <= 40
        status = device.status()
        assert (status.live, status.decision) == ("initial", "revert")
        assert "has become worse than the initial one" in status.reason
        assert device.metrics().withdrawn == 1
        assert (device.predict(PROBE) == initial).all()
        assert all(record(device, PROBE_Y))  # It stands.
        assert device.rollback().live == 1
        assert (device.predict(PROBE) == after).all()
        # Whoever takes the revert back is not overruled by what it was decided on.
        assert not any(record(device, names[PROBE_Y]))


def test_damaged_weights_fall_back(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    models = []
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        for seed in (1, 2):
            device.personalize(X, Y, budget=WHOLE, seed=seed)
            models.append(device.predict(PROBE))
    connection = sqlite3.connect(tmp_path / "state.sqlite")
    query = "SELECT weights FROM generations WHERE id = 2"
    (blob,) = connection.execute(query).fetchone()
    connection.close()
    flip_in(tmp_path / "state.sqlite", blob[20_000:20_100])
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert (device.predict(PROBE) == models[0]).all()
        (warning,) = device.status().warnings
        assert "generation 2 does not match its hash" in warning
        assert "serving generation 1" in warning


def test_reset_after_damage_leaves_no_weights(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        device.personalize(X, Y, budget=WHOLE)
        size = device.status().state and os.path.getsize(device.status().state)
    flip_in(tmp_path / "state.sqlite", read_artifact(mlp_artifact)[0].sha256.encode())
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert device.status().live == 1
        assert "hash of its artifact" in device.status().warnings[0]
        assert (tmp_path / "state.sqlite.damaged").stat().st_size == size
        status = device.reset()
        assert (status.live, status.warnings) == ("initial", ())
    assert os.listdir(tmp_path) == ["state.sqlite"]


def test_garbage_state_falls_back_to_the_initial_model(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        initial = device.predict(PROBE)
        device.personalize(X, Y, budget=WHOLE)
    (tmp_path / "state.sqlite").write_bytes(os.urandom(9999))
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert (device.predict(PROBE) == initial).all()
        assert "serving the initial model" in device.status().warnings[0]
        device.personalize(X, Y, budget=WHOLE)
        assert device.status().warnings == ()


def test_damaged_artifact(mlp_artifact: pathlib.Path, tmp_path: pathlib.Path) -> None:
    content = mlp_artifact.read_bytes()
    copy = tmp_path / "copy.tflite"
    for damaged in (content[:-100], content[: len(content) // 2], b""):
        copy.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=str(copy)):
            Personalizer.open(copy, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_full_disk(mlp_artifact: pathlib.Path, small_disk: pathlib.Path) -> None:
    """Two generations of 0.8 MB do not fit on 2 MB beside what else is there."""
    with Personalizer.open(mlp_artifact, small_disk / "state") as device:
        device.personalize(X, Y, budget=WHOLE)
        before, status = device.predict(PROBE), device.status()
        (small_disk / "other").write_bytes(bytes(600_000))
        with pytest.raises(StateError, match="full.*free some space"):
            device.personalize(X, Y, budget=WHOLE, seed=1)
        assert (device.predict(PROBE) == before).all() and device.status() == status
    with Personalizer.open(mlp_artifact, small_disk / "state") as device:
        assert (device.predict(PROBE) == before).all() and device.status() == status
        (small_disk / "other").unlink()
        assert device.personalize(X, Y, budget=WHOLE, seed=1).generation == 2


def test_full_disk_at_first(
    mlp_artifact: pathlib.Path, small_disk: pathlib.Path
) -> None:
    with pytest.raises(OSError):
        (small_disk / "other").write_bytes(bytes(3_000_000))
    with pytest.raises(StateError, match="free some space"):
        Personalizer.open(mlp_artifact, small_disk / "state")


def test_read_only_directory(
    mlp_artifact: pathlib.Path,
    write_protect: tuple[pathlib.Path, Callable[[], None]],
) -> None:
    directory, protect = write_protect
    with Personalizer.open(mlp_artifact, directory) as device:
        device.personalize(X, Y, budget=WHOLE)
        after, status = device.predict(PROBE), device.status()
    protect()
    with Personalizer.open(mlp_artifact, directory) as device:
        assert (device.predict(PROBE) == after).all() and device.status() == status
        for change in (
            lambda: device.personalize(X, Y, budget=WHOLE, seed=1),
            device.rollback,
            device.reset,
        ):
            with pytest.raises(StateError, match="make the directory writable"):
                change()
            assert (device.predict(PROBE) == after).all()
            assert device.status() == status
    with pytest.raises(StateError, match="cannot be opened"):
        Personalizer.open(mlp_artifact, directory / "new")


def test_a_manifest_that_names_fewer_classes_than_the_model_has(
    kind: str, mlp_artifact: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, interpreter=kind) as device:
        few = device.manifest.classes[:3]
        device.manifest = dataclasses.replace(device.manifest, classes=few)
        with pytest.raises(ArtifactError, match=r"\[100, 62\] .* says \[100, 3\]"):
            device.predict(PROBE)


def test_metrics_follow_what_happens(
    mlp_artifact: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        device.personalize(X, Y, budget=WHOLE)
        device.personalize(X[:2], Y[:2])
        first = device.metrics()
        assert (first.adaptations, first.kept, first.withdrawn) == (2, 1, 0)
        assert (first.personalized, first.examples) == (False, 2)
        assert first.accuracy_before is None
        device.rollback()
        outcome = device.personalize(X, Y, budget=WHOLE)
        metrics = device.metrics()
        assert metrics.examples == 64 and metrics.personalized
        assert metrics.accuracy_before == round(outcome.initial_accuracy, 2)
        assert metrics.accuracy_after == round(outcome.personalized_accuracy, 2)
        noisy = device.private_metrics(1.0)
        assert device.private_metrics(1.0) == noisy
    with Personalizer.open(mlp_artifact, tmp_path) as device:
        assert device.metrics() == metrics and device.private_metrics(1.0) == noisy
        device.forget()
        assert device.metrics().adaptations == 0
