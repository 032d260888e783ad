"""Facts become HTML. Posts are hostile input: everything passes through `esc`, and only http(s) URLs become links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from urllib.parse import urlsplit

from tingchao.alerts.message import plain
from tingchao.pipeline.clock import BEIJING

_UNFIT = re.compile(r"[\x00-\x20\x7f\\]")  # a browser drops or rewrites these, so that another URL would be opened


def esc(value: object) -> str:
    """Text for an element or a quoted attribute."""
    return escape(plain(str(value)), quote=True)


def is_link(url: str) -> bool:
    """Whether a click on the URL goes to a page: http or https with a host, nothing else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and _UNFIT.search(url) is None


def marked(text: str, words: Sequence[str]) -> str:
    """The text with the words behind a score marked in it."""
    wanted = sorted({word for word in words if word}, key=len, reverse=True)
    if not wanted:
        return esc(text)
    parts = re.split(f"({'|'.join(map(re.escape, wanted))})", text)
    return "".join(f"<mark>{esc(part)}</mark>" if n % 2 else esc(part) for n, part in enumerate(parts))


def link(url: str, text: str, words: Sequence[str] = ()) -> str:
    """A link that tells the other side nothing, or only the text where the URL is not one to click."""
    inside = marked(text, words)
    if not is_link(url):
        return inside
    return f'<a href="{esc(url)}" target="_blank" rel="noopener noreferrer nofollow">{inside}</a>'


def chips(words: Iterable[str]) -> str:
    """Words side by side."""
    return "".join(f'<span class="chip">{esc(word)}</span>' for word in words)


def local(when: datetime, now: datetime) -> str:
    """The Beijing time: 14:05 today, 03-01 14:05 this year, else with the year."""
    there, today = when.astimezone(BEIJING), now.astimezone(BEIJING)
    if there.date() == today.date():
        return f"{there:%H:%M}"
    return f"{there:%m-%d %H:%M}" if there.year == today.year else f"{there:%Y-%m-%d %H:%M}"


WIDTH, HEIGHT = 360, 72  # units of the sparkline; it scales with its column


def sparkline(curve: Sequence[int], label: str) -> str:
    """Posts per bucket, oldest first, as bars; the last bar is the window's end."""
    if not curve:
        return ""
    most = max(*curve, 1)
    step = WIDTH / len(curve)
    gap = min(1.0, step / 4)
    bars = "".join(
        f'<rect x="{n * step:.1f}" y="{HEIGHT - height:.1f}" width="{step - gap:.1f}" height="{height:.1f}"/>'
        for n, value in enumerate(curve)
        if (height := value / most * (HEIGHT - 2))
    )
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT + 1}" preserveAspectRatio="none" role="img" '
        f'aria-label="{esc(label)}">'
        f'<line x1="0" x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}"/>{bars}</svg>'
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table; heads are text, cells are HTML already."""
    head = "".join(f"<th>{esc(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{esc(kind)}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
