"""Times as people type and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tingchao.config.language import Said
from tingchao.config.load import duration
from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.errors import Refused


def when(text: str, now: datetime) -> datetime:
    """'24h' and '7d' (ago), '2026-01-31', '2026-01-31 08:00', or ISO 8601; without a zone Beijing's.

    Raises Refused.
    """
    try:
        if re.fullmatch(r"\d+(\.\d+)?[smhd]", text):
            step = duration(text)
            assert isinstance(step, timedelta)
            return now - step
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=BEIJING)).astimezone(UTC)
    except (ValueError, OverflowError) as err:  # overflow: before the year 1, or after 9999
        raise Refused(Said("error.time", time=text)) from err


def every(text: str) -> timedelta:
    """'15m', '1h', '1d': a step that is not 0. Raises Refused."""
    try:
        step = duration(text)
    except ValueError as err:
        raise Refused(Said("error.step", step=text)) from err
    if not isinstance(step, timedelta) or step < timedelta(seconds=1):
        raise Refused(Said("error.step", step=text))
    return step


def local(moment: datetime) -> str:
    """`2026-01-31 08:05` in Beijing."""
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M}"
