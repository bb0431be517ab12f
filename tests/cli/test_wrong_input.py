"""Every verb with input that is wrong: one line that names it, and nothing written."""

from __future__ import annotations

import hashlib
import os
import pathlib
import socket

import click
import numpy as np
import pytest

from fedp.cli import cli
from fedp.cli.verb import Verb
from fedp.device_runtime.certificate import certificate_path
from tests.cli.calling import call

VERBS = {verb.name: verb for verb in cli.verbs()}

# What each verb is given; `{bad}` stands where a table below puts what is wrong.
ARTIFACT = {
    "inspect": "{artifact}",
    "verify": "{artifact}",
    "status": "{artifact} --state {state}",
    "bake": "{artifact} --out {out}",
    "predict": "{artifact} --state {state} --input {good}",
    "personalize": "{artifact} --state {state} --data {good}",
    "evaluate": "{artifact} --data {clients} --new-clients --report {out}",
}
TRAIN = "train --model mlp --out {out} "
RUN = {"export": "{run} --out {out}", "tune": "{run}", "train": "--resume {run}"}


@pytest.fixture
def folder(tmp_path: pathlib.Path, small_export) -> pathlib.Path:
    """Good and bad files, by name."""
    artifact = tmp_path / "good.tflite"
    artifact.write_bytes(small_export.content)
    certificate_path(artifact).write_bytes(small_export.certificate)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 6)).astype(np.float32), np.arange(12) % 3
    clients = {"client": np.repeat(["k", "l", "m"], 4), "classes": ["a", "b", "c"]}
    files = {
        "good.npz": {"x": x, "y": y},
        "shape.npz": {"x": x[:, :5], "y": y},
        "label.npz": {"x": x, "y": y + 3},
        "nan.npz": {"x": x * np.nan, "y": y},
        "dtype.npz": {"x": x.astype(str), "y": y},
        "keys.npz": {"z": x},
        "pickle.npz": {"x": np.array([{}] * 12), "y": y},
        "clients.npz": {"x": x, "y": y, **clients},
        "nobody.npz": {"x": x[:0], "y": y[:0], "client": np.array([], str)},
        "classes.npz": {"x": x, "y": y, **clients | {"classes": ["d", "e", "f"]}},
    }
    for name, arrays in files.items():
        np.savez(tmp_path / name, **arrays)
    for name in ("good.tflite", "good.npz", "clients.npz"):
        content = (tmp_path / name).read_bytes()
        cut = tmp_path / f"truncated{pathlib.Path(name).suffix}"
        cut.write_bytes(content[: len(content) // 2])
    for suffix in ("tflite", "npz", "keras", "toml", "pem", "parquet", "h5", "json"):
        (tmp_path / f"empty.{suffix}").touch()
        (tmp_path / f"text.{suffix}").write_text("nothing = of the kind [")
        (tmp_path / f"folder.{suffix}").mkdir()
        # Nobody can open a socket as a file, not even root.
        with socket.socket(socket.AF_UNIX) as unreadable:
            unreadable.bind(os.path.relpath(tmp_path / f"unreadable.{suffix}"))
    damaged = tmp_path / "damaged.run"
    damaged.mkdir()
    (damaged / "run.json").write_text('{"format": 2')
    (tmp_path / "vacant.run").mkdir()
    (tmp_path / "file.run").write_text("no directory")
    return tmp_path


def everything(folder: pathlib.Path) -> dict[str, str]:
    """Path and content of all that is there."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in sorted(folder.rglob("*"))
    }


def refused(folder: pathlib.Path, command: str, code: int = 1, **named: str) -> str:
    """Asserts all that a refusal has to be; returns its line."""
    names = {
        "artifact": "good.tflite",
        "good": "good.npz",
        "clients": "clients.npz",
        "run": "vacant.run",
        "state": "state",
        "out": "out",
        **named,
    }
    places = {name: folder / value for name, value in names.items()}
    before = everything(folder)
    found, out, err = call(*(part.format(**places) for part in command.split()))
    assert (found, out) == (code, ""), err
    assert err.startswith("fedp: error: ") and err.count("\n") == 1, err
    assert "error: unexpected" not in err and "Traceback" not in err
    assert everything(folder) == before
    return err


@pytest.mark.parametrize(
    "bad", ["missing", "folder", "unreadable", "empty", "text", "truncated"]
)
@pytest.mark.parametrize("verb", ARTIFACT)
def test_artifact(verb, bad, folder):
    line = refused(folder, f"{verb} {ARTIFACT[verb]}", artifact=f"{bad}.tflite")
    assert f"{bad}.tflite" in line


@pytest.mark.parametrize(
    "bad",
    ["missing", "folder", "unreadable", "empty", "text", "truncated"]
    + ["keys", "shape", "dtype", "pickle", "nan"],
)
@pytest.mark.parametrize("verb", ["predict", "personalize"])
def test_examples(verb, bad, folder):
    line = refused(folder, f"{verb} {ARTIFACT[verb]}", good=f"{bad}.npz")
    assert f"{bad}.npz" in line


@pytest.mark.parametrize(
    "bad",
    ["missing", "folder", "unreadable", "empty", "text", "truncated"]
    + ["keys", "nobody", "pickle", "shape", "classes"],
)
def test_data_to_evaluate(bad, folder):
    line = refused(folder, f"evaluate {ARTIFACT['evaluate']}", clients=f"{bad}.npz")
    assert f"{bad}.npz" in line


@pytest.mark.parametrize("bad", ["missing", "folder", "unreadable", "empty", "text"])
@pytest.mark.parametrize("verb", ARTIFACT)
def test_public_key(verb, bad, folder):
    pytest.importorskip("cryptography")
    command = f"{verb} {ARTIFACT[verb]} --public-key {{key}}"
    assert f"{bad}.pem" in refused(folder, command, key=f"{bad}.pem")


@pytest.mark.parametrize("verb", ["predict", "personalize", "status", "reset"])
def test_a_state_that_is_a_file(verb, folder):
    command = f"{verb} {ARTIFACT.get(verb, '--state {state}')}"
    assert "file.run" in refused(folder, command, state="file.run")


@pytest.mark.parametrize(
    "bad", ["missing", "folder", "unreadable", "empty", "text", "truncated"]
)
def test_certificate(bad, folder):
    name = "truncated.npz" if bad == "truncated" else f"{bad}.npz"
    command = "verify {artifact} --certificate {certificate}"
    assert name in refused(folder, command, certificate=name)


@pytest.mark.parametrize(
    "command",
    [
        "bake {artifact} --out {out}",
        "predict {artifact} --state {state} --input {good} --out {out}",
        "keygen --out {out}",
    ],
)
@pytest.mark.parametrize("place", ["file.run/below", "nowhere/at/all", "vacant.run"])
def test_a_place_that_cannot_be_written(command, place, folder):
    if command.startswith("keygen"):
        pytest.importorskip("cryptography")
    assert place in refused(folder, command, out=place)


def test_a_report_that_cannot_be_written(folder):
    command = f"evaluate {ARTIFACT['evaluate']}"
    assert "file.run/below" in refused(folder, command, out="file.run/below")


@pytest.mark.parametrize(
    "bad", ["missing", "folder", "unreadable", "empty", "text", "truncated", "nobody"]
)
def test_data_to_train(bad, folder):
    pytest.importorskip("tensorflow_federated", reason="needs the training install")
    line = refused(folder, TRAIN + "--data {data}", data=f"{bad}.npz")
    assert f"{bad}.npz" in line


@pytest.mark.parametrize("suffix", ["parquet", "h5", "json"])
@pytest.mark.parametrize("bad", ["missing", "folder", "unreadable", "empty", "text"])
def test_other_formats_to_train(suffix, bad, folder):
    pytest.importorskip("tensorflow_federated", reason="needs the training install")
    line = refused(folder, TRAIN + "--data {data}", data=f"{bad}.{suffix}")
    assert f"{bad}.{suffix}" in line


@pytest.mark.parametrize("bad", ["missing", "folder", "unreadable", "text"])
def test_configuration_file(bad, folder):
    command = TRAIN + "--data {clients} --config {config}"
    assert f"{bad}.toml" in refused(folder, command, 2, config=f"{bad}.toml")


@pytest.mark.parametrize("bad", ["missing", "vacant", "file", "damaged"])
@pytest.mark.parametrize("verb", RUN)
def test_run(verb, bad, folder):
    pytest.importorskip("tensorflow_federated", reason="needs the training install")
    line = refused(folder, f"{verb} {RUN[verb]}", run=f"{bad}.run")
    assert f"{bad}.run" in line


@pytest.mark.parametrize("bad", ["missing", "folder", "unreadable", "empty", "text"])
def test_keras_file(bad, folder):
    pytest.importorskip("tensorflow", reason="exporting needs TensorFlow")
    line = refused(folder, "export {keras} --out {out}", keras=f"{bad}.keras")
    assert f"{bad}.keras" in line


@pytest.mark.parametrize("bad", ["missing", "folder", "unreadable", "empty", "text"])
def test_private_key(bad, folder):
    pytest.importorskip("tensorflow", reason="exporting needs TensorFlow")
    line = refused(folder, "export {run} --out {out} --sign {key}", key=f"{bad}.pem")
    assert f"{bad}.pem" in line


def typed_options(verb: Verb) -> list[click.Option]:
    """Those that do not take any text."""
    return [
        option
        for option in verb.params
        if isinstance(option, click.Option)
        and not option.is_flag
        and not isinstance(option.type, (click.Path, click.types.StringParamType))
    ]


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
def test_option_values(verb, folder):
    for option in typed_options(verb):
        line = refused(folder, f"{verb.name} {option.opts[0]} nonsense", 2)
        assert option.opts[0] in line and "nonsense" in line
        assert f"fedp {verb.name} --help" in line


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
def test_options_and_arguments(verb, folder):
    line = refused(folder, f"{verb.name} --jsn", 2)
    assert "Did you mean" in line and "--json" in line
    for each in verb.params:
        if each.required:
            assert each.opts[0] in refused(folder, verb.name, 2).lower()
            break


def test_an_argument_too_many(folder):
    for command in ("doctor", "inspect {artifact}", "completion bash"):
        assert "beyond" in refused(folder, f"{command} beyond", 2)


def test_verb(folder):
    for wrong, meant in {
        "predct": "predict",
        "Train": "train",
        "evalute": "evaluate",
    }.items():
        line = refused(folder, wrong, 2)
        assert repr(wrong) in line and f"did you mean {meant!r}?" in line
    assert "the verbs are bake, " in refused(folder, "qqq", 2)
    assert "'ksh' is not one of 'bash', 'zsh', 'fish'" in refused(
        folder, "completion ksh", 2
    )
