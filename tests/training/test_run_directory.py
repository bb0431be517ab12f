import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime.errors import RunError
from fedp.training.configuration import TrainingConfig
from fedp.training.run_directory import (
    INTERRUPTED,
    RunRecord,
    create_run,
    load_run,
    locked,
)

RECORD = RunRecord(
    config=TrainingConfig(data="synthetic"),
    data_name="synthetic",
    fingerprint="f" * 16,
    classes=("0", "1"),
    input_shape=(28, 28, 1),
    label_shape=(),
    weights=(("logits/kernel:0", (2, 2)), ("logits/bias:0", (2,))),
    client_split={"seed": 0, "validation_from": 0.7, "test_from": 0.8},
    versions={"python": "3.11"},
)
WEIGHTS = [np.eye(2, dtype=np.float32), np.zeros(2, np.float32)]


def test_what_is_created_is_loaded(tmp_path):
    run = create_run(tmp_path / "run", RECORD)
    assert load_run(run.path) == run
    run = run.update(status=INTERRUPTED, rounds=4, privacy={"epsilon": None})
    assert load_run(run.path).record == run.record
    assert run.record.rounds == 4


def test_weights_of_a_stage_and_of_the_last_one(tmp_path):
    run = create_run(tmp_path / "run", RECORD)
    run.save_stage("fedavg", WEIGHTS)
    for found, expected in zip(run.weights("fedavg"), WEIGHTS, strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(RunError, match="not finished stage 'reptile'.*--resume"):
        run.weights()
    with pytest.raises(RunError, match="it has fedavg, reptile"):
        run.weights("maml")
    run.save_stage("reptile", [2 * w for w in WEIGHTS])
    np.testing.assert_array_equal(run.weights()[0], 2 * WEIGHTS[0])


def test_a_secret_is_drawn_once_and_for_its_owner_alone(tmp_path):
    run = create_run(tmp_path / "run", RECORD)
    assert not (run.path / "secret").exists()
    assert run.secret() == load_run(run.path).secret() and len(run.secret()) == 4
    assert (run.path / "secret").stat().st_mode & 0o777 == 0o600
    assert create_run(tmp_path / "other", RECORD).secret() != run.secret()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("thesis")
    with pytest.raises(RunError, match="exists already"):
        create_run(tmp_path, RECORD)
    with pytest.raises(RunError, match="exists already"):
        create_run(tmp_path / "mine.txt", RECORD)
    assert (tmp_path / "mine.txt").read_text() == "thesis"
    (tmp_path / "empty").mkdir()
    create_run(tmp_path / "empty", RECORD)


@pytest.mark.parametrize("left", [[], ["checkpoints"], [".run.json.part"]])
def test_what_a_kill_before_the_first_line_leaves_is_not_in_the_way(tmp_path, left):
    for name in left:
        path = tmp_path / name
        path.mkdir() if "." not in name else path.write_text("{")
    run = create_run(tmp_path, RECORD)
    assert load_run(run.path) == run


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"format": 2', '"format": 99'),
        lambda text: text.replace('"fingerprint"', '"footprint"'),
        lambda text: "[]",
    ],
)
def test_a_damaged_record_is_an_error(tmp_path, damage):
    run = create_run(tmp_path / "run", RECORD)
    record = run.path / "run.json"
    record.write_text(damage(record.read_text()))
    with pytest.raises(RunError) as error:
        load_run(run.path)
    assert "\n" not in str(error.value)


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no run directory"):
        load_run(tmp_path)


def test_one_process_trains_a_run_at_a_time(tmp_path):
    run = create_run(tmp_path / "run", RECORD)
    with locked(run):
        with pytest.raises(RunError, match="another process"), locked(run):
            pass
    with locked(run):
        pass


def test_a_run_is_read_without_tensorflow(tmp_path):
    run = create_run(tmp_path / "run", RECORD)
    run.save_stage("reptile", WEIGHTS)
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from fedp.training.run_directory import load_run\n"
        "print(load_run(sys.argv[1]).weights()[0].sum())"
    )
    command = [sys.executable, "-c", code, str(run.path)]
    assert subprocess.check_output(command, text=True).strip() == "2.0"
