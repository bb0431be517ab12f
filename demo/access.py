"""Who may ask: a page of this server, opened by whoever was given its address."""

from __future__ import annotations

import hmac

from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Request

TOKEN_HEADER = "X-Fedp-Token"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def check_host(request: Request, port: int) -> None:
    """Refuses other names of this machine: a strange site may point its own here.

    Raises:
        Forbidden: the request names another host, or comes from another site's page.
    """
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin", f"http://{host}")
    if host not in hosts or origin != f"http://{host}":
        raise Forbidden("only the page of this address may ask: open what fedp printed")


def check_token(request: Request, token: str) -> None:
    """Refuses whoever does not know the address that was printed.

    A header of that name also makes a strange page's request one that browsers refuse.

    Raises:
        Forbidden: the token is missing or another one.
    """
    given = request.headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Forbidden("wrong or no token: open the address that fedp printed")
