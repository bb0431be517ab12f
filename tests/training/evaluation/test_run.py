import json
import re
import subprocess
import sys

import numpy as np
import psutil
import pytest

from fedp.device_runtime import artifact_file
from fedp.device_runtime.artifact_file import read_artifact
from fedp.device_runtime.errors import ArtifactError, DataError, FedpError
from fedp.training.data import ClientSplit, open_data
from fedp.training.evaluation import evaluate, evaluate_clients, read_clients_csv

SPEC = "synthetic:30"
FILES = ["clients.csv", "report.html", "summary.json"]


def facts(folder):
    return json.loads((folder / "summary.json").read_text())["run"]


def opening(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    return re.search("<header>.*?</header>", page, re.DOTALL)[0]


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


def test_workers_check_the_signature_too(mlp_artifact, tmp_path):
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    signed, folder = tmp_path / "signed.tflite", tmp_path / "report"
    signed.write_bytes(artifact_file.seal(mlp_artifact.read_bytes(), key.sign))
    evaluate(signed, SPEC, "test", folder, max_examples=20, public_key=public)
    assert facts(folder)["signature checked"] is True
    for processes in (1, 2):
        with pytest.raises(ArtifactError, match="not signed"):
            evaluate_clients(
                mlp_artifact,
                SPEC,
                open_data(SPEC).clients()[:2],
                max_examples=20,
                processes=processes,
                public_key=public,
            )


def test_training_clients_are_refused_unless_asked_for(mlp_artifact, tmp_path):
    with pytest.raises(DataError, match="seen-clients"):
        evaluate(mlp_artifact, SPEC, "train", tmp_path)
    assert list(tmp_path.iterdir()) == []
    name = "writer-0000003"
    split = ClientSplit.from_json(read_artifact(mlp_artifact)[0].client_split)
    assert split.role(name) == "train"
    options = {"max_examples": 20}
    seen = evaluate(mlp_artifact, SPEC, name, tmp_path, seen_clients=True, **options)
    assert facts(tmp_path)["clients trained on"] == "1 of 1"
    assert facts(tmp_path)["--seen-clients"] and not facts(tmp_path)["--new-clients"]
    assert "trained on 1 of these 1 client:" in opening(tmp_path)
    new = evaluate(mlp_artifact, SPEC, name, tmp_path, new_clients=True, **options)
    assert facts(tmp_path)["clients trained on"] == "0 of 1"
    assert facts(tmp_path)["--new-clients"] and not facts(tmp_path)["--seen-clients"]
    assert "its device never saw" in opening(tmp_path)
    assert seen == new and seen.clients == 1


def test_whom_it_was_trained_on_must_be_told_where_nobody_knows(small_export, tmp_path):
    """As of a Keras file, whose artifact has no client split."""
    assert small_export.manifest.client_split == {}
    artifact, folder = tmp_path / "small.tflite", tmp_path / "report"
    artifact.write_bytes(small_export.content)
    random = np.random.default_rng(0)
    data = tmp_path / "data.npz"
    np.savez(
        data,
        x=random.normal(size=(24, 6)).astype(np.float32),
        y=random.integers(0, 3, 24),
        client=np.repeat(["ann", "bob"], 12),
        classes=["a", "b", "c"],
    )
    for clients in ("test", "ann"):
        with pytest.raises(DataError, match="--new-clients.*--seen-clients"):
            evaluate(artifact, str(data), clients, folder)
    assert not folder.exists()
    for option in ("seen_clients", "new_clients"):
        found = evaluate(artifact, str(data), "test", folder, **{option: True})
        assert found.clients == 2
        assert facts(folder)["clients trained on"] == "unknown"
        assert ("is unknown" in opening(folder)) == (option == "seen_clients")
    assert evaluate(artifact, str(data), "bob", folder, seen_clients=True).clients == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_data_are_open_only_where_clients_are_evaluated(
    mlp_artifact, tmp_path, processes
):
    synthetic = open_data(SPEC, max_examples=6)
    names = list(synthetic.clients())[:3]
    parts = [synthetic.load(name) for name in names]
    data = tmp_path / "data.npz"
    np.savez(
        data,
        x=np.concatenate([part.x for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        client=np.repeat(names, [len(part.y) for part in parts]),
        classes=np.array(synthetic.classes),
    )

    def times_open():
        files = psutil.Process().open_files()
        return [file.path for file in files].count(str(data.resolve()))

    during = []
    evaluate(
        mlp_artifact,
        str(data),
        "all",
        tmp_path / "report",
        new_clients=True,
        processes=processes,
        on_result=lambda *_: during.append(times_open()),
    )
    # A single process evaluates in this one.
    assert during == [1 if processes == 1 else 0] * 3
    assert times_open() == 0


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


def test_an_engine_that_there_is_not_is_refused(mlp_artifact, tmp_path):
    with pytest.raises(FedpError, match="allowed are local, ray"):
        evaluate(mlp_artifact, SPEC, "test", tmp_path / "report", engine="spark")


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
