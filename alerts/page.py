"""The page: alerts as they happen, on one port, for people with a browser and programs with JSON."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from tingchao.alerts import page_api, page_feed, page_search, page_sources
from tingchao.alerts.desk import Desk
from tingchao.alerts.follower import Follower
from tingchao.alerts.guard import Guard, read_token
from tingchao.alerts.nice import ui
from tingchao.alerts.page_frame import ICON, STYLE
from tingchao.config.language import Said
from tingchao.config.settings import PageSettings, Settings
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log
from tingchao.pipeline.store import Store

_STOP_LOOK = 0.1  # seconds between two looks at `stop`
_GRACE = 1  # seconds for requests under way when the server ends
_JOIN = 2.0  # seconds for the threads


def serve(
    settings: Settings,
    open_log: Callable[[], Log],
    open_store: Callable[[], Store],
    clock: Clock,
    stop: threading.Event,
    background: Callable[[], None] | None = None,
) -> None:
    """Serve the page on page.host and page.port until `stop` is set, or on SIGINT or SIGTERM, which set it.

    `background` runs once in a thread of its own as soon as the page answers; it should end when `stop` is set.
    Raises Refused when the port is taken or the token file cannot be read. Once a process (NiceGUI keeps one app).
    """
    page = settings.main.page
    token = read_token(page.token_file) if page.token_file is not None else ""
    listening = _listen(page)
    follower = Follower(open_log, [channel.name for channel in settings.main.notify], clock, stop)
    desk = Desk(settings, open_log, open_store, clock, follower)
    follower.start()
    try:
        with _signals(stop):
            asyncio.run(_run(Guard(_application(desk), token), listening, stop, background))
    finally:
        stop.set()
        listening.close()
        desk.close()
        follower.join(_JOIN)


def _application(desk: Desk) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)  # the documentation pages load from elsewhere
    page_api.add(app, desk)
    for page in (page_feed, page_search, page_sources):
        page.add(desk)
    ui.add_head_html(f"<style>{STYLE.read_text(encoding='utf-8')}</style>", shared=True)
    ui.run_with(
        app,
        title="听潮 Tingchao",
        favicon=ICON,
        dark=None,
        language="zh-CN" if desk.settings.main.language == "zh" else "en-US",
        tailwind=False,
        binding_refresh_interval=None,
        show_welcome_message=False,
    )
    return app


async def _run(
    app: Guard, listening: socket.socket, stop: threading.Event, background: Callable[[], None] | None
) -> None:
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_not_the_end)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
        ws_max_size=1024 * 1024,  # bytes of a message from a browser; a click is some hundreds
    )
    server = _Server(config)
    watcher = asyncio.create_task(_watch(server, stop, background))
    await server.serve([listening])
    watcher.cancel()


async def _watch(server: uvicorn.Server, stop: threading.Event, background: Callable[[], None] | None) -> None:
    while not stop.is_set():
        if server.started and background is not None:
            threading.Thread(target=background, daemon=True, name="background").start()
            background = None
        await asyncio.sleep(_STOP_LOOK)
    server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves signals to `serve`: uvicorn would raise them again after its end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Nothing."""
        yield


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`, and then do what they did before, if that was not to end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        handler = before[signal.Signals(number)]
        if callable(handler) and handler is not signal.default_int_handler:
            handler(number, frame)

    for one in before:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _listen(page: PageSettings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in page.host else socket.AF_INET
        return socket.create_server((page.host, page.port), family=family)
    except OSError as err:
        known = {errno.EADDRINUSE: "taken", errno.EADDRNOTAVAIL: "not_here", errno.EACCES: "not_allowed"}
        cause = Said(f"error.listen.{known[err.errno]}") if err.errno in known else err.strerror
        raise Refused(Said("error.page_port", host=page.host, port=page.port, error=cause)) from err


def _not_the_end(record: logging.LogRecord) -> bool:
    """Whether a line of the server is news: that it cuts open pages off when it ends is meant."""
    return not str(record.msg).startswith("Cancel %s running task")
