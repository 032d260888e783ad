"""Who is the same post: ids from source and canonical URL, and signatures of texts."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

# Parameters that say where a reader came from, not which page it is (Google Analytics, Weibo, WeChat, 163, Sina).
_TRACKING = frozenset(
    {"from", "spm", "share_token", "isappinstalled", "wm", "scene", "clicktime", "enterid", "fbclid", "gclid"}
)
_NOT_WRITTEN = re.compile(r"[\W_]+")


def canonical(url: str) -> str:
    """The URL without fragment, tracking parameters, default port and letter case of the host; parameters sorted.

    A fragment that is a path (`#/news/1`, `#!/news/1`) names a page of its own and stays. What is no URL stays as it
    is: it still tells posts apart.
    """
    try:
        parts = urlsplit(url.strip())
        given = parts.port
    except ValueError:
        return url.strip()
    if not parts.scheme or not parts.hostname:
        return url.strip()
    host = parts.hostname.rstrip(".")
    default = {"http": 80, "https": 443}.get(parts.scheme.lower())
    port = "" if given in (None, default) else f":{given}"
    kept = sorted(
        (name, value)
        # surrogateescape: parameters in GBK (Tieba's) come back byte for byte and do not all become the same �
        for name, value in parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
        if name.lower() not in _TRACKING and not name.lower().startswith("utm_")
    )
    query = urlencode(kept, errors="surrogateescape")
    fragment = parts.fragment if parts.fragment.startswith(("/", "!/")) else ""
    return urlunsplit((parts.scheme.lower(), host + port, parts.path or "/", query, fragment))


def post_id(source: str, basis: str) -> str:
    """128 bits as hex of a source and what tells its posts apart (a canonical URL, or what ingest was given)."""
    return hashlib.blake2b(f"{source}\n{basis}".encode("utf-8", "replace"), digest_size=16).hexdigest()


def signature(folded: str) -> str:
    """64 bits as hex of a folded text (grams.fold); equal for texts that differ only in spacing and punctuation."""
    return hashlib.blake2b(_NOT_WRITTEN.sub("", folded).encode(), digest_size=8).hexdigest()
