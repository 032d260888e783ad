"""The page's answers to programs: /healthz, /api/alerts, an action on an alert; and the choice of language."""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tingchao.alerts import card
from tingchao.alerts.desk import ACTIONS, LANGUAGE_COOKIE, Desk
from tingchao.alerts.precedents import precedents
from tingchao.config.language import LANGUAGES
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.health import HEALTH

_BODY = 8 * 1024  # bytes of a note with what is around it
_YEAR = 365 * 86400  # seconds


class _Note(msgspec.Struct):
    note: str = ""


class _Verdict(msgspec.Struct):
    verdict: str
    post: str = ""
    signals: tuple[str, ...] = ()
    note: str = ""


def add(app: FastAPI, desk: Desk) -> None:
    """Register the routes."""

    @app.get("/healthz")
    async def healthz() -> Response:
        well, said = HEALTH.live()
        return _json(said, 200 if well else 503)

    @app.get("/readyz")
    async def readyz() -> Response:
        waiting, stuck = HEALTH.troubles(), HEALTH.stuck()
        return _json({"waiting": waiting, "stuck": stuck}, 503 if waiting or stuck else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), 200, {"Cache-Control": "no-store"}, CONTENT_TYPE_LATEST)

    @app.get("/api/alerts")
    async def alerts(state: str = "") -> Response:
        found = [one for one in desk.alerts.values() if state in {"", one.state}]
        found.sort(key=lambda one: (one.since, one.id), reverse=True)
        return _json([card.as_json(one) for one in found])

    @app.get("/api/alerts/{identity}")
    async def alert(identity: str) -> Response:
        found = desk.alerts.get(identity)
        if found is None:
            return _error(404, f"no alert {identity!r}")
        return _json(card.as_json(found, precedents(found, desk.alerts.values())))

    @app.post("/api/alerts/{identity}/verdict")
    async def judge(request: Request, identity: str) -> Response:
        if identity not in desk.alerts:
            return _error(404, f"no alert {identity!r}")

        async def publish() -> str:
            said = msgspec.json.decode(await _body(request), type=_Verdict)
            return await desk.judge(identity, said.verdict, said.post, said.signals, said.note)

        return await _published(publish(), '{"verdict": "true_alarm", "post": "…", "signals": []}')

    @app.post("/api/alerts/{identity}/{action}")
    async def act(request: Request, identity: str, action: str) -> Response:
        if action not in ACTIONS:
            return _error(404, f"no action {action!r}; expected one of {', '.join(ACTIONS)}")
        if identity not in desk.alerts:
            return _error(404, f"no alert {identity!r}")

        async def publish() -> str:
            return await desk.send(identity, action, await _note(request))

        return await _published(publish(), 'nothing or {"note": "…"}')

    @app.get("/language/{code}")
    async def language(code: str, back: str = "/") -> Response:
        # One slash and no more, else a browser would leave for another host.
        target = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
        response = RedirectResponse(target, 303)
        if code in LANGUAGES:
            response.set_cookie(LANGUAGE_COOKIE, code, max_age=_YEAR, httponly=True, samesite="lax")
        return response


async def _published(command: Awaitable[str], body: str) -> Response:
    """The id of the command, or why there is none; `body`: what was expected of the request."""
    try:
        return _json({"command": await command}, 202)
    except msgspec.DecodeError as err:
        return _error(400, f"the body: expected {body}, got: {err}")
    except Refused as err:
        return _error(409, str(err))
    except Retry as err:
        return _error(503, str(err))


async def _note(request: Request) -> str:
    content = await _body(request)
    return msgspec.json.decode(content, type=_Note).note if content.strip() else ""


async def _body(request: Request) -> bytes:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _BODY:
            raise msgspec.DecodeError(f"more than {_BODY} bytes")
    return content


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, {"Cache-Control": "no-store"}, "application/json")


def _error(status: int, words: str) -> Response:
    return _json({"error": words}, status)
