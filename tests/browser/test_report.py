"""The pages of `fedp evaluate` and `fedp report` in headless Chromium, offline."""

import json
import pathlib
import re
import subprocess

import numpy as np
import pytest

pytest.importorskip("plotly", reason="the report needs plotly")

from fedp.training.evaluation.calibration import Bins  # noqa: E402
from fedp.training.evaluation.comparison_page import report  # noqa: E402
from fedp.training.evaluation.png import data_address  # noqa: E402
from fedp.training.evaluation.report import write_report  # noqa: E402
from fedp.training.evaluation.results import (  # noqa: E402
    ClientResult,
    write_clients_csv,
)
from fedp.training.evaluation.summary import (  # noqa: E402
    summarize,
    write_summary_json,
)
from fedp.training.evaluation.worst import Mistake  # noqa: E402
from tests.in_node import install_packages  # noqa: E402

HERE = pathlib.Path(__file__).parent
CLIENTS = 40
FACTS = {"data set": "made up", "seed": 0, "policy": {"epochs": 3, "blends": [0.5, 1]}}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def packages():
    install_packages(HERE)


def results(seed):
    random = np.random.default_rng(seed)
    made = []
    for number in range(CLIENTS):
        initial, gain = random.uniform(0.4, 0.8), random.normal(0.03, 0.08)
        personalized, kept = initial + gain, gain > -0.02
        examples = int(random.integers(2, 400))
        counts = tuple(random.integers(1, 9, 10).tolist())
        bins = Bins(counts, (1,) * 10, tuple(0.05 + 0.1 * n for n in range(10)))
        made.append(
            ClientResult(
                client=f"writer {number} <&>",
                adapt_examples=examples,
                test_examples=30,
                initial=initial,
                personalized=personalized,
                deployed=personalized if kept else initial,
                kept=kept,
                reason=f"log loss {'falls' if kept else 'rises'} by {abs(gain):.3f}",
                curve=(initial, initial + gain / 2, personalized),
                initial_bins=bins,
                deployed_bins=bins,
            )
        )
    return made


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two report directories, as `fedp evaluate` writes them."""
    image = data_address(np.eye(28, dtype=np.uint8) * 255)
    made = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp("report") / f"run{seed}"
        folder.mkdir()
        some = results(seed)
        summary = summarize(some)
        mistakes = {r.client: [Mistake(image, "1", "1", "l", "l")] * 3 for r in some}
        write_clients_csv(folder / "clients.csv", some)
        write_summary_json(folder / "summary.json", summary, FACTS)
        write_report(folder / "report.html", summary, some, FACTS, 0, mistakes)
        made.append(folder)
    return made


def look(page, plot, tmp_path):
    """What report.mjs finds; its pictures go to `tmp_path`."""
    given = {"page": str(page), "plot": plot, "screenshots": str(tmp_path)}
    done = subprocess.run(
        ["node", "report.mjs"],
        cwd=HERE,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def single(folders, tmp_path_factory):
    shots = tmp_path_factory.mktemp("shots")
    return look(folders[0] / "report.html", "before-guard", shots), shots


@pytest.fixture(scope="module")
def several(folders, tmp_path_factory):
    shots = tmp_path_factory.mktemp("shots")
    page = shots / "comparison.html"
    report(folders, page)
    return look(page, "scatter-deployed", shots), shots


@pytest.fixture(params=["single", "several"])
def found(request):
    return request.getfixturevalue(request.param)[0]


def test_nothing_is_fetched_and_nothing_goes_wrong(found):
    asked = [address for address in found["asked"] if not address.startswith("data:")]
    assert len(asked) == 1 and asked[0].startswith("file://")
    assert found["wrong"] == []


def test_the_mouse_over_a_dot_names_the_client_and_its_data_size(found):
    name, size, *rest = found["hover"]
    number = int(re.match(r"writer (\d+) <&>", name)[1])
    wanted = {r.adapt_examples for s in (0, 1) for r in results(s)[number : number + 1]}
    assert int(size.split(" examples on the device")[0]) in wanted
    assert any("guard: kept" in line or "guard: reverted" in line for line in rest)


def test_a_click_on_the_legend_hides_dots_and_another_shows_them(found):
    all_dots, fewer, again = found["legend"]
    assert 0 < fewer < all_dots == again


def test_tab_leads_over_the_skip_link_to_sections_and_tables(found):
    first, *others = found["tabs"]
    assert first["text"].startswith("Skip") and first["leads_to"] == "main"
    assert all(tab["seen"] and tab["outline"] == "solid" for tab in found["tabs"])
    assert {"a", "summary"} <= {tab["tag"] for tab in others}


def test_tables_open_by_keyboard(single, several):
    assert CLIENTS in single[0]["opened"]  # the table of all clients
    assert all(rows > 0 for rows in single[0]["opened"] + several[0]["opened"])


def test_no_rule_of_accessibility_is_broken(found):
    assert found["light_violations"] == found["dark_violations"] == []


def luminance(colour):
    """WCAG 2's relative luminance of "rgb(1, 2, 3)"."""
    rgb = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_of_page_and_plots_stand_out_in_both_schemes(found, scheme):
    shown = found[scheme]
    dark = [luminance(shown[name]) < 0.1 for name in ("ground", "card")]
    assert dark == [scheme == "dark"] * 2
    for name in ("text", "soft", "tick", "legend"):
        values = sorted([luminance(shown[name]), luminance(shown["card"])])
        assert (values[1] + 0.05) / (values[0] + 0.05) > 4.5, name


def test_a_telephone_needs_no_scrolling_sideways(found):
    assert found["too_wide"] == []


def test_pictures_show_the_plots_in_their_colours(single):
    """A scatter that was not drawn would leave nothing but the page's few greys."""
    matplotlib = pytest.importorskip("matplotlib.image")
    pictures = {
        name: matplotlib.imread(single[1] / f"wide-{name}.png")[..., :3]
        for name in ("light", "dark")
    }
    for orange, name in ((0xD98A00, "light"), (0xD98A00, "dark")):
        wanted = np.array([orange >> 16, orange >> 8 & 255, orange & 255]) / 255
        near = np.abs(pictures[name] - wanted).max(axis=-1) < 0.06
        assert near.sum() > 500
    assert pictures["light"].mean() > 0.8 and pictures["dark"].mean() < 0.3
