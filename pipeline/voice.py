"""Distinct voices can be counted, nobody can be named.

A voice is 64 bits of an HMAC of source and author under a random key of the day of the fetch. The key is shared
through the log and destroyed after the lateness, from when on no voice can be tied to an author again. Whoever reads
a page or a file calls `voice` and drops the author at once. Sums over days are upper bounds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import date, datetime

from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.log import Log

GROUP = "voice"
_KEY_BYTES = 32


class Voices:
    """Hands out voices; holds the keys of the days it was asked for."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._keys: dict[date, bytes] = {}

    def voice(self, source: str, author: str | None, fetched_at: datetime) -> str:
        """16 hex digits; without an author the source is the voice."""
        day = fetched_at.astimezone(BEIJING).date()
        key = self._keys.get(day)
        if key is None:
            self._keys.clear()  # a reader goes forward in days; keys of past days need not stay in memory
            key = self._keys[day] = self._log.claim(GROUP, day.isoformat(), secrets.token_bytes(_KEY_BYTES))
        said = f"{source}\n{(author or '').strip()}".encode("utf-8", "replace")
        return hmac.new(key, said, hashlib.sha256).hexdigest()[:16]


def destroy_keys(log: Log, before: datetime) -> int:
    """Destroy the keys of the days that ended before `before`; how many."""
    last = before.astimezone(BEIJING).date()
    old = {key: None for key in log.state(GROUP) if date.fromisoformat(key) < last}
    if old:
        log.publish((), before, group=GROUP, state=old)
    return len(old)
