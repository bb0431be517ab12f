"""Keys, signatures and certificates as a user meets them."""

from __future__ import annotations

import json
import pathlib
import shutil
import stat

import numpy as np
import pytest

from fedp.cli import cli
from fedp.device_runtime.certificate import certificate_path
from tests.cli.calling import fedp, refuses

pytest.importorskip("cryptography")


@pytest.fixture
def key(tmp_path: pathlib.Path) -> pathlib.Path:
    done = fedp("keygen", "--out", tmp_path / "KEY", "--json")
    assert json.loads(done.stdout) == {
        "private_key": str(tmp_path / "KEY"),
        "public_key": str(tmp_path / "KEY.pub"),
    }
    return tmp_path / "KEY"


@pytest.fixture
def signed(small_export, key: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    from fedp.export.exporter import write_artifact
    from fedp.export.private_key import load_private_key

    done = small_export.signed(load_private_key(key).sign)
    write_artifact(done.content, tmp_path / "signed.tflite", done.certificate)
    return tmp_path / "signed.tflite"


@pytest.fixture
def unsigned(small_export, tmp_path: pathlib.Path) -> pathlib.Path:
    from fedp.export.exporter import write_artifact

    path = tmp_path / "unsigned.tflite"
    write_artifact(small_export.content, path, small_export.certificate)
    return path


def test_keygen_never_overwrites_and_shows_nothing(key):
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert "KEY.pub exists already" in refuses("keygen", "--out", key)
    (key.parent / "KEY.pub").unlink()
    assert "KEY exists already" in refuses("keygen", "--out", key)
    assert key.read_bytes() == before and not (key.parent / "KEY.pub").exists()
    done = fedp("keygen", "--out", key.parent / "other")
    secret = (key.parent / "other").read_text().splitlines()[1]
    assert done.returncode == 0 and secret not in done.stdout + done.stderr


def test_keygen_refuses_a_seed_and_a_place_that_is_none(tmp_path):
    asked = ("keygen", "--out", tmp_path / "KEY", "--seed", 1)
    assert "guessed" in refuses(*asked, code=2)
    assert "cannot be written" in refuses("keygen", "--out", tmp_path / "none" / "KEY")
    assert not list(tmp_path.iterdir())


def test_every_verb_that_opens_an_artifact_takes_a_public_key(
    signed, unsigned, key, tmp_path
):
    x = np.zeros((12, 6), np.float32)
    np.savez(tmp_path / "me.npz", x=x, y=np.zeros(12, int))
    state, report = ("--state", tmp_path / "state"), ("--report", tmp_path / "report")
    public = ("--public-key", f"{key}.pub")
    verbs = {
        "personalize": ("--data", tmp_path / "me.npz", *state),
        "predict": ("--input", tmp_path / "me.npz", *state),
        "status": state,
        "verify": (),
        "inspect": (),
        "bake": ("--out", tmp_path / "baked.tflite"),
        "evaluate": ("--data", "synthetic:20", *report),
        "demo": state,
    }
    takers = {
        name
        for name in cli.list_commands()
        if any(each.name == "artifact" for each in cli.get_command(None, name).params)
    }
    assert set(verbs) == takers
    for verb, options in verbs.items():
        assert "it is not signed" in refuses(verb, unsigned, *options, *public)
        missing = ("--public-key", tmp_path / "none.pub")
        assert "No such file" in refuses(verb, signed, *options, *missing)
        wrong = ("--public-key", key)
        assert "a private key" in refuses(verb, signed, *options, *wrong)
        # The data of the one must fit the model; the other serves until it is ended.
        if verb not in ("evaluate", "demo"):
            done = fedp(verb, signed, *options, *public)
            assert done.returncode == 0, done.stderr
    assert not (tmp_path / "report").exists()


def test_inspect_says_what_a_signature_is_worth(signed, unsigned, key):
    def line(*asked: object) -> str:
        lines = fedp("inspect", *asked).stdout.splitlines()
        return next(line for line in lines if line.startswith("signed "))

    assert line(unsigned).split() == ["signed", "no"]
    claim = "claims to be signed (not checked: give --public-key)"
    assert line(signed).endswith(f"  {claim}")
    checked = ("--public-key", f"{key}.pub")
    assert line(signed, *checked).endswith("  yes, by this key")
    found = json.loads(fedp("inspect", signed, "--json").stdout)
    assert (found["signed"], found["signature_checked"]) == (True, False)
    found = json.loads(fedp("inspect", signed, *checked, "--json").stdout)
    assert found["signature_checked"]


def test_bake_takes_an_interpreter(unsigned, tmp_path):
    asked = ("bake", unsigned, "--out", tmp_path / "baked.tflite", "--interpreter")
    assert fedp(*asked, "tflite_runtime").returncode == 0
    assert "'ai_edge_litert', 'tflite_runtime'" in refuses(*asked, "none", code=2)


def test_key_of_somebody_else(signed, tmp_path):
    fedp("keygen", "--out", tmp_path / "OTHER")
    asked = ("verify", signed, "--public-key", tmp_path / "OTHER.pub")
    assert "signature is not of this public key" in refuses(*asked)


def test_export_says_first_that_a_key_cannot_be_used(tmp_path, key):
    asked = ("export", tmp_path, "--out", tmp_path / "m.tflite", "--sign")
    assert "no PEM private key" in refuses(*asked, __file__)
    assert "a public key" in refuses(*asked, f"{key}.pub")
    assert "No such file" in refuses(*asked, tmp_path / "none")
    assert "no run directory" in refuses(*asked, key)


def test_export_does_not_write_over_its_inputs(tmp_path, key):
    model, before = tmp_path / "model.keras", key.read_bytes()
    model.write_bytes(b"mine")
    for out in (model, key):
        line = refuses("export", model, "--sign", key, "--out", out)
        assert "which the export reads" in line and "another --out" in line
    assert (model.read_bytes(), key.read_bytes()) == (b"mine", before)


def test_verify_prints_a_table_and_passes(signed, key):
    done = fedp("verify", signed, "--public-key", f"{key}.pub")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ai_edge_litert 2.")
    assert lines[1].split("  ")[0] == "step" and "TensorFlow's" in lines[1]
    assert lines.count("PASS") == 2 and "FAIL" not in done.stdout
    one = fedp("verify", signed, "--interpreter", "tflite_runtime", "--json")
    (result,) = json.loads(one.stdout)["results"]
    assert result["passed"] and result["interpreter"] == "tflite_runtime"
    assert {"loss", "expected_loss", "difference", "failed"} <= set(result["steps"][0])


def test_verify_fails_with_exit_code_1(unsigned, small_export):
    import dataclasses

    from fedp.device_runtime import artifact_file
    from fedp.device_runtime.certificate import Certificate, digest

    proof = Certificate.from_bytes(small_export.certificate, small_export.manifest)
    forged = dataclasses.replace(proof, losses=proof.losses * 2).to_bytes()
    old = small_export.manifest.certificate.encode()
    content = small_export.content.replace(old, digest(forged).encode())
    unsigned.write_bytes(artifact_file.seal(content))
    certificate_path(unsigned).write_bytes(forged)
    done = fedp("verify", unsigned)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL" in done.stdout and "beyond tolerance: loss" in done.stdout
    done = fedp("verify", unsigned, "--json")
    assert done.returncode == 1
    assert not json.loads(done.stdout)["results"][0]["passed"]


def test_verify_names_what_is_wrong_with_the_certificate(unsigned, mlp_artifact):
    place = certificate_path(unsigned)
    asked = ("verify", unsigned, "--certificate")
    assert "another artifact's" in refuses(*asked, certificate_path(mlp_artifact))
    assert "damaged" in refuses(*asked, __file__)
    shutil.move(place, place.with_name("moved"))
    line = refuses("verify", unsigned)
    assert str(place) in line and "expected beside" in line
    assert fedp(*asked, place.with_name("moved")).returncode == 0
