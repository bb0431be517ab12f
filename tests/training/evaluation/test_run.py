import json
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime.contract import read_artifact
from fedp.device_runtime.errors import DataError, FedpError
from fedp.training.data import ClientSplit, open_data
from fedp.training.evaluation import evaluate, evaluate_clients, read_clients_csv

SPEC = "synthetic:30"
FILES = ["clients.csv", "report.html", "summary.json"]


def test_evaluate_writes_what_it_measured(mlp_artifact, tmp_path):
    folder = tmp_path / "new" / "report"
    summary = evaluate(mlp_artifact, SPEC, "test", folder, max_examples=40)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    results = read_clients_csv(folder / "clients.csv")
    split = ClientSplit.from_json(read_artifact(mlp_artifact)[0].client_split)
    names = split.select(open_data(SPEC).clients(), "test")
    assert [r.client for r in results] == names
    assert results == evaluate_clients(
        mlp_artifact, SPEC, names, max_examples=40, processes=1
    )
    fields = json.loads((folder / "summary.json").read_text())
    assert fields["clients"] == summary.clients == len(names)
    assert fields["deployed"]["value"] == np.mean([r.deployed for r in results])
    assert fields["run"]["artifact SHA-256"] == read_artifact(mlp_artifact)[0].sha256
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in names)


def test_training_clients_are_refused_unless_asked_for(mlp_artifact, tmp_path):
    with pytest.raises(DataError, match="seen-clients"):
        evaluate(mlp_artifact, SPEC, "train", tmp_path)
    assert list(tmp_path.iterdir()) == []
    name = "writer-0000003"
    split = ClientSplit.from_json(read_artifact(mlp_artifact)[0].client_split)
    assert split.role(name) == "train"
    seen = evaluate(
        mlp_artifact, SPEC, name, tmp_path, max_examples=20, seen_clients=True
    )
    new = evaluate(
        mlp_artifact, SPEC, name, tmp_path, max_examples=20, new_clients=True
    )
    assert seen == new and seen.clients == 1


@pytest.mark.parametrize(
    ("side", "names", "message"),
    [
        (27, None, r"shape \[27, 27\].*takes \[28, 28, 1\]"),
        (28, list("abc"), r"has 3 classes \(a, b, c\).*62 classes"),
    ],
    ids=["shape", "classes"],
)
def test_other_data_is_refused(mlp_artifact, tmp_path, side, names, message):
    x = np.zeros((6, side, side), np.uint8)
    arrays = {"x": x, "y": np.zeros(6, np.uint8), "client": np.array(list("aabbcc"))}
    data = tmp_path / "data.npz"
    if names:
        arrays["classes"] = np.array(names)
    np.savez(data, **arrays)
    with pytest.raises(DataError, match=message) as caught:
        evaluate(mlp_artifact, str(data), "all", tmp_path / "report")
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_told_before_any_work(mlp_artifact, tmp_path):
    taken = tmp_path / "file"
    taken.write_text("mine")

    def never(done, total, result):
        raise AssertionError("a client was evaluated")

    with pytest.raises(FedpError, match="file cannot be written"):
        evaluate(mlp_artifact, SPEC, "test", taken, on_result=never)
    assert taken.read_text() == "mine"


def test_importing_the_package_pulls_in_nothing_heavy():
    program = (
        "import sys, fedp.training.evaluation\n"
        "heavy = {'tensorflow', 'plotly', 'ray', 'matplotlib', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
