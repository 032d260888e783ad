"""Whether a process lives and can work, and what it measures, over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from socketserver import TCPServer
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from tingchao.pipeline.clock import stopwatch
from tingchao.pipeline.errors import Refused

_STUCK = 60.0  # seconds without a turn of the loop; the slowest batch takes 0.5 s, a wait for a locked file 10 s


class Health:
    """What the loops of this process say of themselves; shared by its threads."""

    def __init__(self) -> None:
        self._turned: dict[str, float] = {}
        self._troubles: dict[str, str] = {}

    def turned(self, name: str, trouble: str = "") -> None:
        """The loop `name` has turned once more; `trouble`: what it waits for, empty when it can work."""
        self._turned[name], self._troubles[name] = stopwatch(), trouble

    def left(self, name: str) -> None:
        """The loop has ended as it should."""
        self._turned.pop(name, None)
        self._troubles.pop(name, None)

    def stuck(self) -> list[str]:
        """Loops that have not turned for a minute."""
        now = stopwatch()
        return [name for name, at in list(self._turned.items()) if now - at > _STUCK]

    def troubles(self) -> dict[str, str]:
        """What keeps each loop from working, by its name."""
        return {name: trouble for name, trouble in list(self._troubles.items()) if trouble}

    def live(self) -> tuple[bool, dict[str, Any]]:
        """For /healthz: false means that starting the process anew would help."""
        stuck = self.stuck()
        return not stuck, {"loops": sorted(self._turned), "stuck": stuck}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """For /readyz: false while something outside is missing, or nothing has begun yet."""
        waiting, stuck = self.troubles(), self.stuck()
        return bool(self._turned) and not waiting and not stuck, {"loops": sorted(self._turned), "waiting": waiting}


HEALTH = Health()  # one a process, as the metrics are


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """A line every few seconds would hide the others."""


class _Server(WSGIServer):
    def server_bind(self) -> None:
        """Without the look-up of this machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


def serve(address: str, health: Health = HEALTH) -> WSGIServer:
    """Answer on `HOST:PORT` or `PORT` (then on loopback only) in a thread; the server, whose `shutdown` ends it.

    Raises Refused when the address is none or taken.
    """
    host, _, port = address.rpartition(":")
    try:
        server = make_server(host or "127.0.0.1", int(port), _app(health), server_class=_Server, handler_class=_Quiet)
    except (OSError, ValueError, OverflowError) as err:
        raise Refused(f"--health {address!r}: {err}; expected PORT or HOST:PORT that is free") from err
    threading.Thread(target=server.serve_forever, daemon=True, name="health").start()
    return server


def _app(health: Health) -> Any:
    metrics = make_wsgi_app()

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start)
            return found
        answers = {"/healthz": health.live, "/readyz": health.ready}
        if path not in answers:
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"expected /healthz, /readyz or /metrics\n"]
        well, said = answers[path]()
        start("200 OK" if well else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps(said, ensure_ascii=False).encode() + b"\n"]

    return app
