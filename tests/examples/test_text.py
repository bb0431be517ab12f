"""The next-character example, with a shorter training than in the README."""

import contextlib
import gzip
import json
import re

import numpy as np
import pytest

from fedp.training.data import open_data
from tests.examples.commands import commands, copied, run, start

pytest.importorskip("tensorflow_federated", reason="training needs its install")

SMALL = {
    "plays.py": ("--roles", "8", "--speeches", "30"),
    "train": ("--rounds", "12"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copied("text", tmp_path_factory.mktemp("text"))


@pytest.mark.slow
def test_a_device_learns_how_its_owner_writes(folder):
    printed = {c[1]: run(c, folder, *SMALL.get(c[1], ())) for c in commands("text")}
    check(printed["author.py"], folder)


def test_the_same_with_an_npz_of_short_windows(folder):
    """Of 16 characters: an export unrolls every step, and 80 of them take long."""
    plays, train, export, author, evaluate = commands("text")
    run(plays, folder, *SMALL["plays.py"], "--out", "r.json.gz")
    with contextlib.closing(open_data(f"shakespeare:{folder}/r.json.gz")) as data:
        loaded = [(data.load(client), client) for client in data.clients()]
        classes = data.classes
    x, y = (np.concatenate([e[i][:, :16] for e, _ in loaded]) for i in (0, 1))
    client = np.repeat([name for _, name in loaded], [len(e.y) for e, _ in loaded])
    np.savez(folder / "short.npz", x=x, y=y, client=client, classes=classes)
    given = ("--data", "short.npz")
    run(train, folder, *SMALL["train"], *given, "--out", "short")
    run(["fedp", "export", "short", *export[3:]], folder, "--out", "short.tflite")
    said = run(["python", "author.py", "short.tflite"], folder, *given)
    run(["fedp", "evaluate", "short.tflite", *evaluate[3:]], folder, *given)
    check(said, folder)


def check(said, folder):
    """Of what author.py said, and of the report."""
    before, after = map(float, re.findall(r"(?:before|after): (0\.\d+)", said))
    assert after > before + 0.05
    assert "\nkeep: " in said
    samples = [line for line in said.splitlines() if line.startswith("  ")]
    assert samples[0] != samples[1]
    assert samples[0][:17] == samples[1][:17]  # what was given
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert summary["deployed"]["value"] > summary["initial"]["value"] + 0.05


def test_roles_have_manners_of_their_own(folder):
    run(["python", "plays.py", "--roles", "5", "--out", "few.json.gz"], folder)
    roles = json.loads(gzip.decompress((folder / "few.json.gz").read_bytes()))
    assert len(roles) == 5
    for speeches in roles.values():
        assert len(speeches) == 30
        assert len({speech.split()[0] for speech in speeches}) == 1


def test_no_artifact_is_one_line(folder):
    run(["python", "plays.py", "--roles", "5"], folder)
    done = start(["python", "author.py", "no.tflite"], folder)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
