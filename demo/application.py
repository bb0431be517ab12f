"""The page and its JSON interface as a WSGI application."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    NotFound,
    UnsupportedMediaType,
)
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from fedp.demo.access import HEADERS, check_host, check_token
from fedp.demo.adapting import BusyError
from fedp.demo.device import Device
from fedp.device_runtime.errors import DataError, FedpError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MOST_BYTES = 16_000_000  # Some 2000 images, as JSON.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_CODES = ((DataError, 400), (BusyError, 409))  # else 503: the state is in trouble
_API = Map(
    [
        Rule("/api/model", methods=["GET"], endpoint="model"),
        Rule("/api/status", methods=["GET"], endpoint="status"),
        Rule("/api/predict", methods=["POST"], endpoint="predict"),
        Rule("/api/examples", methods=["GET"], endpoint="examples"),
        Rule("/api/examples", methods=["POST"], endpoint="add"),
        Rule("/api/examples/<int:number>", methods=["DELETE"], endpoint="delete"),
        Rule("/api/label", methods=["POST"], endpoint="label"),
        Rule("/api/adaptation", methods=["GET"], endpoint="news"),
        Rule("/api/adaptation", methods=["POST"], endpoint="personalize"),
        Rule("/api/adaptation", methods=["DELETE"], endpoint="stop"),
        Rule("/api/rollback", methods=["POST"], endpoint="rollback"),
        Rule("/api/forget", methods=["POST"], endpoint="forget"),
    ],
    merge_slashes=False,
)


class _Request(Request):
    max_content_length = MOST_BYTES


class Application:
    """Answers with JSON below /api/, and with the page's files elsewhere.

    A refusal is `{"error": one line}` of status 4xx; another failure is 5xx.
    """

    def __init__(self, device: Device, port: int, token: str) -> None:
        """Reads the page's files.

        Args:
            device: what is shown.
            port: on which it is served.
            token: what a page must know.
        """
        self._device, self._port, self._token = device, port, token
        self._files = _page()

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """WSGI."""
        response = self._respond(_Request(environ))
        response.headers.extend(HEADERS)
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        try:
            check_host(request, self._port)
            if not request.path.startswith("/api/"):
                return self._file(request.path)
            check_token(request, self._token)
            return _json(self._answer(request))
        except HTTPException as error:
            return _json({"error": error.description}, error.code or 500)
        except FedpError as error:
            code = next((c for kind, c in _CODES if isinstance(error, kind)), 503)
            return _json({"error": _line(str(error))}, code)
        except Exception as error:
            return _json({"error": _line(f"unexpected {error!r}")}, 500)

    def _file(self, path: str) -> Response:
        if path not in self._files:
            raise NotFound("there is no such file: open the address that fedp printed")
        content, kind = self._files[path]
        return Response(content, content_type=kind)

    def _answer(self, request: Request) -> Any:
        urls = _API.bind_to_environ(request.environ)
        endpoint, arguments = urls.match()
        device, adapting = self._device, self._device.adapting
        if endpoint == "news":
            return adapting.news(_count(request, "run"), _count(request, "since"))
        if endpoint == "examples":
            return device.examples(_count(request, "after"))
        if endpoint == "delete":
            return device.delete(**arguments)
        plain: dict[str, Callable[[], Any]] = {
            "model": device.model,
            "status": device.status,
            "personalize": adapting.start,
            "stop": adapting.stop,
            "rollback": device.roll_back,
            "forget": device.forget,
        }
        if endpoint in plain:
            return plain[endpoint]()
        given = {"predict": device.predict, "add": device.add, "label": device.label}
        return given[endpoint](_body(request))


def _page() -> dict[str, tuple[bytes, str]]:
    """The page's files by their addresses: content, and its type."""
    files = {}
    for file in importlib.resources.files("fedp.demo").joinpath("page").iterdir():
        name = "" if file.name == "index.html" else file.name
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind:
            files[f"/{name}"] = (file.read_bytes(), kind)
    return files


def _body(request: Request) -> Any:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("send application/json")
    try:
        return json.loads(request.get_data(cache=False), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is no JSON: mend it") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _count(request: Request, name: str) -> int:
    text = request.args.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f"{name} is no whole number: give one")
    return int(text)


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(value, allow_nan=False)
    return Response(text, status, content_type="application/json")


def _line(text: str) -> str:
    return " ".join(text.split())
