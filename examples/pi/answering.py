"""Answers over HTTP what the machine does, from a thread of its own."""

from __future__ import annotations

import http.server
import json
import threading

import numpy as np

from fedp.device_runtime import Personalizer


class Answering:
    """GET anything: the live model's answer about the latest reading, as JSON.

    Attributes:
        port: where it listens, on this machine alone.
        answered: how many requests were.
    """

    def __init__(self, device: Personalizer, port: int) -> None:
        self.answered = 0
        self._device = device
        self._latest: np.ndarray | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = json.dumps(outer._answer()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                outer.answered += 1

            def log_message(self, *_: object) -> None:
                """The loop has a log of its own."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def show(self, x: np.ndarray) -> None:
        """Gives the latest reading."""
        self._latest = x

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self) -> dict[str, str | float | int]:
        if self._latest is None:
            return {"state": "unknown"}
        # Any thread may ask, also while the model adapts.
        found = self._device.predict(self._latest[None])[0]
        best = int(found.argmax())
        return {
            "state": self._device.manifest.classes[best],
            "probability": round(float(found[best]), 4),
            "live": self._device.status().live,
        }
