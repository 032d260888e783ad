"""A message becomes a text in a group chat: the robots of DingTalk, WeCom and Feishu.

An answer of 200 says nothing with them; the code in its body counts. Limits are of bytes in UTF-8, and of messages a
minute: what is beyond waits, and goes out as a digest of several alerts. Limits and codes are those that the makers
publish, as of 2026 (DingTalk custom robot; WeCom 91770; Feishu custom bot guide).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from tingchao.alerts.message import Busy, Message, Report, body, subject
from tingchao.alerts.webhook import LONGEST_WAIT, REFUSED, cause, leaves, seconds_of, secret
from tingchao.config.channels import Robot
from tingchao.config.language import text
from tingchao.pipeline.clock import Clock, millis
from tingchao.pipeline.errors import Poison, Retry

_MINUTE = timedelta(minutes=1)
_GAP = timedelta(milliseconds=250)  # between two messages: Feishu takes 5 a second
_ANSWER = 64 * 1024  # bytes of an answer that are read
_BLOCKED = 600.0  # seconds: DingTalk keeps a robot that was too fast silent for ten minutes
_CERTAIN = REFUSED - {400}  # statuses that are about the message whatever code the body has
# What begins a mention in a text: Feishu's <at user_id="all">, WeCom's <@all>. DingTalk's stand beside the text.
_MENTION = re.compile(r"<(?=\s*/?\s*(?:at(?![a-z])|@))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is peculiar to one maker."""

    limit: int  # bytes of the text; below the published limit of the whole body, for what is around it
    together: int  # alerts in one message, so that each has its line within the limit
    fast: dict[int, float]  # codes that may mean "too fast" -> seconds to wait
    long: dict[int, str]  # codes of "too long", or of a body that it does not take -> how their text then begins
    mend: frozenset[int]  # codes of a wrong signature, keyword or address: somebody has to change a setting


_KINDS = {
    "dingtalk": _Kind(19_000, 50, {130101: _BLOCKED}, {460101: "", 101002: ""}, frozenset({310000})),
    "wecom": _Kind(2_048, 8, {45009: 60.0}, {40058: ""}, frozenset()),
    # 9499 is "Bad Request" and, as kubesphere/notification-manager#126 met it, "too many request".
    "feishu": _Kind(19_000, 50, {11232: 60.0, 9499: 60.0}, {9499: "bad request"}, frozenset({19021, 19022, 19024})),
}


class _Answer(NamedTuple):
    """What the other side said."""

    status: int
    retry_after: str  # the header, '' when there is none
    body: bytes


class RobotChannel:
    """One robot."""

    flood = 5  # messages that wait, from which on they are joined into digests
    whole = False

    def __init__(self, settings: Robot, language: str, clock: Clock) -> None:
        self.name, self.min_level = settings.name, settings.min_level
        self._settings, self._language, self._clock = settings, language, clock
        self._kind = _KINDS[settings.kind]
        self.together = self._kind.together
        self._sent: deque[datetime] = deque()
        for name in ("httpx", "httpcore"):  # they log the URL, which is a secret
            logging.getLogger(name).setLevel(logging.WARNING)

    def send(self, message: Message) -> Report:
        """See `Channel.send`."""
        now = self._clock.now()
        self._wait_for_room(now)
        url = self._settings.url
        if self._settings.url_file is not None:
            url = secret(self._settings.url_file, self._where(), "url_file")
        key = secret(self._settings.secret_file, self._where(), "secret_file") if self._settings.secret_file else ""
        query, content = self._content(self._text(message), key, now)
        self._sent.append(now)
        self._judge(self._post(url, query, msgspec.json.encode(content)), now)
        return Report()

    def _wait_for_room(self, now: datetime) -> None:
        while self._sent and now - self._sent[0] >= _MINUTE:
            self._sent.popleft()
        if self._sent and self._sent[0] > now:  # the clock went back
            self._sent.clear()
        if len(self._sent) >= self._settings.per_minute:
            wait = (self._sent[0] + _MINUTE - now).total_seconds()
            raise Busy(f"{self._where()}: {len(self._sent)} a minute are sent", wait)
        if self._sent and now - self._sent[-1] < _GAP:
            raise Busy(f"{self._where()}: one after the other", _GAP.total_seconds())

    def _text(self, message: Message) -> str:
        """The headlines first, each alert's in one line, then the rest of the first one's card as far as it fits."""
        lines = [unmentioned(subject(message, self._language))]
        if message.others:
            lines += [f"· {unmentioned(subject(one, self._language))}" for one in message.others]
        if self._settings.keyword:
            lines.append(self._settings.keyword)
        room = self._kind.limit // len(lines) - 1
        head = "\n".join(fit(line, room, "…") for line in lines)
        rest = text("notify.cut", self._language, id=message.alert.id[:8])
        card = unmentioned(body(msgspec.structs.replace(message, others=()), self._language).partition("\n")[2])
        return fit(f"{head}\n\n{card}", self._kind.limit, f"…\n{rest}")

    def _content(self, words: str, key: str, now: datetime) -> tuple[dict[str, str], dict[str, Any]]:
        """Query and body of a text."""
        if self._settings.kind == "feishu":
            sign = {"timestamp": str(millis(now) // 1000), "sign": feishu_sign(millis(now) // 1000, key)} if key else {}
            return {}, {**sign, "msg_type": "text", "content": {"text": words}}
        query = {}
        if key:
            query = {"timestamp": str(millis(now)), "sign": dingtalk_sign(millis(now), key)}
        return query, {"msgtype": "text", "text": {"content": words}}

    def _post(self, url: str, query: dict[str, str], content: bytes) -> _Answer:
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Tingchao"}
        try:
            whole = httpx.URL(url).copy_merge_params(query)
            with (
                httpx.Client(timeout=self._settings.timeout.total_seconds(), trust_env=leaves(whole.host)) as client,
                client.stream("POST", whole, content=content, headers=headers) as got,
            ):
                answer = b""
                for piece in got.iter_bytes():
                    answer += piece
                    if len(answer) > _ANSWER:
                        break
                return _Answer(got.status_code, got.headers.get("Retry-After", ""), answer)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise Retry(f"{self._where()} has no address that can be used: expected https://…") from None
        except httpx.HTTPError as err:
            raise Retry(f"{self._where(url)}: {cause(err)}") from None  # their text and chain hold the URL

    def _judge(self, answer: _Answer, now: datetime) -> None:
        """Whether it was taken. Only the code is told: the rest of an answer may repeat what was sent.

        A code says more than a status: Feishu answers 400 also to what comes too fast. What is refused is gone, so only
        a code or status that is surely about this message does that.
        """
        where, status = self._where(self._settings.url), answer.status
        code, words = _code(answer.body)
        if code == 0 and 200 <= status < 300:
            return
        said, after = f"code {code}" if code else f"status {status}", seconds_of(answer.retry_after, now)
        if code in self._kind.long and words.lower().startswith(self._kind.long[code]):
            raise Poison("notify.refused", f"{where} answered {said}: too long, or not understood")
        if code in self._kind.fast:
            wait = min(max(self._kind.fast[code], after), LONGEST_WAIT)
            raise Retry(f"{where} answered {said}: too many messages", wait)
        if code in self._kind.mend:
            raise Retry(
                f"{where} answered {said}: look at secret_file, keyword and the addresses that the robot allows"
            )
        if status in (_CERTAIN if code else REFUSED):
            raise Poison("notify.refused", f"{where} answered {status}: it does not take this message")
        raise Retry(f"{where} answered {said}{'' if code else ' without a code 0'}; the message waits", after)

    def _where(self, url: str = "") -> str:
        """The channel's place in the settings, and of its URL what is no secret."""
        parts = urlsplit(url)
        place = f" ({parts.scheme}://{parts.hostname})" if parts.hostname else ""
        return f"tingchao.toml, notify {self._settings.name!r}{place}"


def dingtalk_sign(timestamp: int, key: str) -> str:
    """DingTalk's signature, before it is quoted for the URL; `timestamp` in milliseconds."""
    return _hmac(key, f"{timestamp}\n{key}")


def feishu_sign(timestamp: int, key: str) -> str:
    """Feishu's signature: of nothing, under a key made of both; `timestamp` in seconds."""
    return _hmac(f"{timestamp}\n{key}", "")


def unmentioned(words: str) -> str:
    """The words with a wide ＜ where a mention begins: a post must not call the whole group."""
    return _MENTION.sub("＜", words)


def fit(words: str, limit: int, end: str) -> str:
    """The words in at most `limit` bytes of UTF-8; what is cut ends with `end`."""
    whole = words.encode()
    if len(whole) <= limit:
        return words
    return whole[: max(0, limit - len(end.encode()))].decode("utf-8", "ignore") + end


def _hmac(key: str, words: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), words.encode(), hashlib.sha256).digest()).decode()


def _code(answer: bytes) -> tuple[int | None, str]:
    """`errcode`, `code` or `StatusCode` of an answer, None when it has none, and its text."""
    try:
        found = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return None, ""
    if not isinstance(found, dict):
        return None, ""
    codes = (found[key] for key in ("errcode", "code", "StatusCode") if isinstance(found.get(key), int))
    return next(codes, None), str(found.get("errmsg") or found.get("msg") or "")
