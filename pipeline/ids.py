"""Who is the same post: ids from source and canonical URL, and signatures of texts."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tingchao.pipeline.grams import grams

# Parameters that say where a reader came from, not which page it is (Google Analytics, Weibo, WeChat, 163, Sina).
_TRACKING = frozenset(
    {"from", "spm", "share_token", "isappinstalled", "wm", "scene", "clicktime", "enterid", "fbclid", "gclid"}
)


def canonical(url: str) -> str:
    """The URL without fragment, tracking parameters, default port and letter case of the host; parameters sorted.

    What is no URL stays as it is: it still tells posts apart.
    """
    try:
        parts = urlsplit(url.strip())
        given = parts.port
    except ValueError:
        return url.strip()
    host = (parts.hostname or "").rstrip(".")
    default = {"http": 80, "https": 443}.get(parts.scheme.lower())
    port = "" if given in (None, default) else f":{given}"
    kept = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _TRACKING and not name.lower().startswith("utm_")
    )
    return urlunsplit((parts.scheme.lower(), host + port, parts.path or "/", urlencode(kept), ""))


def post_id(source: str, basis: str) -> str:
    """128 bits as hex of a source and what tells its posts apart (a canonical URL, or what ingest was given)."""
    return hashlib.blake2b(f"{source}\n{basis}".encode("utf-8", "replace"), digest_size=16).hexdigest()


def signature(title: str, text: str) -> str:
    """64 bits as hex, equal for texts that differ only in spacing, punctuation, letter case or width."""
    return hashlib.blake2b(" ".join(grams(f"{title} {text}")).encode(), digest_size=8).hexdigest()
