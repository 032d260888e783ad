"""Who may ask the page: this machine only, or whoever knows the token; and nobody through somebody else's page."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tingchao.alerts.markup import esc
from tingchao.config.cluster import fault
from tingchao.pipeline.errors import Refused

COOKIE = "tingchao_token"
COOKIE_AGE = 30 * 86400  # seconds; after a month without a visit the token is asked for again
# All comes from this server. NiceGUI's page has scripts within and compiles its templates, hence the two unsafe ones.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_READING = frozenset({"GET", "HEAD"})


class No(NamedTuple):
    """A request that is not answered, with the reason for a person."""

    status: int
    why: str


def read_token(file: Path) -> str:
    """The first line of the token file. Raises Refused when it cannot be read or is empty."""
    if (found := fault("page.token_file", file)) is not None:
        raise Refused(found)
    return file.read_text(encoding="utf-8").split("\n")[0].strip()


class Guard:
    """The outermost part of the web application; each request and websocket passes here."""

    def __init__(self, app: ASGIApp, token: str = "") -> None:
        self.app = app
        self._token = token
        # The cookie is not the token: whoever reads a browser's files does not learn it.
        self._cookie = hmac.new(token.encode(), b"tingchao page", hashlib.sha256).hexdigest() if token else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        no = _foreign(scope, headers) or (self._unknown(scope, headers) if self._token else _rebound(headers))
        if no is not None:
            await _answer(PlainTextResponse(f"{no.why}\n", no.status, _no_headers(no)), scope, receive, send)
        elif self._token and scope["type"] == "http" and self._is_first_visit(scope):
            await self._welcome(scope)(scope, receive, _adding(send))
        else:
            await self.app(scope, receive, _adding(send) if scope["type"] == "http" else send)

    def _unknown(self, scope: Scope, headers: Mapping[str, str]) -> No | None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        known = (
            (scheme.lower() == "bearer" and _same(given.strip(), self._token))
            or _same(_cookie(headers, COOKIE), self._cookie)
            or _same(_asked(scope).get("token", ""), self._token)
        )
        return None if known else No(401, "A token is needed: open the page once with ?token=…, or send it as a bearer")

    def _is_first_visit(self, scope: Scope) -> bool:
        """A person who brought the token in the address: it goes into a cookie, and out of the address."""
        return (
            scope["method"] == "GET"
            and not scope["path"].startswith("/api/")
            and "token" in _asked(scope)
            and _same(_asked(scope)["token"], self._token)
        )

    def _welcome(self, scope: Scope) -> Response:
        # Not a redirect: after a click on a link elsewhere, a browser would not send a strict cookie along with it.
        rest = urlencode([(key, value) for key, value in _pairs(scope) if key != "token"])
        target = quote("/" + scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        response = HTMLResponse(f'<!doctype html><meta http-equiv="refresh" content="0;url={esc(target)}">')
        response.set_cookie(
            COOKIE,
            self._cookie,
            max_age=COOKIE_AGE,
            httponly=True,
            samesite="strict",
            secure=scope.get("scheme") == "https",
        )
        response.headers["Cache-Control"] = "no-store"
        return response


def _foreign(scope: Scope, headers: Mapping[str, str]) -> No | None:
    """A request that somebody else's page made; a websocket and CORS would let it read the answer too."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return No(403, "This request comes from another page")
    reading = scope["type"] == "http" and scope["method"] in _READING
    if not reading and headers.get("sec-fetch-site") == "cross-site":
        return No(403, "This request comes from another page")
    return None


def _rebound(headers: Mapping[str, str]) -> No | None:
    """A name that is not this machine's, made to point here: its page would be of the same origin as ours."""
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        name = ""
    if name == "localhost" or _is_loopback(name):
        return None
    return No(403, "Without a token this page answers to 127.0.0.1 and localhost only; set page.token_file for others")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), known.encode())


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _pairs(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _asked(scope: Scope) -> dict[str, str]:
    return dict(_pairs(scope))


def _no_headers(no: No) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if no.status == 401 else {}


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await response(scope, receive, _adding(send))
    elif "websocket.http.response" in scope.get("extensions", {}):
        await response(scope, receive, send)  # Starlette sends it as the denial of the websocket
    else:
        await send({"type": "websocket.close", "code": 1008})


def _adding(send: Send) -> Send:
    """`send` with the headers that every answer has."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
