"""`fedp evaluate` and `fedp report` as a user calls them."""

from __future__ import annotations

import json
import sys

import pytest

from fedp.cli import progress_bar
from tests.cli.calling import fedp, refuses

pytest.importorskip("plotly", reason="reports need plotly")


def test_evaluations_are_compared_by_their_directories(mlp_artifact, tmp_path):
    asked = ("evaluate", mlp_artifact, "--data", "synthetic:30", "--max-examples", 20)
    for name, seed in (("one", 0), ("two", 1)):
        done = fedp(*asked, "--report", name, "--seed", seed, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = fedp("report", "one", "two", "--out", "both.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header, row, *_, last = done.stdout.splitlines()
    assert header.split()[:3] == ["against", "the", "first"]
    assert row.startswith("two") and " to " in row
    assert last == "report: both.html" and (tmp_path / "both.html").exists()
    done = fedp("report", "one", "two", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["report"] == "comparison.html"
    assert [gap["model"] for gap in found["pairs"][0]["differences"]] == [
        *("initial", "personalized", "deployed")
    ]
    assert "two or more" in refuses("report", "one", cwd=tmp_path)
    assert "clients.csv" in refuses("report", "one", "three", cwd=tmp_path)


def test_wrong_usage_is_told(tmp_path):
    assert "REPORTS" in refuses("report", code=2)
    asked = ("evaluate", "a.tflite", "--data", "synthetic", "--report", tmp_path)
    assert "'local', 'ray'" in refuses(*asked, "--engine", "spark", code=2)


@pytest.mark.parametrize("before", [0, 4000])
def test_a_log_gets_the_time_left_at_this_calls_own_speed(before, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with progress_bar.progress_bar() as advance:
        for done in range(before + 1, before + 2001):
            now[0] += 0.5  # two a second
            advance(done, 10_000, None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 16  # of 1,000 s, one a minute
    first = before + 120
    left = (10_000 - first) / 2 / 60
    hours, minutes = divmod(round(left), 60)
    assert lines[0].startswith(f"clients: {first:,} of 10,000, about {hours} h ")
    assert abs(int(lines[0].split()[7]) - minutes) <= 1
