"""Whole tunings of a tiny model on real data files, with the real device runtime."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="exporting needs the training install")

from fedp.device_runtime.contract import Policy  # noqa: E402
from fedp.device_runtime.errors import ExportError, FedpError, RunError  # noqa: E402
from fedp.export.exporter import write_artifact  # noqa: E402
from fedp.export.from_run import export_run  # noqa: E402
from fedp.export.lowering.table import TABLE_VERSION  # noqa: E402
from fedp.training.configuration import Stage, TrainingConfig  # noqa: E402
from fedp.training.data import NpzData  # noqa: E402
from fedp.training.evaluation import evaluate_clients  # noqa: E402
from fedp.training.models import build_model  # noqa: E402
from fedp.training.run_directory import create_run, load_run, locked  # noqa: E402
from fedp.training.run_record import new_record  # noqa: E402
from fedp.training.tuned_policy import read_tuned  # noqa: E402
from fedp.training.tuning import tune  # noqa: E402

STAGES = (Stage("first", "fedavg", 1), Stage("second", "reptile", 1))
GRID = {
    "trainable": ["all", "head"],
    "learning_rate": [0.05, 0.2],
    "epochs": [1, 3],
    "min_hold_out": [3],
    "margin": [0.0, 0.1],
    "caution": [1.25],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 24 writers, eight of them for validation, as if it were trained."""
    folder = tmp_path_factory.mktemp("tuning")
    random = np.random.default_rng(0)
    client = np.repeat([f"w{n:02d}" for n in range(24)], 24)
    shown = random.integers(0, 3, len(client))
    # Some writers swap two letters: only adapting can learn that.
    swaps = np.isin(client, [f"w{n:02d}" for n in range(0, 24, 2)])
    y = np.where(swaps, np.array([1, 0, 2])[shown], shown)
    x = np.clip(
        random.integers(0, 256, (3, 6, 6))[shown]
        + random.integers(-30, 30, (len(y), 6, 6)),
        0,
        255,
    ).astype(np.uint8)
    np.savez(folder / "data.npz", x=x, y=y, client=client, classes=["a", "b", "c"])
    config = TrainingConfig(
        data=str(folder / "data.npz"),
        model="mlp",
        stages=STAGES,
        clients_per_round=2,
        batch_size=4,
        client_learning_rate=0.05,
        personalization_epochs=3,
        validation=1 / 3,
    )
    record = new_record(config, NpzData(folder / "data.npz"))
    run = create_run(folder / "run", record).update(status="finished", rounds=2)
    model = build_model("mlp", (6, 6), 3, seed=1)
    for stage in STAGES:
        weights = [
            w + (0.01 if stage.name == "second" else 0.0) for w in model.get_weights()
        ]
        run.save_stage(stage.name, weights)
    return run.path


@pytest.fixture
def run_path(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory):
    """A run that is tuned, and what came out."""
    path = shutil.copytree(trained, tmp_path_factory.mktemp("tuned") / "run")
    done = []
    found = tune(path, grid=GRID, on_result=lambda *result: done.append(result))
    assert len(done) == 2 * 2 * 8  # parts, rates, validation clients
    return path, found


def test_the_choice_is_the_best_row_and_lies_in_the_run(tuned):
    path, found = tuned
    assert len(found.rows) == 2 * 2 * 2 * 2
    allowed = [row for row in found.rows if row.hurt_after <= 0.1 * 8]
    assert found.choice.met
    assert found.choice.row.deployed == max(row.deployed for row in allowed)
    assert found.choice.row.gain > 0
    saved = read_tuned(load_run(path))
    assert saved.policy == found.choice.row.policy
    assert (saved.clients, saved.stage, saved.met) == (8, "second", True)
    split = load_run(path).record.split
    names = json.loads((path / "policy.json").read_text())["how"]["clients"]
    assert {split.role(name) for name in names} == {"validation"}


def test_the_training_s_own_policy_is_told_apart(tuned):
    _, found = tuned
    assert found.untuned.policy == Policy(learning_rate=0.05, epochs=3)


def test_numbers_are_those_of_an_evaluation(tuned, tmp_path):
    """What the guard decides on records is what the device does."""
    path, found = tuned
    run = load_run(path)
    artifact = tmp_path / "model.tflite"
    names = run.record.split.select(NpzData(run.config.data).clients(), "validation")
    for row in (found.choice.row, found.untuned, found.rows[-1]):
        changes = dataclasses.asdict(row.policy)
        export = export_run(path, tuned=False, changes=changes, parity_steps=1)
        write_artifact(export.content, artifact)
        results = evaluate_clients(artifact, run.config.data, names, processes=1)
        assert row.clients == len(results)
        for field in ("initial", "personalized", "deployed"):
            mean = np.mean([getattr(result, field) for result in results])
            assert getattr(row, field) == pytest.approx(mean, abs=1e-7)
        hurt = sum(result.deployed < result.initial for result in results)
        assert (row.hurt_after, row.kept) == (hurt, sum(r.kept for r in results))


def test_files_of_the_report(tuned):
    path, found = tuned
    folder = path / "tuning"
    with open(folder / "tuning.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found.rows)
    assert float(rows[0]["deployed"]) == found.rows[0].deployed
    assert rows[0]["trainable"] == found.rows[0].policy.trainable
    fields = json.loads((folder / "tuning.json").read_text())
    assert fields["choice"]["epochs"] == found.choice.row.policy.epochs
    page = (folder / "tuning.html").read_text()
    assert "src=" not in page.split("</script>", 1)[1]
    for plot in ("frontier", "deployed-0", "hurt-1", "guard"):
        assert f'id="{plot}"' in page


def test_nothing_is_adapted_twice(tuned):
    path, found = tuned
    done = []
    again = tune(
        path,
        grid={**GRID, "margin": [0.0, 0.1, 0.3]},
        on_result=lambda *result: done.append(result),
    )
    assert done == []
    assert [r for r in again.rows if r.policy.margin != 0.3] == found.rows


def test_files_of_another_table_of_lowerings_are_not_taken(tuned):
    (place,) = (tuned[0] / "tuning").glob("*/setting.json")
    assert json.loads(place.read_text())["others"]["lowering"] == TABLE_VERSION


def test_a_setting_that_cannot_be_written_is_one_line(tuned, tmp_path):
    path = shutil.copytree(tuned[0], tmp_path / "run")
    (place,) = (path / "tuning").glob("*/setting.json")
    place.unlink()
    place.mkdir()
    with pytest.raises(FedpError, match=r"setting\.json cannot be written") as caught:
        tune(path, grid=GRID)
    assert "\n" not in str(caught.value)


KILLED = """
import os, signal, sys
from fedp.training.tuning import tune

def die(done, total, record):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    grid = {"trainable": ["all"], "learning_rate": [0.05, 0.2], "epochs": [1, 3],
            "min_hold_out": [3], "margin": [0.0, 0.1], "caution": [1.25]}
    tune(sys.argv[1], grid=grid, on_result=die)
"""


def test_a_killed_tuning_goes_on(run_path, tuned, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(KILLED)
    done = subprocess.run([sys.executable, program, run_path], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (run_path / "policy.json").exists()
    left = []
    found = tune(
        run_path,
        grid={**GRID, "trainable": ["all"]},
        processes=1,
        on_result=lambda done, total, record: left.append(total),
    )
    assert len(left) == 2 * 8 - 5 == left[0]
    whole = [r for r in tuned[1].rows if r.policy.trainable == "all"]
    assert found.rows == whole


def test_export_takes_the_tuned_policy(tuned):
    path, found = tuned
    export = export_run(path, parity_steps=1)
    assert export.manifest.policy == found.choice.row.policy
    origin = export.manifest.provenance["policy"]
    assert origin.startswith("tuned on 8 validation clients")
    changed = export_run(path, changes={"epochs": 7}, parity_steps=1).manifest
    assert changed.policy == dataclasses.replace(found.choice.row.policy, epochs=7)
    assert changed.provenance["policy"].endswith("set by hand: epochs 7")
    plain = export_run(path, tuned=False, parity_steps=1).manifest
    assert plain.policy == Policy(learning_rate=0.05, epochs=3)
    assert "not tuned" in plain.provenance["policy"]


def test_a_policy_of_another_model_is_refused(tuned, tmp_path):
    path = shutil.copytree(tuned[0], tmp_path / "run")
    with pytest.raises(RunError, match="after stage 'second'.*--untuned"):
        export_run(path, stage="first")
    run = load_run(path)
    run.save_stage("second", [w + 1 for w in run.weights()])
    with pytest.raises(RunError, match="other weights.*fedp tune"):
        export_run(path)
    (path / "policy.json").write_text('{"policy": {"wings": 2}}')
    with pytest.raises(RunError, match="policy.json cannot be read"):
        export_run(path)


def test_what_cannot_be_tuned_is_named(run_path):
    with pytest.raises(FedpError, match="learning rate -1"):
        tune(run_path, grid={"learning_rate": [-1.0]})
    with pytest.raises(RunError, match="no stage 'third'"):
        tune(run_path, stage="third")
    with pytest.raises(ExportError, match="nothing trains: 'wings'"):
        tune(run_path, grid={**GRID, "trainable": ["wings"]})
    with locked(load_run(run_path)), pytest.raises(RunError, match="another process"):
        tune(run_path, grid=GRID)
    run = load_run(run_path)
    run.update(fingerprint="0" * 16)
    with pytest.raises(RunError, match="is not the one"):
        tune(run_path, grid=GRID)
    assert not os.path.exists(run_path / "policy.json")
