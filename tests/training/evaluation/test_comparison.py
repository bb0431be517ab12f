import dataclasses
import json
import re

import numpy as np
import pytest

from fedp.device_runtime.errors import DataError
from fedp.training.evaluation.bootstrap import bootstrap_means
from fedp.training.evaluation.comparison import pairs_with_first, read_evaluations
from fedp.training.evaluation.comparison_page import report
from fedp.training.evaluation.intervals import mean
from fedp.training.evaluation.results import ClientResult, write_clients_csv
from fedp.training.evaluation.summary import summarize, write_summary_json


def client(name, initial, deployed, test=10):
    return ClientResult(
        *(name, 20, test, initial, deployed, deployed, True, "because"),
        (initial, deployed),
    )


FIRST = [client("a", 0.5, 0.6), client("b", 0.4, 0.3), client("c", 0.7, 0.7)]
OTHER = [client("c", 0.7, 0.8), client("b", 0.4, 0.4), client("<d>", 0.1, 0.2)]


def write(folder, results, seed=0):
    folder.mkdir(parents=True)
    write_clients_csv(folder / "clients.csv", results)
    facts = {"seed": seed, "policy": {"epochs": 5}, "parity": {"loss": seed}}
    write_summary_json(folder / "summary.json", summarize(results), facts)
    return folder


@pytest.fixture
def folders(tmp_path):
    return [write(tmp_path / "A", FIRST), write(tmp_path / "<B>", OTHER)]


def test_differences_are_over_common_clients(folders):
    (pair,) = pairs_with_first(read_evaluations(folders))
    assert (pair.first, pair.other, pair.clients) == ("A", "<B>", 2)
    assert pair.same_parts
    by_model = {gap.model: gap for gap in pair.differences}
    assert by_model["initial"].accuracy.value == 0
    deployed = by_model["deployed"]  # b: 0.3 -> 0.4, c: 0.7 -> 0.8
    assert deployed.accuracy.value == pytest.approx(0.1)
    assert deployed.accuracy.low == pytest.approx(0.1)
    assert (deployed.better, deployed.worse) == (2, 0)
    assert (pair.first_hurt.count, pair.other_hurt.count) == (1, 0)
    assert (pair.hurt.value, pair.hurt.low, pair.hurt.high) == (-0.5, -1, 0)


def test_other_splits_and_nobody_in_common_are_told(tmp_path, folders):
    longer = [dataclasses.replace(r, test_examples=9) for r in FIRST]
    strangers = [client("x", 0.5, 0.5)]
    more = [
        write(tmp_path / "seed", FIRST, seed=1),
        write(tmp_path / "longer", longer),
        write(tmp_path / "strangers", strangers),
    ]
    pairs = pairs_with_first(read_evaluations([folders[0], *more]))
    assert [pair.same_parts for pair in pairs] == [False] * 3
    assert pairs[2].clients == 0 and pairs[2].differences == ()
    out = tmp_path / "deep" / "page.html"
    report([folders[0], *more], out)
    text = out.read_text(encoding="utf-8")
    assert "seed and A have in common were split or capped differently" in text
    assert "strangers and A have no client in common" in text


def test_the_page_tells_the_runs_apart(folders, tmp_path):
    out = tmp_path / "page.html"
    pairs = report(folders, out)
    assert pairs == pairs_with_first(read_evaluations(folders))
    text = out.read_text(encoding="utf-8")
    assert "<b>" not in text.replace("<body>", "") and "<d>" not in text
    assert "<td>&lt;B&gt;</td>" in text or "&lt;B&gt; − A" in text
    plots = re.findall(r'<div id="([^"]+)" class="plotly-graph-div"', text)
    assert sorted(plots) == [
        *("bands", "curves", "hurt", "scatter-deployed", "scatter-personalized")
    ]
    body = text.partition("</head>")[2]
    addresses = re.findall(r'(?:src|href)="([^"]*)"', body)
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "policy: epochs" in text and "parity: loss" not in text


def test_directories_of_one_name_are_told_apart(tmp_path):
    places = [write(tmp_path / n / "report", FIRST) for n in "ab"]
    names = [run.name for run in read_evaluations(places)]
    assert names == [str(place) for place in places]


def test_what_cannot_be_compared_is_one_clear_line(tmp_path, folders):
    for given in ([], folders[:1], [folders[0], folders[0] / ".." / "A"]):
        with pytest.raises(DataError, match="two or more different"):
            read_evaluations(given)
    with pytest.raises(DataError, match=r"clients\.csv.*fedp evaluate"):
        read_evaluations([folders[0], tmp_path])
    (folders[1] / "summary.json").write_text(json.dumps({"run": 3}))
    with pytest.raises(DataError, match=r"summary\.json.*fedp evaluate"):
        read_evaluations(folders)


def test_the_bootstrap_agrees_with_the_normal_interval():
    values = np.random.default_rng(1).normal(0.02, 0.1, (400, 2))
    for found, column in zip(bootstrap_means(values), values.T):
        wanted = mean(column)
        assert found.value == pytest.approx(wanted.value)
        assert found.low == pytest.approx(wanted.low, abs=0.0015)
        assert found.high == pytest.approx(wanted.high, abs=0.0015)
        assert found.standard_error == pytest.approx(wanted.standard_error, rel=0.1)
    assert bootstrap_means(values) == bootstrap_means(values)
    assert bootstrap_means(values[:1])[0].low is None
