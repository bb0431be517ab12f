"""Activity recognition, with fewer people than in the README."""

import csv
import json

import pytest

from tests.examples.commands import commands, copied, run, start

pytest.importorskip("tensorflow_federated", reason="training needs its install")
parquet = pytest.importorskip("pyarrow.parquet")

SMALL = {
    "sensors.py": ("--people", "15", "--windows", "120"),
    "train": ("--rounds", "40", "--reptile-rounds", "5"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The example after all of its commands."""
    folder = copied("activity", tmp_path_factory.mktemp("activity"))
    for command in commands("activity"):
        run(command, folder, *SMALL.get(command[1], ()))
    return folder


def test_personalization_gains_much_on_what_came_later(folder):
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert summary["deployed"]["value"] > summary["initial"]["value"] + 0.1
    assert summary["deployed"]["value"] > 0.9
    with (folder / "report" / "clients.csv").open() as file:
        tested = [row["test_examples"] for row in csv.DictReader(file)]
    assert tested == ["60"] * 3  # the later half, not a half of all parts


def test_a_device_adapts_on_what_came_earlier(folder):
    table = parquet.read_table(folder / "sensors.parquet").to_pydict()
    rows = [i for i, name in enumerate(table["client"]) if name == "person003"]
    rows.sort(key=lambda i: table["time"][i])
    wanted = [table["label"][i] for i in rows]
    parts = [
        json.loads((folder / "data" / part / "data.json").read_text())["user_data"]
        for part in ("train", "test")
    ]
    found = [part["person003"] for part in parts]
    assert found[0]["y"] + found[1]["y"] == wanted
    first = table["tilt_forward"][rows[0]]
    assert found[0]["x"][0][12] == pytest.approx(first, abs=1e-5)


def test_another_table_is_an_error_of_one_line(folder, tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet.write_table(pa.table({"client": ["a"], "y": [1]}), tmp_path / "t.parquet")
    for path, said in (("t.parquet", "no column label, time"), ("no", "cannot be")):
        done = start(["python", "by_time.py", str(tmp_path / path)], folder)
        assert done.returncode == 1 and said in done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
