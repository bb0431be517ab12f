import dataclasses
import html
import html.parser
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from fedp.device_runtime.errors import FedpError
from fedp.training.evaluation.calibration import Bins
from fedp.training.evaluation.png import data_address
from fedp.training.evaluation.report import write_report
from fedp.training.evaluation.results import ClientResult
from fedp.training.evaluation.summary import summarize
from fedp.training.evaluation.worst import Mistake

RESULTS = [
    ClientResult(
        *("ann", 40, 41, 0.5, 0.75, 0.75, True, "rose by 0.25", (0.5, 0.75)),
        Bins(
            (0, 0, 0, 0, 0, 0, 0, 30, 0, 11),
            (0, 0, 0, 0, 0, 0, 0, 15, 0, 11),
            (0, 0, 0, 0, 0, 0, 0, 22.5, 0, 10.45),
        ),
        Bins((0,) * 9 + (41,), (0,) * 9 + (30,), (0.0,) * 9 + (39.0,)),
    ),
    ClientResult("bob", 4, 5, 0.8, 0.6, 0.8, False, "fell by 0.2", (0.8, 0.6)),
    ClientResult("cyd", 20, 20, 0.8, 0.7, 0.8, False, "fell by 0.1", (0.8, 0.7)),
    ClientResult(
        "<i>\"'&</script>", 9, 9, 0.6, 0.55, 0.55, True, "rose by 0.1", (0.6,)
    ),
]
IMAGE = data_address(np.zeros((2, 2), np.uint8))
MISTAKES = {"bob": [Mistake(IMAGE, "7", "7", "1", "7")]}
PLOTS = [
    *("before-guard", "after-guard", "epochs", "gains", "deciles"),
    *("bands", "tenths", "reliability"),
]
FACTS = {"artifact": "model.tflite", "policy": {"epochs": 5, "layers": ["a", "b"]}}


class Page(html.parser.HTMLParser):
    """Collects what a browser would see: addresses, styles, scripts, texts by tag."""

    def __init__(self, source):
        super().__init__()
        self.addresses, self.ids, self.inside = [], [], []
        self.texts = {}
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.addresses += [
            values[name]
            for name in ("src", "href", "srcset", "data", "poster", "action")
            if name in values
        ]
        self.ids.append(values.get("id"))
        if tag not in ("meta", "link", "br", "img"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        self.texts.setdefault(self.inside[-1] if self.inside else "", []).append(data)

    def cells(self):
        return self.texts["td"] + self.texts["th"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, summarize(RESULTS), RESULTS, FACTS, mistakes=MISTAKES)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_nothing_is_fetched_from_anywhere(page):
    # The first is an empty icon, or browsers ask for one.
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert page.addresses[0] == "data:,"
    style = "".join(page.texts["style"])
    assert "@import" not in style and "url(" not in style
    plots = [script for script in page.texts["script"] if "Plotly.newPlot" in script]
    ours = [script for script in plots if len(script) < 500_000]
    assert len(ours) == len(PLOTS)
    assert not any("http://" in script or "https://" in script for script in ours)


def test_tags_are_balanced_and_ids_unique(page):
    assert page.inside == []
    ids = [name for name in page.ids if name]
    assert len(ids) == len(set(ids))
    assert set(PLOTS) <= set(ids)


def test_links_lead_to_parts_of_the_page(page):
    inner = [address[1:] for address in page.addresses if address.startswith("#")]
    assert len(inner) > 6 and set(inner) <= set(page.ids)


def test_every_plot_has_a_name_and_its_numbers_in_a_table(source):
    figures = re.findall(r"<figure>.*?</figure>", source, re.DOTALL)
    assert len(figures) == len(PLOTS)
    for figure in figures:
        assert re.search(r'role="img" aria-label="Plot: [^"]{20,}"', figure)
    tables = sum("<table>" in figure for figure in figures)
    assert tables == len(PLOTS) - 4  # Those of the others are beside them.


def test_a_table_tells_of_the_curve_the_bands_and_the_calibration(page):
    cells = page.cells()
    assert "0 to 9" in cells and "10 to 29" in cells
    # Answers of ann's two bins: 30 at 0.75 with 15 right, 11 at 0.95 with 11 right.
    assert {"70 to 80 %", "30", "50.0%", "90 to 100 %", "11", "100.0%"} <= set(cells)


def test_the_worst_clients_examples_are_shown_in_words_too(source):
    assert f'src="{IMAGE}"' in source
    assert 'alt="A 7, taken for 7 by the initial model, 1 by the' in source


def test_the_guards_decisions_are_held_against_the_test_part(source):
    row = source.partition("reverted: the personalized one would be")[2]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)[:5]
    assert cells == ["2", "0", "0", "2", "−15.0"]  # bob and cyd: -0.2 and -0.1


def test_very_many_clients_are_drawn_and_listed_in_part(tmp_path):
    many = [dataclasses.replace(RESULTS[0], client=f"c{n}") for n in range(2100)]
    path = tmp_path / "report.html"
    write_report(path, summarize(many), many, {})
    source = path.read_text(encoding="utf-8")
    assert "2,000 of 2,100 clients, drawn at random" in source
    assert "1,000 of 2,100 clients" in source and "clients.csv" in source
    assert source.count("<tr>") < 1200


def test_every_client_is_in_the_table_and_in_both_scatters(page):
    for result in RESULTS:
        assert result.client in page.cells()
    for name in ("before-guard", "after-guard"):
        (script,) = (s for s in page.texts["script"] if f'"{name}"' in s)
        texts = re.findall(r"\\u003cb\\u003e(.*?)\\u003c\\u002fb\\u003e", script)
        shown = {html.unescape(json.loads(f'"{text}"')) for text in texts}
        assert shown == {result.client for result in RESULTS}


def test_a_client_name_cannot_become_markup(source, page):
    assert '<i>"' not in source
    assert RESULTS[3].client in page.cells()


def test_headline_numbers(page):
    values = page.texts["p"]
    assert "67.5%" in values  # initial: (0.5 + 0.8 + 0.8 + 0.6) / 4
    assert "65.0%" in values  # personalized: (0.75 + 0.6 + 0.7 + 0.55) / 4
    assert "72.5%" in values  # deployed: (0.75 + 0.8 + 0.8 + 0.55) / 4
    assert "3 → 1" in values  # bob, cyd and the last one, which the guard kept


def test_reasons_are_grouped_without_their_numbers(page):
    cells = page.texts["th"]
    assert "rose by …" in cells and "fell by …" in cells


def test_facts_are_flattened(page):
    assert "policy: epochs" in page.cells() and "a, b" in page.cells()


def test_the_opening_tells_who_was_trained_on(source, tmp_path):
    unseen = "examples its device never saw"
    assert unseen in source and "trained on" not in source.partition("</header>")[0]
    path = tmp_path / "report.html"
    write_report(path, summarize(RESULTS), RESULTS, FACTS, seen=3)
    text = path.read_text(encoding="utf-8").partition("</header>")[0]
    assert "trained on 3 of these 4 clients" in text and unseen not in text


def test_a_single_client_makes_a_report(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, summarize(RESULTS[:1]), RESULTS[:1], {})
    assert "a single client" in path.read_text(encoding="utf-8")


def test_a_failed_write_leaves_the_old_report(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    # The device without room: writing to it fails as on a full disk.
    (tmp_path / ".report.html.part").symlink_to("/dev/full")
    with pytest.raises(FedpError, match=r"report\.html cannot be written .No space"):
        write_report(path, summarize(RESULTS), RESULTS, FACTS)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_without_plotly_the_error_names_the_command():
    program = """
import sys
sys.modules["plotly"] = None
import fedp.training.evaluation.report as report
from fedp.device_runtime.errors import MissingDependencyError
try:
    report.figures.plotly_objects()
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install" in done.stdout and done.stdout.count("\n") == 1
