"""The demo's page in headless Chromium, used as a person uses it."""

import json
import math
import os
import pathlib
import platform

import pytest

tf = pytest.importorskip("tensorflow", reason="exporting needs the training install")

from fedp.device_runtime import Budget, Policy  # noqa: E402
from fedp.export.exporter import Target, export_model  # noqa: E402
from tests.in_node import install_packages, node  # noqa: E402

from .asking import drawings  # noqa: E402

DRIVER = pathlib.Path(__file__).parent / "drive.mjs"
# Where to put pictures of the page, for whoever wants to look at it.
SCREENSHOTS = os.environ.get("FEDP_DEMO_SCREENSHOTS")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def packages():
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the pinned headless Chromium is built for x86-64 alone")
    install_packages()


@pytest.fixture(scope="module")
def drawn_artifact(tmp_path_factory):
    """An untrained model of images and four classes, with the usual guard."""
    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    seen = [layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(16, "relu")]
    export = export_model(
        tf.keras.Sequential([*seen, layers.Dense(4)]),
        name="drawn",
        classes=["A", "7", "L", "O"],
        target=Target(batch_size=4, policy=Policy(learning_rate=0.1, epochs=12)),
        parity_steps=4,
    )
    path = tmp_path_factory.mktemp("drawn") / "model.tflite"
    path.write_bytes(export.content)
    return path


@pytest.fixture
def browser_files(tmp_path):
    (tmp_path / "browser").mkdir()
    return tmp_path / "browser"


def use(page, steps, temporary):
    """What the page said after each step."""
    given = {"url": page.url, "steps": steps, "screenshots": SCREENSHOTS}
    found = json.loads(node(str(DRIVER), given=given, temporary=temporary))
    assert found["wrong"] == []
    assert all(seen["unnamed"] == [] for seen in found["seen"])
    assert list(temporary.iterdir()) == []  # The browser has gone with all it had.
    return found["seen"]


def page_of(seen, steps, *begin):
    """What the page said after the first step that begins so."""
    return next(s for s, step in zip(seen, steps) if step[: len(begin)] == begin)


def shifted(strokes, right, down, size=1.0):
    return [[[size * x + right, size * y + down] for x, y in s] for s in strokes]


CIRCLE = [
    [0.5 + 0.25 * math.cos(turn / 4), 0.5 + 0.3 * math.sin(turn / 4)]
    for turn in range(26)
]
STROKES = {
    "A": [[[0.3, 0.8], [0.5, 0.2], [0.7, 0.8]], [[0.38, 0.6], [0.62, 0.6]]],
    "7": [[[0.3, 0.25], [0.7, 0.25], [0.45, 0.8]]],
    "L": [[[0.35, 0.2], [0.35, 0.8], [0.7, 0.8]]],
    "O": [CIRCLE],
}
PLACES = [(0.0, 0.0, 1.0), (0.2, 0.1, 0.7), (0.05, 0.25, 0.6), (0.15, 0.0, 0.9)]


def test_a_person_draws_personalizes_and_sees_another_prediction(
    drawn_artifact, serve, browser_files
):
    page = serve(drawn_artifact)
    drawn = [("draw", STROKES["L"]), ("picture", "drawn"), ("click", "#clear")]
    examples = [
        step
        for place in PLACES
        for name, strokes in STROKES.items()
        for step in (("draw", shifted(strokes, *place)), ("label", name))
    ]
    steps = [
        *drawn,
        *examples,
        ("draw", STROKES["L"]),
        ("click", "#personalize"),
        ("says", "#verdict", "Kept"),
        ("says", "#shown", "your drawing"),
        ("picture", "personalized"),
        ("reload",),
        ("says", "#verdict", "Kept"),
        ("click", "#list .look"),
        ("says", "#shown", "example"),
        ("click", "#roll-back"),
        ("says", "#live", "initial"),
        ("picture", "rolled-back"),
        ("click", "#list .delete"),
        ("says", "#count", "15 examples"),
        ("click", "#forget"),
        ("click", "#sure button:not(.danger)"),
        ("click", "#forget"),
        ("click", "#sure .danger"),
        ("says", "#count", "No examples"),
        ("says", "#shown", "Draw something"),
        ("size", 390, 800),
        ("picture", "narrow"),
    ]
    seen = use(page, steps, browser_files)
    before = page_of(seen, steps, "picture", "drawn")
    after = page_of(seen, steps, "picture", "personalized")
    assert before["initial"] == before["personalized"] == after["initial"]
    assert len(before["initial"]) == 3 and before["live"] == "Live: initial model"
    assert after["personalized"][0].startswith("L ")
    assert float(after["personalized"][0].split()[1]) > 70
    assert after["personalized"] != after["initial"]
    assert "log loss falls" in after["reason"].lower()
    assert after["live"] == "Live: personalized model, generation 1"
    assert after["lines"] == 5 and "192 of 192 steps" in after["curve"]
    rolled = page_of(seen, steps, "picture", "rolled-back")
    assert rolled["initial"] == rolled["personalized"]
    assert page.ask("GET", "examples")["ids"] == []


def test_the_keyboard_draws_and_an_adaptation_stops_and_goes_on(
    drawn_artifact, serve, browser_files
):
    page = serve(drawn_artifact, budget=Budget(epochs=100_000))
    page.ask("POST", "examples", drawings(12))
    line = [" ", *["ArrowDown"] * 8, *["ArrowRight"] * 5, " "]
    steps = [
        ("keys", line),
        ("label", "L"),
        ("click", "#personalize"),
        ("says", "#step", "epoch"),
        ("draw", STROKES["A"]),
        ("picture", "adapting"),
        ("click", "#stop"),
        ("says", "#verdict", "Stopped"),
        ("click", "#personalize"),
        ("says", "#step", "epoch"),
        ("click", "#forget"),
        ("click", "#sure .danger"),
        ("says", "#count", "No examples"),
        ("says", "#verdict", "Nothing was decided"),
    ]
    seen = use(page, steps, browser_files)
    by_keys = page_of(seen, steps, "keys")
    assert by_keys["initial"] and by_keys["examples"] == 12
    assert page_of(seen, steps, "picture")["stopping"]
    assert page_of(seen, steps, "draw")["personalized"]
    stopped = page_of(seen, steps, "says", "#verdict")
    assert "goes on from there" in stopped["reason"] and not stopped["stopping"]


def test_a_model_without_images_takes_numbers(
    small_export, serve, browser_files, tmp_path
):
    artifact = tmp_path / "small.tflite"
    artifact.write_bytes(small_export.content)
    entry = {"x": [0.5] * 6, "y": "c"}
    file = tmp_path / "examples.json"
    file.write_text(json.dumps([entry, entry]))
    page = serve(artifact)
    steps = [
        ("type", "#input", "[1, 0, 0.5, 0, 0, -1]"),
        ("click", "#predict"),
        ("says", "#shown", "Answers to your input"),
        ("picture", "numbers"),
        ("label", "b"),
        ("load", str(file)),
        ("says", "#count", "3 examples"),
        ("type", "#input", "]"),
        ("click", "#predict"),
        ("says", "#error", "no JSON"),
    ]
    seen = use(page, steps, browser_files)
    assert len(page_of(seen, steps, "picture")["initial"]) == 3
    typed, loaded, _ = page.ask("GET", "examples")["examples"]
    assert (typed["x"], typed["y"]) == ([1, 0, 0.5, 0, 0, -1], 1)
    assert (loaded["x"], loaded["y"]) == (entry["x"], 2)
