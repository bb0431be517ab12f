"""From a data set to a report with the verbs alone, stopped and resumed on the way."""

from __future__ import annotations

import csv
import json
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from fedp.training.data.splits import ClientSplit
from fedp.training.data.synthetic import SyntheticData

FEDP = [sys.executable, "-m", "fedp.cli"]
TRAIN = "train --data synthetic:12 --model mlp --reptile-rounds 2 -E 1 --eval-every 0"


def fedp(command: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    arguments = [*FEDP, *command.split()]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a run that was stopped by Ctrl-C and then resumed."""
    pytest.importorskip("tensorflow_federated", reason="needs the training install")
    folder = tmp_path_factory.mktemp("end_to_end")
    command = [*FEDP, *TRAIN.split(), "--rounds", "2000", "--out", "stopped"]
    # A pipe that only ends when every process that holds it has ended.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, **pipes) as process:
        assert process.stdout.readline() == "log: stopped/log.txt\n"
        assert process.stdout.readline().startswith("round 1/2002 ")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait() == 130, rest
    assert "--resume stopped" in rest
    refused = fedp("train --resume stopped --rounds 3", folder)
    assert refused.returncode == 2 and "--rounds" in refused.stderr

    done = fedp(f"{TRAIN} --rounds 3 --out run", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_stopped_run_goes_on(folder):
    run = json.loads((folder / "stopped" / "run.json").read_text())
    assert run["status"] == "interrupted" and run["rounds"] >= 1


def test_log_of_a_run(folder):
    log = (folder / "stopped" / "log.txt").read_text().splitlines()
    assert log[0].endswith(f": fedp {TRAIN} --rounds 2000 --out stopped")
    assert "round 1/2002 fedavg: loss" in log[1]
    assert "ended: stopped by SIGINT after round" in log[-1]
    log = (folder / "run" / "log.txt").read_text().splitlines()
    assert " done in " in log[-1] and " s left" in log[-2]


def test_export_evaluate(folder):
    done = fedp("export run --out model.tflite --json", folder)
    assert done.returncode == 0, done.stderr
    export = json.loads(done.stdout)
    assert set(export["parity"]) == {"ai_edge_litert", "tflite_runtime"}
    assert done.stderr.startswith("log: model.tflite.log\n")
    log = (folder / "model.tflite.log").read_text().splitlines()
    assert "comparing 10 steps" in "".join(log) and " done in " in log[-1]

    asked = "evaluate model.tflite --data synthetic:12 --report report --json"
    done = fedp(asked, folder)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    with (folder / "report" / "clients.csv").open() as file:
        evaluated = {row["client"] for row in csv.DictReader(file)}
    run = json.loads((folder / "run" / "run.json").read_text())
    split = ClientSplit.from_json(run["client_split"])
    assert evaluated == set(split.select(SyntheticData(12).clients(), "test"))
    assert len(evaluated) == 2
    assert summary["clients"] == 2
    assert done.stderr.startswith("log: report/log.txt\nevaluating 2 clients ")
    log = (folder / "report" / "log.txt").read_text()
    assert "2 of 2 done" in log and " done in " in log

    done = fedp("export run --stage fedavg --out before.tflite", folder)
    assert "all builtin" in done.stdout
    assert (folder / "before.tflite").read_bytes() != (
        folder / "model.tflite"
    ).read_bytes()


def test_sign_and_verify(folder):
    pytest.importorskip("cryptography")
    assert fedp("keygen --out KEY", folder).returncode == 0
    done = fedp("export run --sign KEY --out signed.tflite --json", folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signed"]
    secret = (folder / "KEY").read_text().splitlines()[1]
    assert secret not in done.stdout + done.stderr
    done = fedp("verify signed.tflite --public-key KEY.pub", folder)
    assert done.returncode == 0 and done.stdout.count("PASS") == 2


def test_tune_export_inspect(folder):
    shutil.copytree(folder / "run", folder / "tuned")
    grid = "--trainable head --learning-rates 0.02,0.1 --epochs 1,2 --max-examples 40"
    done = fedp(f"tune tuned {grid} --json", folder)
    assert done.returncode == 0, done.stderr
    choice = json.loads(done.stdout)
    assert choice["trainable"] == "head" and choice["limit_met"] in (True, False)
    assert choice["policies"] == 2 * 2 * 2 * 3 * 2  # margins, cautions, fewest
    assert (folder / choice["report"]).exists()
    assert done.stderr.startswith("log: tuned/tuning/log.txt\n")
    assert " done in " in (folder / "tuned" / "tuning" / "log.txt").read_text()
    done = fedp(f"tune tuned {grid}", folder)
    assert "known from before" in done.stderr and "chosen" in done.stdout

    done = fedp("export tuned --epochs 3 --out tuned.tflite --json", folder)
    policy = json.loads(done.stdout)["policy"]
    assert policy["epochs"] == 3 and policy["trainable"] == "head"
    assert policy["learning_rate"] == choice["learning_rate"]
    found = json.loads(fedp("inspect tuned.tflite --json", folder).stdout)
    assert found["manifest"]["provenance"]["policy"].startswith("tuned on 1 valid")
    done = fedp("export tuned --untuned --out untuned.tflite --json", folder)
    assert json.loads(done.stdout)["policy"]["trainable"] == "all"


def test_what_cannot_be_written_is_found_out_first(folder):
    done = fedp("export run --out run.json/x.tflite", folder)
    assert done.returncode == 1 and "cannot be written" in done.stderr
    done = fedp(f"{TRAIN} --rounds 1 --out run", folder)
    assert done.returncode == 1 and "exists already" in done.stderr


def test_values_out_of_range_are_usage_errors(folder):
    for option in ("--rounds -1", "--batch-size 0", "--eval-clients 0"):
        done = fedp(f"{TRAIN} {option} --out other", folder)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert not (folder / "other").exists()
