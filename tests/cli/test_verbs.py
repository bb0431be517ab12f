"""Every verb as a user calls it: a real process, its streams and its exit code."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from fedp.cli import cli, verbs
from fedp.device_runtime import artifact_file, contract, read_artifact
from tests.cli.calling import call, fedp, refuses

ROOT = pathlib.Path(__file__).parents[2]
VERBS = cli.list_commands()


def sealed(content: bytes) -> bytes:
    """The artifact with the hash of what it holds now."""
    begin, _ = artifact_file.find_manifest(content)
    digest = artifact_file.file_hash(content, begin).encode()
    return content[: begin + 11] + digest + content[begin + 75 :]


@pytest.fixture
def examples(tmp_path: pathlib.Path) -> dict[str, pathlib.Path]:
    """Example files of one client, good and bad, by what is wrong with them."""
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (40, 28, 28), np.uint8)
    y = random.integers(0, 62, 40)
    nan = x.astype(np.float32)
    nan[3, 4, 5] = np.nan
    files = {
        "good": {"x": x, "y": y},
        "one": {"x": x[:1], "y": y[:1]},
        "none": {"x": x[:0], "y": y[:0]},
        "shape": {"x": x[:, :20], "y": y},
        "dtype": {"x": x.astype(str), "y": y},
        "float labels": {"x": x, "y": y.astype(np.float32)},
        "label": {"x": x, "y": y + 62},
        "nan": {"x": nan, "y": y},
        "length": {"x": x, "y": y[:-1]},
        "no y": {"x": x},
    }
    paths = {name: tmp_path / f"{name}.npz" for name in files}
    for name, arrays in files.items():
        np.savez(paths[name], **arrays)
    paths["no npz"] = tmp_path / "text.npz"
    paths["no npz"].write_text("not a zip")
    paths["missing"] = tmp_path / "missing.npz"
    return paths


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb):
    done = fedp(verb, "--help")
    assert done.returncode == 0
    assert f"fedp {verb}" in done.stdout.split("Options:")[0].split("Example")[1]
    assert "--json" in done.stdout and "--seed" in done.stdout


def test_a_verb_more_is_a_file(tmp_path, monkeypatch):
    """The one that docs/command_line.md shows, which no list names."""
    page = (ROOT / "docs" / "command_line.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "weigh.py").write_text(f'"""`fedp weigh`."""\n\n{code}')
    monkeypatch.setattr(verbs, "__path__", [*verbs.__path__, str(tmp_path)])
    assert "  weigh        Say how much an artifact weighs\n" in call("--help")[1]
    assert json.loads(call("doctor", "--json")[1])["verbs"]["weigh"]["ready"]
    code, out, err = call("weigh", tmp_path / "weigh.py")
    assert (code, out.split()[0], err) == (0, "bytes", "")


def test_unknown_verb_and_option_are_usage_errors():
    assert "--state" in refuses("personalize", "a.tflite", "--data", "b.npz", code=2)
    assert "--out" in refuses("train", "--resume", "run", "--out", "x", code=2)
    assert "--data and --out" in refuses("train", code=2)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ("--stage fedprox,rounds=3", 2, "fedavg, reptile, fedsgd, fomaml, maml"),
        ("--stage fedavg,rounds=3,wings=2", 2, "wings"),
        ("--stage fedavg,rounds=3 --rounds 4", 2, "--rounds"),
        ("--stage maml,rounds=3 --client-optimizer adam", 2, "use sgd"),
        ("--client-optimizer lamb", 2, "'sgd', 'momentum', 'adam'"),
        ("--engine spark", 2, "'local', 'tff', 'ray'"),
        ("--config missing.toml", 2, "missing.toml"),
        ("--min-clients 9", 2, "only 5 clients"),
        ("--client-test 1", 2, "below 1"),
        ("--repeat missing", 2, "--data cannot go with --repeat"),
        ("--data missing.npz", 1, "missing.npz"),
        ("--data missing.parquet", 1, "missing.parquet"),
        ("--data missing_folder", 1, "missing_folder"),
        ("--model nonsense", 1, "nonsense"),
    ],
)
def test_train_names_what_is_wrong(arguments, code, named, tmp_path):
    pytest.importorskip("tensorflow_federated", reason="needs the training install")
    asked = ("train", "--data", "synthetic:12", *arguments.split())
    assert named in refuses(*asked, "--out", "run", code=code, cwd=tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_file_and_the_command_line_make_one_configuration(tmp_path):
    pytest.importorskip("tensorflow_federated", reason="needs the training install")
    (tmp_path / "run.toml").write_text(
        'data = "synthetic:12"\nmodel = "mlp"\nclients_per_round = 3\neval_every = 0\n'
        '[[stage]]\nalgorithm = "fedavg"\nrounds = 2\nlocal_epochs = 1\n'
        'aggregator = "dp"\n[[stage]]\nalgorithm = "centralized"\nrounds = 0\n'
    )
    asked = ("train", "--config", "run.toml", "--out", "run", "-M", 2, "--json")
    done = fedp(*asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rounds"] == 2 and found["privacy_epsilon"] > 0
    assert found["peak_memory_mb"] > 100
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (config["clients_per_round"], config["model"]) == (2, "mlp")
    assert [s["name"] for s in config["stages"]] == ["fedavg", "centralized"]


def test_doctor_says_what_each_verb_lacks():
    result = json.loads(fedp("doctor", "--json").stdout)
    assert set(result["verbs"]) == set(VERBS) - {"doctor"}
    blocked = (
        "import sys; sys.modules.update(tensorflow=None, plotly=None); "
        "sys.argv = ['fedp', 'doctor']; from fedp.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked], capture_output=True, text=True
    )
    assert "lacks tensorflow" in done.stdout
    commands = [c["mend"] for c in result["verbs"].values() if c["mend"]]
    commands += [line for line in done.stdout.splitlines() if "pip install" in line]
    assert len(commands) >= 2
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("missing", "no such file"),
        ("no npz", ".npz"),
        ("no y", "'y'"),
        ("shape", "[40, 20, 28]"),
        ("dtype", "dtype"),
        ("float labels", "float32"),
        ("label", "0..61"),
        ("nan", "example 3"),
        ("length", "39"),
    ],
)
def test_personalize_names_what_is_wrong(kind, named, examples, mlp_artifact, tmp_path):
    state = tmp_path / "state"
    data = ("--data", examples[kind], "--state", state)
    assert named in refuses("personalize", mlp_artifact, *data, code=1)
    live = json.loads(fedp("status", mlp_artifact, "--state", state, "--json").stdout)
    assert live["live"] == "initial"


def test_mistyped_state_is_said_and_not_made(examples, mlp_artifact, tmp_path):
    state = ("--state", tmp_path / "mistyped")
    for asked in (
        ("status", mlp_artifact),
        ("predict", mlp_artifact, "--input", examples["good"]),
        ("reset",),
    ):
        done = fedp(*asked, *state)
        assert done.returncode == 0 and "no state in" in done.stderr
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("kind", ["one", "none"])
def test_too_little_data_reverts_with_a_reason(kind, examples, mlp_artifact, tmp_path):
    data = ("--data", examples[kind], "--state", tmp_path / "state", "--json")
    outcome = json.loads(fedp("personalize", mlp_artifact, *data).stdout)
    assert outcome["decision"] == "revert" and outcome["reason"]


def test_personalize_predict_status_reset(examples, mlp_artifact, tmp_path):
    state = ("--state", tmp_path / "state")
    good = examples["good"]
    done = fedp("personalize", mlp_artifact, "--data", good, *state)
    assert done.returncode == 0, done.stderr
    assert "keep: " in done.stdout or "revert: " in done.stdout

    out = tmp_path / "predictions.npz"
    asked = ("predict", mlp_artifact, "--input", good, *state, "--out", out, "--json")
    predictions = json.loads(fedp(*asked).stdout)["predictions"]
    with np.load(out) as file:
        assert [p["label"] for p in predictions] == file["labels"].tolist()
        assert file["probabilities"].shape == (40, 62)

    assert fedp("reset", *state).returncode == 0
    status = json.loads(fedp("status", mlp_artifact, *state, "--json").stdout)
    assert (status["live"], status["generations"]) == ("initial", 0)


def test_bake(examples, mlp_artifact, tmp_path):
    good, state = examples["good"], ("--state", tmp_path / "state")
    fedp("personalize", mlp_artifact, "--data", good, *state)
    out = tmp_path / "personal.tflite"
    done = fedp("bake", mlp_artifact, *state, "--out", out, "--json")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    result = json.loads(done.stdout)
    live = json.loads(fedp("status", mlp_artifact, *state, "--json").stdout)["live"]
    assert result == {"model": str(out), "bytes": out.stat().st_size, "live": live}
    assert out.read_bytes()[4:8] == b"TFL3"

    for missing in ((), ("--state", tmp_path / "mistyped")):
        done = fedp("bake", mlp_artifact, *missing, "--out", out)
        assert done.returncode == 0 and "initial" in done.stdout
        assert ("no state in" in done.stderr) == bool(missing)
    assert not (tmp_path / "mistyped").exists()


def test_bake_names_what_is_wrong(mlp_artifact, tmp_path):
    for out in (tmp_path, tmp_path / "missing" / "personal.tflite"):
        line = refuses("bake", mlp_artifact, "--out", out, code=1)
        assert f"{out} cannot be written" in line and "--out" in line
    assert "the artifact itself" in refuses(
        "bake", mlp_artifact, "--out", mlp_artifact, code=1
    )
    assert "--out" in refuses("bake", mlp_artifact, code=2)
    missing = tmp_path / "none.tflite"
    assert "none.tflite" in refuses("bake", missing, "--out", tmp_path / "x", code=1)


def test_an_out_that_is_a_directory_is_one_line(examples, mlp_artifact, tmp_path):
    given = ("--input", examples["good"], "--state", tmp_path / "state")
    for out in (".", "/", tmp_path):
        for asked in (
            ("bake", mlp_artifact),
            ("predict", mlp_artifact, *given),
        ):
            line = refuses(*asked, "--out", out, code=1, cwd=tmp_path)
            assert "directory" in line and "--out" in line and "unexpected" not in line


def test_the_place_is_looked_at_before_any_work(tmp_path):
    """So that nobody bakes for minutes and has nothing."""
    missing = tmp_path / "missing.tflite"
    line = refuses("bake", missing, "--out", tmp_path, code=1)
    assert "cannot be written" in line and "missing" not in line


def test_bake_without_a_skeleton_says_what_to_do(mlp_artifact, tmp_path):
    without = tmp_path / "without.tflite"
    _, content = read_artifact(mlp_artifact)
    name = contract.SKELETON_METADATA.encode()
    renamed = content.replace(name, name[::-1])
    without.write_bytes(sealed(renamed))
    line = refuses("bake", without, "--out", tmp_path / "personal.tflite", code=1)
    assert "no inference skeleton" in line and "export the model" in line


def test_state_of_another_artifact(examples, mlp_artifact, cnn_artifact, tmp_path):
    state = ("--state", tmp_path / "state")
    fedp("personalize", mlp_artifact, "--data", examples["good"], *state)
    asked = ("--input", examples["good"], *state)
    live = fedp("predict", mlp_artifact, *asked)
    assert fedp("predict", cnn_artifact, *asked).stderr == "live: initial\n"
    assert fedp("predict", mlp_artifact, *asked).stderr == live.stderr


def test_damaged_artifact_is_refused(examples, mlp_artifact, tmp_path):
    content = mlp_artifact.read_bytes()
    short, flipped = tmp_path / "short.tflite", tmp_path / "flipped.tflite"
    short.write_bytes(content[: len(content) // 2])
    middle = len(content) // 2
    flipped.write_bytes(
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    )
    for artifact in (short, flipped, tmp_path / "missing.tflite", examples["good"]):
        asked = ("--input", examples["good"], "--state", tmp_path / "state")
        assert artifact.name in refuses("predict", artifact, *asked, code=1)


def test_evaluate_refuses_what_it_cannot_use(mlp_artifact, tmp_path):
    report = ("--report", tmp_path / "report")
    asked = ("evaluate", mlp_artifact, *report, "--data")
    assert "nonsense" in refuses(*asked, "nonsense", code=1)
    line = refuses(*asked, "synthetic:20", "--clients", "train", code=1)
    assert "--seen-clients" in line
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("rate", ["-1", "0", "nan", "inf", "fast"])
def test_export_takes_no_learning_rate_that_cannot_be(rate, tmp_path):
    asked = ("export", tmp_path, "--out", "m.tflite", f"--learning-rate={rate}")
    assert "no finite number above 0" in refuses(*asked, code=2)


def test_export_refuses_what_is_no_run(tmp_path):
    asked = ("export", tmp_path, "--out", tmp_path / "model.tflite")
    assert "no run directory" in refuses(*asked, code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ("--learning-rates 0.1,fast", 2, "no list of finite numbers above 0"),
        ("--learning-rates=-0.1", 2, "no list of finite numbers above 0"),
        ("--learning-rates 0.1,nan", 2, "no list of finite numbers above 0"),
        ("--hold-outs fast", 2, "no list of numbers"),
        ("--epochs 1.5", 2, "no list of whole numbers"),
        ("--max-hurt 2", 2, "0<=x<=1"),
        ("--clients-limit 0", 2, "x>=1"),
        ("--interpreter none", 2, "'ai_edge_litert', 'tflite_runtime'"),
        ("", 1, "no run directory"),
    ],
)
def test_tune_names_what_is_wrong(arguments, code, named, tmp_path):
    assert named in refuses("tune", tmp_path, *arguments.split(), code=code)


def test_inspect(mlp_artifact, tmp_path):
    found = json.loads(fedp("inspect", mlp_artifact, "--json").stdout)
    assert found["bytes"] == mlp_artifact.stat().st_size
    assert found["signatures"]["infer"]["outputs"] == [
        {"name": "output", "shape": [-1, 62], "dtype": "float32"}
    ]
    text = fedp("inspect", mlp_artifact).stdout
    for part in (found["manifest"]["sha256"], "signed", "output [n, 62]", "MFLOP"):
        assert part in text
    (tmp_path / "text.tflite").write_text("no artifact, and nothing like it")
    for name in ("text.tflite", "missing.tflite"):
        assert name in refuses("inspect", tmp_path / name, code=1)
    assert "ARTIFACT" in refuses("inspect", code=2)
