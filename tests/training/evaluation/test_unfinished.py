import dataclasses
import json
import signal
import subprocess
import sys

import pytest

from fedp.device_runtime.errors import FedpError
from fedp.training.data import open_data
from fedp.training.evaluation import evaluate, evaluate_clients, read_clients_csv
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.unfinished import NAME, StoredResults, open_unfinished

SPEC = "synthetic:30"
ANN = ClientResult("ann\n", 3, 4, 0.1, 0.2, 0.2, True, "a “reason”", (0.1, 0.2))
BOB = dataclasses.replace(ANN, client="bob", initial=1 / 3)
REST_ON = {"seed": 0, "data": "x", "most": None}


def test_results_are_there_again_in_any_order(tmp_path):
    with open_unfinished(tmp_path, REST_ON) as unfinished:
        unfinished.add(ANN)
        assert unfinished.result("ann\n") == ANN
        unfinished.add(BOB)
    with open_unfinished(tmp_path, REST_ON) as unfinished:
        assert "ann\n" in unfinished and "cyd" not in unfinished
        stored = StoredResults(unfinished, ["bob", "ann\n"])
        assert list(stored) == [BOB, ANN] == stored[:] and len(stored) == 2
        unfinished.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_line_cut_anywhere_loses_its_client_alone(tmp_path):
    path = tmp_path / NAME
    with open_unfinished(tmp_path, REST_ON) as unfinished:
        unfinished.add(ANN)
        first = path.stat().st_size
        unfinished.add(BOB)
    whole = path.read_bytes()
    for size in range(first, len(whole)):
        path.write_bytes(whole[:size])
        with open_unfinished(tmp_path, REST_ON) as unfinished:
            assert "ann\n" in unfinished and "bob" not in unfinished
            unfinished.add(BOB)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("changed", [{"seed": 1}, {"data": "y"}, {"most": 3}])
def test_with_other_settings_it_begins_anew(tmp_path, changed):
    with open_unfinished(tmp_path, REST_ON) as unfinished:
        unfinished.add(ANN)
    with open_unfinished(tmp_path, {**REST_ON, **changed}) as unfinished:
        assert "ann\n" not in unfinished
        unfinished.add(BOB)
    with open_unfinished(tmp_path, {**REST_ON, **changed}) as unfinished:
        assert "bob" in unfinished


def test_what_is_no_such_file_is_written_over(tmp_path):
    (tmp_path / NAME).write_bytes(b"\xff\x00\nnonsense\n")
    with open_unfinished(tmp_path, REST_ON) as unfinished:
        unfinished.add(ANN)
    with open_unfinished(tmp_path, REST_ON) as unfinished:
        assert "ann\n" in unfinished


def test_a_second_process_is_told_to_wait(tmp_path):
    program = f"""
import pathlib
from fedp.training.evaluation.unfinished import open_unfinished
with open_unfinished(pathlib.Path({str(tmp_path)!r}), {REST_ON!r}):
    print("open", flush=True)
    input()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "open\n"
    with pytest.raises(FedpError, match="by another process"):
        with open_unfinished(tmp_path, REST_ON):
            pass
    other.communicate("\n")
    with open_unfinished(tmp_path, REST_ON):
        pass


PROGRAM = """
import os, pathlib, signal, sys
from fedp.training.evaluation import evaluate

def tell(done, total, result):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    artifact, folder = map(pathlib.Path, sys.argv[1:])
    evaluate(artifact, "synthetic:30", "all", folder, seen_clients=True,
             max_examples=20, processes=2, on_result=tell)
"""


def test_a_killed_evaluation_goes_on(mlp_artifact, tmp_path):
    program, folder = tmp_path / "program.py", tmp_path / "report"
    program.write_text(PROGRAM)
    killed = subprocess.run([sys.executable, program, mlp_artifact, folder])
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in folder.iterdir()] == [NAME]
    told = []
    evaluate(
        mlp_artifact,
        SPEC,
        "all",
        folder,
        seen_clients=True,
        max_examples=20,
        processes=1,
        on_result=lambda done, total, _: told.append((done, total)),
    )
    assert told == [(n, 30) for n in range(4, 31)]
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["clients.csv", "report.html", "summary.json"]
    facts = json.loads((folder / "summary.json").read_text())["run"]
    assert facts["clients done by an earlier call"] == 3
    everybody = evaluate_clients(
        mlp_artifact, SPEC, open_data(SPEC).clients(), max_examples=20, processes=1
    )
    assert read_clients_csv(folder / "clients.csv") == everybody
