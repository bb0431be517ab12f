"""A device runtime behind a real server, and who asks it, for the tests of demo."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("werkzeug", reason="the demo needs `pip install 'fedp[demo]'`")

from fedp.demo.device import Device  # noqa: E402
from fedp.demo.server import Server  # noqa: E402


class Page:
    """Asks as the page does.

    Attributes:
        url: of the page.
        port: of the server.
        token: from its address.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url, self.port, self.token = url, parts.port, parts.fragment

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        **headers: str | None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; a header of None is not sent."""
        sent = {
            "X-Fedp-Token": self.token,
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            given = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, path, body, given)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What is answered to a request that is right."""
        sent = None if body is None else json.dumps(body).encode()
        status, _, content = self.send(method, f"/api/{path}", sent)
        assert status == 200, content
        return json.loads(content)

    def refused(self, method: str, path: str, body: Any = None, **headers: Any) -> Any:
        """Status and line of a refusal."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, _, content = self.send(method, path, sent, **headers)
        line = json.loads(content)["error"]
        assert line and "\n" not in line
        return status, line

    def until(self, done: Callable[[Any], Any], run: int = 0) -> list[Any]:
        """All news of an adaptation, asked as the page asks, up to the last wanted."""
        found, points = [], []
        deadline = time.monotonic() + 60
        while True:
            path = f"adaptation?run={run}&since={len(points)}"
            news = self.ask("GET", path)
            points[news["since"] :], run = news["points"], news["run"]
            found.append({**news, "points": list(points)})
            if done(found[-1]):
                return found
            assert time.monotonic() < deadline, news
            time.sleep(0.01)


@contextlib.contextmanager
def served(*arguments: Any, **settings: Any) -> Iterator[Page]:
    """A page of what `Device.open` opens."""
    with Device.open(*arguments, **settings) as device, Server(device) as server:
        yield Page(server.url)


def drawings(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Three easy classes: a random image each, and noise."""
    patterns = np.random.default_rng(99).integers(0, 200, (3, 784))
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, count)
    pixels = patterns[y] + random.integers(0, 55, (count, 784))
    return [{"pixels": p.tolist(), "y": int(n)} for p, n in zip(pixels, y)]
