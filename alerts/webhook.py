"""A message becomes a POST with JSON: the channel for everything that has an address."""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec

from tingchao.alerts import card
from tingchao.alerts.message import Message, Report, body
from tingchao.config.settings import Webhook
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Poison, Retry

# The refusals that are about the message itself (RFC 9110: bad request, too large, not this type, not understood).
# All others may be mended at either end (a new token, a desk that moved or is set up later), and the message waits.
REFUSED = frozenset({400, 413, 415, 422})
# To these somebody has to do something; the other 4xx (RFC 9110, 8470 and 6585: time-out, too early, too many) pass.
_MEND = frozenset({401, 403, 404, 405, 407, 410})
LONGEST_WAIT = 3600.0  # seconds; a longer Retry-After is a service's mistake more often than its wish
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


class WebhookChannel:
    """POSTs {"id", "event", "alert", "text"} as JSON, and "others" for a group of alerts.

    The receiver may meet an id twice and drops the second.
    """

    def __init__(self, settings: Webhook, language: str, clock: Clock) -> None:
        self.name, self.min_level = settings.name, settings.min_level
        self.together, self.flood, self.whole = 50, 0, False
        self._settings, self._language, self._clock = settings, language, clock
        # httpx writes each URL with its query to its log, httpcore the headers of each answer.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)

    def send(self, message: Message) -> Report:
        """See `Channel.send`."""
        status, retry_after = self._post(msgspec.json.encode(self._content(message)), message.id)
        self._judge(status, retry_after)
        return Report()

    def _content(self, message: Message) -> dict[str, Any]:
        content: dict[str, Any] = {
            "id": message.id,
            "event": message.event,
            "alert": card.as_json(message.alert),
            "text": body(message, self._language),
        }
        if message.others:
            content["others"] = [{"event": one.event, "alert": card.as_json(one.alert)} for one in message.others]
        return content

    def _post(self, content: bytes, identity: str) -> tuple[int, str]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Idempotency-Key": identity,
            "X-Tingchao-Id": identity,
            "User-Agent": "Tingchao",
        }
        try:
            url = httpx.URL(self._settings.url)
            auth = self._authorise(url, headers)
            # The answer's text is not read: it is not needed, and may be endless or repeat a secret.
            with (
                httpx.Client(timeout=self._settings.timeout.total_seconds(), trust_env=leaves(url.host)) as client,
                client.stream("POST", url.copy_with(userinfo=b""), content=content, headers=headers, auth=auth) as got,
            ):
                return got.status_code, got.headers.get("Retry-After", "")
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise Retry(f"{self._where()} has no address that can be used: expected http://… or https://…") from None
        except httpx.HTTPError as err:
            # Neither the text of the error nor its chain: they hold the URL or a header.
            raise Retry(f"{self._where(url)}: {cause(err)}") from None

    def _authorise(self, url: httpx.URL, headers: dict[str, str]) -> httpx.BasicAuth | None:
        """A token from its file, read at each send so that it can be changed; else the user in the URL."""
        if self._settings.token_file is not None:
            headers["Authorization"] = f"Bearer {secret(self._settings.token_file, self._where(), 'token_file')}"
            return None
        return httpx.BasicAuth(unquote(url.username), unquote(url.password)) if url.userinfo else None

    def _judge(self, status: int, retry_after: str) -> None:
        if 200 <= status < 300:
            return
        where = self._where(httpx.URL(self._settings.url))
        if status in REFUSED:
            raise Poison("notify.refused", f"{where} answered {status}: it does not take this message; look at its url")
        if status in _MEND:
            raise Retry(f"{where} answered {status}: look at its url and token_file; the message waits")
        if 300 <= status < 400:
            raise Retry(f"{where} answered {status}: it has moved; change its url")
        raise Retry(f"{where} answered {status}", seconds_of(retry_after, self._clock.now()))

    def _where(self, url: httpx.URL | None = None) -> str:
        """The channel's place in the settings and, of its URL, what is no secret (a path can be one)."""
        place = f" ({url.scheme}://{url.host}{f':{url.port}' if url.port else ''})" if url else ""
        return f"tingchao.toml, notify {self._settings.name!r}{place}"


def secret(file: os.PathLike[str], where: str, key: str) -> str:
    """The first line of a file with a secret. Raises Retry when it cannot be read or is empty."""
    try:
        with open(file, encoding="utf-8") as lines:  # noqa: PTH123 any path-like
            line = lines.readline().strip()
    except (OSError, UnicodeDecodeError) as err:
        raise Retry(f"{where}: {key} {os.fspath(file)}: {type(err).__name__}; expected a file with one line") from None
    if not line:
        raise Retry(f"{where}: {key} {os.fspath(file)} is empty; expected one line")
    return line


def leaves(host: str) -> bool:
    """Whether the machine's proxy settings apply."""
    return _LOOPBACK.fullmatch(host) is None


def cause(err: httpx.HTTPError) -> str:
    """What went wrong, in words that hold nothing of the request."""
    found: BaseException | None = err
    while found is not None:
        if isinstance(found, OSError) and found.errno:
            return f"{type(err).__name__}, {os.strerror(found.errno) if found.errno > 0 else 'no such host'}"
        found = found.__cause__ or found.__context__
    return type(err).__name__


def seconds_of(retry_after: str, now: datetime) -> float:
    """A Retry-After (seconds or a date, RFC 9110) as seconds from now; 1 when there is none or it cannot be read."""
    if retry_after.strip().isdigit():
        return min(float(retry_after), LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return 1.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max((when - now).total_seconds(), 1.0), LONGEST_WAIT)
