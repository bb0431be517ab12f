"""`fedp evaluate` and `fedp report` as a user calls them."""

from __future__ import annotations

import json

import click
import pytest

from fedp.cli import work_log
from fedp.cli.call import Call
from tests.cli.calling import fedp, refuses

pytest.importorskip("plotly", reason="reports need plotly")


def test_evaluations_are_compared_by_their_directories(
    mlp_artifact, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    asked = ("evaluate", mlp_artifact, "--data", "synthetic:30", "--max-examples", 20)
    for name, seed in (("one", 0), ("two", 1)):
        done = fedp(*asked, "--report", name, "--seed", seed)
        assert done.returncode == 0, done.stderr
    done = fedp("report", "one", "two", "--out", "both.html")
    assert done.returncode == 0, done.stderr
    header, row, *_, last = done.stdout.splitlines()
    assert header.split()[:3] == ["against", "the", "first"]
    assert row.startswith("two") and " to " in row
    assert last == "report: both.html" and (tmp_path / "both.html").exists()
    done = fedp("report", "one", "two", "--json")
    found = json.loads(done.stdout)
    assert found["report"] == "comparison.html"
    assert [gap["model"] for gap in found["pairs"][0]["differences"]] == [
        *("initial", "personalized", "deployed")
    ]
    assert "two or more" in refuses("report", "one")
    assert "clients.csv" in refuses("report", "one", "three")


def test_wrong_usage_is_told(tmp_path):
    assert "REPORTS" in refuses("report", code=2)
    asked = ("evaluate", "a.tflite", "--data", "synthetic", "--report", tmp_path)
    assert "'local', 'ray'" in refuses(*asked, "--engine", "spark", code=2)


@pytest.mark.parametrize("before", [0, 4000])
def test_the_time_left_is_at_this_calls_own_speed(before, monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr(work_log.time, "monotonic", lambda: now[0])
    with click.Context(click.Command("evaluate"), obj=Call([])):
        log = work_log.WorkLog(tmp_path / "log.txt")
        for done in range(before + 1, before + 62):
            log.count(done, 10_000)
            now[0] += 0.5  # two a second
        log.close()
    _, *lines = (tmp_path / "log.txt").read_text().splitlines()
    # After ten seconds, 20 more than the first one are done.
    assert f" {before + 21} of 10000 done, about " in lines[0]
    minutes = (10_000 - before - 21) / 2 / 60
    assert lines[0].endswith(f" about {minutes:.0f} min left") and len(lines) == 3
