"""The demo's JSON interface, asked over real sockets."""

import json
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("werkzeug", reason="the demo needs `pip install 'fedp[demo]'`")

from fedp.demo import application  # noqa: E402
from fedp.demo.adapting import BusyError  # noqa: E402
from fedp.demo.device import Device  # noqa: E402
from fedp.demo.requirement import check_installed  # noqa: E402
from fedp.demo.server import Server  # noqa: E402
from fedp.device_runtime import Budget, Personalizer  # noqa: E402
from fedp.device_runtime.errors import FedpError, MissingDependencyError  # noqa: E402

from .asking import drawings, served  # noqa: E402

ENDLESS = Budget(epochs=1_000_000)
NEW = drawings(1, seed=7)[0]


def ended(news):
    return not news["adapting"]


def begun(news):
    return news["points"]


def test_a_person_draws_corrects_personalizes_rolls_back_and_forgets(
    mlp_artifact, serve
):
    page = serve(mlp_artifact)
    model = page.ask("GET", "model")
    assert (model["drawing"], len(model["classes"])) == ([28, 28], 62)
    before = page.ask("POST", "predict", {"pixels": NEW["pixels"]})
    assert before["live"] == before["initial"] and len(before["live"]) == 62

    ids = [page.ask("POST", "label", entry)["id"] for entry in drawings(36)]
    assert page.ask("GET", "examples")["ids"] == ids
    assert page.ask("DELETE", f"examples/{ids[0]}") == {"deleted": True}
    (last,) = page.ask("GET", f"examples?after={ids[-2]}")["examples"]
    assert (last["id"], last["y"]) == (ids[-1], drawings(36)[-1]["y"])
    shown = np.array(last["x"]).ravel() * 255
    np.testing.assert_allclose(shown, drawings(36)[-1]["pixels"], atol=1e-4)

    page.ask("POST", "adaptation")
    news = page.until(ended)
    phases = [one["progress"]["phase"] for one in news if one["progress"]]
    assert {"judging", "adapting"} >= set(phases) and phases[-1] == "adapting"
    points, last = news[-1]["points"], news[-1]
    steps = [step for step, _, _ in points]
    assert steps == list(range(1, steps[-1] + 1))
    assert last["outcome"]["steps"] == steps[-1]
    assert {trial for *_, trial in points} == {0, 1, 2, 3, 4}
    assert (last["outcome"]["decision"], last["error"]) == ("keep", None)
    assert "log loss falls" in last["outcome"]["reason"]
    assert last["outcome"]["examples"] == 35

    after = page.ask("POST", "predict", {"pixels": NEW["pixels"]})
    assert after["initial"] == before["initial"]
    assert after["live"][NEW["y"]] > 2 * after["initial"][NEW["y"]]
    status = page.ask("GET", "status")
    assert status["live"] == after["generation"] == last["outcome"]["generation"]
    assert "state" not in status

    assert page.ask("POST", "rollback")["live"] == "initial"
    assert page.ask("POST", "predict", {"pixels": NEW["pixels"]}) == before
    page.ask("POST", "adaptation")
    page.until(ended)
    assert page.ask("POST", "forget")["generations"] == 0
    assert page.ask("GET", "examples")["ids"] == []
    assert page.ask("POST", "predict", {"pixels": NEW["pixels"]}) == before
    assert page.until(ended)[-1]["points"] == []


def test_an_adaptation_is_watched_stopped_and_goes_on(mlp_artifact, serve, tmp_path):
    page = serve(mlp_artifact, tmp_path / "state", budget=ENDLESS)
    page.ask("POST", "examples", drawings(20))
    page.ask("POST", "adaptation")
    assert page.until(begun)[-1]["adapting"]

    # What does not change the model is answered meanwhile; what does is refused.
    assert page.ask("POST", "predict", {"pixels": NEW["pixels"]})["live"]
    assert page.ask("POST", "label", NEW)["id"]
    assert page.ask("GET", "status")["adapting"]
    for path in ("adaptation", "rollback"):
        status, line = page.refused("POST", f"/api/{path}")
        assert status == 409 and "an adaptation runs: stop it" in line

    page.ask("DELETE", "adaptation")
    stopped = page.until(ended)[-1]
    assert stopped["outcome"]["decision"] == "unfinished"
    assert "goes on from there" in stopped["outcome"]["reason"]
    page.ask("POST", "adaptation")
    taken = len(stopped["points"])
    more = page.until(lambda news: len(news["points"]) > taken)[-1]
    page.ask("DELETE", "adaptation")
    again = page.until(ended)[-1]
    assert again["run"] == more["run"] == stopped["run"]
    assert again["points"][:taken] == stopped["points"]
    assert again["points"][taken][0] == stopped["points"][-1][0] + 1

    page.ask("POST", "adaptation")
    page.until(begun)
    assert not page.ask("POST", "forget")["adapting"]
    assert page.ask("GET", "examples")["ids"] == []


def test_closing_stops_all_and_the_next_start_goes_on(mlp_artifact, tmp_path):
    before = set(threading.enumerate())
    with served(mlp_artifact, tmp_path, budget=ENDLESS) as page:
        page.ask("POST", "examples", drawings(20))
        page.ask("POST", "adaptation")
        first = page.until(begun)[-1]["points"][-1][0]
    assert set(threading.enumerate()) == before
    with served(mlp_artifact, tmp_path, budget=ENDLESS) as page:
        page.ask("POST", "adaptation")
        assert page.until(begun)[-1]["points"][0][0] > first
    with pytest.raises(OSError):
        page.send("GET", "/")
    assert set(threading.enumerate()) == before


def test_what_goes_wrong_while_adapting_is_told(mlp_artifact, serve, tmp_path):
    page = serve(mlp_artifact, tmp_path, budget=ENDLESS)
    page.ask("POST", "examples", drawings(20))
    page.ask("POST", "adaptation")
    page.until(begun)
    other = serve(mlp_artifact, tmp_path)  # Another window of the same state.
    other.ask("POST", "adaptation")
    assert "is adapting this state" in other.until(ended)[-1]["error"]


def test_a_model_that_has_become_worse_is_reverted(mlp_artifact, serve):
    page = serve(mlp_artifact, budget=Budget(epochs=40))
    page.ask("POST", "examples", drawings(36))
    page.ask("POST", "adaptation")
    assert page.until(ended)[-1]["outcome"]["decision"] == "keep"
    random = np.random.default_rng(1)
    for _ in range(200):
        entry = {"pixels": random.integers(0, 256, 784).tolist()}
        answers = page.ask("POST", "predict", entry)
        y = int(np.argmax(answers["initial"]))
        if int(np.argmax(answers["live"])) == y:
            continue
        reverted = page.ask("POST", "label", {**entry, "y": y})["reverted"]
        if reverted:
            break
    assert page.ask("GET", "status")["reason"] == reverted
    assert page.ask("GET", "status")["live"] == "initial"


PIXELS = NEW["pixels"]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("predict", b"{", "no JSON"),
        ("predict", b'{"x": [NaN]}', "no JSON"),
        ("predict", b"[" * 100_000, "no JSON"),
        ("predict", [], '{"x": ...}'),
        ("predict", {"x": PIXELS, "pixels": PIXELS}, '{"x": ...}'),
        ("predict", {"pixels": PIXELS[1:]}, "shape [783]; the model takes [28, 28, 1]"),
        ("predict", {"pixels": [256, *PIXELS[1:]]}, "0 to 255"),
        ("predict", {"pixels": [0.5, *PIXELS[1:]]}, "0 to 255"),
        ("predict", {"pixels": [[1], [2, 3]]}, "no even list"),
        ("predict", {"pixels": ["a"] * 784}, "no number"),
        ("predict", {"pixels": [True] * 784}, "no number"),
        ("predict", b'{"x": [' + b"1e999," * 783 + b"0]}", "NaN or Inf"),
        ("label", {"pixels": PIXELS}, "without a label"),
        ("label", {"pixels": PIXELS, "y": "?!"}, "label '?!' is no class"),
        ("label", {"pixels": PIXELS, "y": 62}, "out of range"),
        ("label", {"pixels": PIXELS, "y": 0.5}, "labels are integers"),
        ("label", {"pixels": PIXELS, "y": [1]}, "shape"),
        ("examples", {"x": 1}, "give a list"),
        ("examples", [NEW, {"pixels": PIXELS, "y": 99}], "example 1: label 99"),
    ],
)
def test_wrong_input_is_refused_in_a_line(shared, path, body, named):
    status, line = shared.refused("POST", f"/api/{path}", body)
    assert status == 400 and named in line
    assert shared.ask("GET", "examples")["ids"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("PUT", "/api/model", 405),
        ("OPTIONS", "/api/forget", 405),
        ("GET", "/api/examples?after=-1", 400),
        ("GET", "/api/adaptation?run=1&since=x", 400),
        ("DELETE", "/api/examples/../../model", 404),
        ("GET", "/nothing.js", 404),
        ("GET", "/../device.py", 404),
        ("GET", "/%2e%2e/device.py", 404),
    ],
)
def test_wrong_addresses_are_refused(shared, method, path, status):
    assert shared.refused(method, path)[0] == status


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Fedp_Token": None},
        {"X_Fedp_Token": "another"},
        {"X_Fedp_Token": "\u00fc"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_strangers_are_refused(shared, headers):
    for method, path in [("GET", "/api/status"), ("POST", "/api/forget")]:
        status, line = shared.refused(method, path, **headers)
        assert status == 403 and "open" in line


def test_the_page_itself_needs_no_token_but_the_right_host(shared):
    host = f"127.0.0.1:{shared.port}"
    status, headers, content = shared.send("GET", "/", X_Fedp_Token=None)
    assert status == 200 and b"<canvas" in content
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Connection"] == "close"
    for name in ("page.js", "style.css"):
        assert shared.send("GET", f"/{name}", X_Fedp_Token=None)[0] == 200
    assert shared.send("GET", "/", Host="evil.example")[0] == 403
    assert shared.send("GET", "/", Host=host, Origin=f"http://{host}")[0] == 200


def test_large_and_foreign_bodies_are_refused(shared):
    large = json.dumps([NEW] * (application.MOST_BYTES // 2000)).encode()
    assert len(large) > application.MOST_BYTES
    assert shared.refused("POST", "/api/examples", large)[0] == 413
    status, _ = shared.refused("POST", "/api/label", NEW, Content_Type="text/plain")
    assert status == 415


def test_only_the_loopback_address_listens_on_a_port_of_its_own(mlp_artifact, shared):
    with Device.open(mlp_artifact) as device:
        with Server(device) as server:
            assert server.address[0] == "127.0.0.1" and server.address[1] > 0
        with pytest.raises(FedpError, match="choose another --port"):
            Server(device, shared.port)
    with pytest.raises(BusyError, match="closing"):
        device.adapting.start()


def test_examples_are_stored_as_the_app_stores_its_own(mlp_artifact, serve, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    with Personalizer.open(mlp_artifact, tmp_path) as app:
        for image in x:
            app.add_example(image, np.uint8(4))
        page = serve(mlp_artifact, tmp_path)
        page.ask("POST", "label", {"pixels": PIXELS, "y": "3"})
        stored = app.examples()
    assert (stored.x.dtype, stored.y.tolist()) == (np.uint8, [4, 4, 4, 3])
    np.testing.assert_array_equal(stored.x[3].ravel(), PIXELS)
    rows = page.ask("GET", "examples")["examples"]
    np.testing.assert_allclose(np.array(rows[0]["x"])[..., 0] * 255, x[0], atol=1e-4)
    status, line = page.refused("POST", "/api/label", {"x": [2.0] * 784, "y": 1})
    assert status == 400 and "0..1" in line


def test_examples_of_another_model_are_no_ones_to_show(
    mlp_artifact, small_export, serve, tmp_path
):
    small = tmp_path / "small.tflite"
    small.write_bytes(small_export.content)
    page = serve(small, tmp_path / "state")
    assert page.ask("GET", "model")["drawing"] is None
    entry = {"x": [1, 0, 0.5, 0, 0, -1]}
    answers = page.ask("POST", "predict", entry)
    assert sum(answers["initial"]) == pytest.approx(1, abs=1e-5)
    page.ask("POST", "examples", [{**entry, "y": "b"}])
    assert page.ask("GET", "examples")["examples"][0]["x"] == entry["x"]
    other = serve(mlp_artifact, tmp_path / "state")
    assert other.ask("GET", "examples") == {"ids": [], "examples": [], "strange": 1}


def test_without_werkzeug_the_command_that_mends_it_is_named(monkeypatch):
    check_installed()
    monkeypatch.setitem(sys.modules, "werkzeug", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'fedp\[demo\]'"):
        check_installed()


@pytest.fixture(scope="module")
def shared(mlp_artifact):
    """A page that no test changes."""
    with served(mlp_artifact) as page:
        yield page
