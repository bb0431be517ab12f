"""Serves the page on the loopback address alone, until it is told to stop."""

from __future__ import annotations

import secrets
import socket
import threading
from types import TracebackType
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from fedp.demo.application import Application
from fedp.demo.device import Device
from fedp.device_runtime.errors import FedpError

HOST = "127.0.0.1"


class _Handler(WSGIRequestHandler):
    """A thread a request, which ends with it."""

    timeout = 2  # Seconds for which a connection may say nothing.

    def log(self, type: str, message: str, *args: Any) -> None:
        """The terminal is for people: no line a request."""


class _Server(ThreadedWSGIServer):
    daemon_threads = False  # `server_close` waits for all.


class Server:
    """A page of one device, at an address that only whoever is told it can use.

    Attributes:
        url: to open; its fragment is the token, which no browser sends on.
        address: on which it listens, and the port.
    """

    def __init__(self, device: Device, port: int = 0, token: str | None = None) -> None:
        """Listens, but does not answer yet.

        Args:
            device: what is served.
            port: 0 takes a free one.
            token: what a page must know; by default a random one.

        Raises:
            FedpError: the port is taken.
        """
        token = token or secrets.token_urlsafe(16)
        try:
            listening = socket.create_server((HOST, port))
        except OSError as error:
            raise FedpError(
                f"port {port} cannot be used ({error.strerror}): choose another --port"
            ) from error
        with listening:
            port = listening.getsockname()[1]
            application = Application(device, port, token)
            self._server = _Server(
                HOST, port, application, _Handler, fd=listening.fileno()
            )
        self._thread: threading.Thread | None = None
        self.address = self._server.socket.getsockname()
        self.url = f"http://{HOST}:{port}/#{token}"

    def __enter__(self) -> Server:
        """Answers, in a thread, until the end of a `with`."""
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="fedp-demo",
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes no more requests, and lets those that run end."""
        self._server.shutdown()
        if self._thread:
            self._thread.join()

    def wait(self) -> None:
        """Returns at Ctrl-C."""
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return
