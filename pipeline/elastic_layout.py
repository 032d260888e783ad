"""What stands in Elasticsearch: names of indices, the template they are made of, and a post as a document.

One index a month, named from the Beijing month of the post's first `published_at`. Three names lead to it:

tingchao-posts-2026-01-1    the index itself; a replay makes …-2 and takes its place
tingchao-posts-2026-01      the alias of the month: always of exactly one index, so that writers need not know which
tingchao-posts              the alias that reads all months
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

from tingchao.config.elastic import ElasticSettings
from tingchao.models.scores import SENTIMENTS, SIGNALS
from tingchao.pipeline.clock import millis
from tingchao.pipeline.elastic_client import cause, missing, named
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.records import Scored, encode
from tingchao.pipeline.store import likeliest, searched, without_voice

LAYOUT = 1  # counts the changes of the template; a greater one is newer
_MONTH = timedelta(days=31)
_BEIJING = ZoneInfo("Asia/Shanghai")
_CHANCES = (*SENTIMENTS, "severity", "live", "advert", *SIGNALS)

_DATE = {"type": "date", "format": "epoch_millis"}
_WORD = {"type": "keyword"}
# 11 bits: chances to 0.0005, severity to 0.002, which is finer than they are calibrated. The record has them exactly.
_CHANCE = {"type": "half_float", "index": False}
PROPERTIES: dict[str, Any] = {
    "id": _WORD,  # `_id` cannot be sorted by
    "published_at": _DATE,
    "fetched_at": _DATE,
    "source": _WORD,
    "sentiment": _WORD,
    "topics": _WORD,
    "signals": _WORD,
    "model": _WORD,
    "scores": {"properties": dict.fromkeys(_CHANCES, _CHANCE)},
    # Prefixes of one character: a query of one Han character is a single term, also at the end of a phrase, where
    # a prefix would otherwise be cut off after some number of terms.
    "grams": {
        "type": "text",
        "analyzer": "grams",
        "norms": False,
        "index_prefixes": {"min_chars": 1, "max_chars": 1},
    },
    "record": {"type": "object", "enabled": False},
}
MAPPINGS = {"dynamic": "strict", "_source": {"excludes": ["grams"]}, "properties": PROPERTIES}


class Document(msgspec.Struct, frozen=True):
    """A scored post as it is sent; `record` is what a search gives back, the rest is what it looks at."""

    id: str
    published_at: int  # milliseconds
    fetched_at: int  # milliseconds: the revision
    source: str
    sentiment: str
    topics: tuple[str, ...]
    signals: tuple[str, ...]  # those given
    model: str
    scores: dict[str, float]
    grams: str
    record: msgspec.Raw


def document(scored: Scored) -> bytes:
    """The post as JSON for the index, without its voice."""
    post, scores = scored.post, scored.scores
    heads = (scores.negative, scores.neutral, scores.positive, scores.severity, scores.live, scores.advert)
    return msgspec.json.encode(
        Document(
            post.id,
            millis(post.published_at),
            post.revision,
            post.source,
            likeliest(scores),
            scored.topics,
            scores.given,
            scored.model,
            dict(zip(_CHANCES, (*heads, *scores.signals), strict=True)),
            searched(post),
            msgspec.Raw(encode(without_voice(scored))),
        )
    )


class Names:
    """The names of one installation."""

    def __init__(self, prefix: str) -> None:
        self.all = f"{prefix}-posts"
        self.pattern = f"{self.all}-*"

    def month(self, published_at: datetime) -> str:
        """The alias of the month: `tingchao-posts-2026-01`."""
        local = published_at.astimezone(_BEIJING)
        return f"{self.all}-{local.year:04}-{local.month:02}"

    def ours(self, index: str) -> bool:
        """Whether it is the index of a month."""
        return re.fullmatch(rf"{re.escape(self.all)}-\d{{4}}-\d{{2}}-\d+", index) is not None

    def first(self, month: str) -> str:
        """The index that a month begins with."""
        return f"{month}-1"

    def next(self, index: str) -> str:
        """The index that takes the place of this one."""
        month, _, number = index.rpartition("-")
        return f"{month}-{int(number) + 1}"

    def end(self, index: str) -> datetime:
        """The moment at which the month of an index or alias ends."""
        year, month = map(int, index.removeprefix(f"{self.all}-").split("-")[:2])
        return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=_BEIJING)


def settings_of(settings: ElasticSettings) -> dict[str, Any]:
    """The settings that an index is made with."""
    return {
        "number_of_shards": settings.shards,
        "auto_expand_replicas": settings.replicas,
        "codec": "best_compression",  # 800 bytes a post instead of 1,040, with no more work that could be measured
        "refresh_interval": "1s",  # said, so that an index that nobody searches does not stop refreshing
        "analysis": {
            # Our tokens have at most 255 characters (grams.py), which may be two units each here.
            "tokenizer": {"grams": {"type": "whitespace", "max_token_length": 512}},
            "analyzer": {"grams": {"type": "custom", "tokenizer": "grams"}},
        },
    }


def setup(client: Elasticsearch, settings: ElasticSettings, keep: timedelta) -> list[str]:
    """Make or renew the template, add fields that are new to every index, lift blocks that a killed replay left.

    Where the cluster has index lifecycle management, that drops the indices, and our own job leaves them alone. It
    runs before writers of a new version do, and again at any time. Gives the indices that were there. Raises Refused
    when the cluster was set up by a newer version, or when a field is of another kind than this version writes.
    """
    names = Names(settings.prefix)
    with named():
        standing = _template(client, names)
        if standing is not None and standing.get("version", 0) > LAYOUT:
            raise Refused(
                f"Elasticsearch template {names.all} has version {standing['version']}, this program knows {LAYOUT}: "
                "update it"
            )
        ageing = _lifecycle(client, names, keep)
        client.indices.put_index_template(
            name=names.all,
            index_patterns=[names.pattern],
            priority=500,
            version=LAYOUT,
            allow_auto_create=False,  # a misspelt or dropped index must not come into being with a guessed mapping
            template={"settings": {"index": settings_of(settings) | ageing}, "mappings": MAPPINGS},
        )
        indices = sorted(filter(names.ours, client.indices.get(index=names.pattern, features="settings").body))
        for index in indices:
            _add_fields(client, index)
            client.indices.put_settings(index=index, settings={"index": {"blocks.write": None, **ageing}})
    return indices


def _lifecycle(client: Elasticsearch, names: Names, keep: timedelta) -> dict[str, str]:
    """Let the cluster drop indices, if it can; the setting that each index needs for that."""
    # Age counts from the making of an index, at its month's beginning; its last post is a month younger.
    age = f"{(keep + _MONTH) // timedelta(hours=1)}h"
    try:
        client.ilm.put_lifecycle(
            name=names.all, policy={"phases": {"delete": {"min_age": age, "actions": {"delete": {}}}}}
        )
    except BadRequestError as err:
        if "no handler found" not in cause(err.body)[1]:  # what a server without it says to any address
            raise
        return {}
    return {"lifecycle.name": names.all}


def _add_fields(client: Elasticsearch, index: str) -> None:
    try:
        client.indices.put_mapping(index=index, dynamic="strict", properties=PROPERTIES)
    except BadRequestError as err:
        raise Refused(
            f"Elasticsearch index {index}: {cause(err.body)[1]}; `tingchao replay --from` the start of its month "
            "builds it anew"
        ) from err


def _template(client: Elasticsearch, names: Names) -> dict[str, Any] | None:
    try:
        answer = client.indices.get_index_template(name=names.all)
    except NotFoundError:
        return None
    found: dict[str, Any] = answer["index_templates"][0]["index_template"]
    return found


def make_month(client: Elasticsearch, names: Names, month: str) -> None:
    """Make the index of a month, with its aliases, unless it is there. Raises Retry before `setup`."""
    with named():
        if client.indices.exists_alias(name=month):
            return
        if not client.indices.exists_index_template(name=names.all):
            raise missing(f"no index template {names.all}: run `tingchao setup`")
        try:
            client.indices.create(index=names.first(month), aliases={month: {}, names.all: {}})
        except BadRequestError as err:
            if cause(err.body)[0] != "resource_already_exists_exception":  # another writer was first
                raise


def differences(client: Elasticsearch, index: str) -> list[str]:
    """How the mapping of an index differs from the one that we write for; nothing for one that is right."""
    with named():
        found = client.indices.get_mapping(index=index)
    wrong: list[str] = []
    for name, body in found.body.items():
        present = body["mappings"].get("properties", {})
        wrong += [f"{name}: {line}" for line in _compare(PROPERTIES, present)]
    return wrong


def _compare(wanted: dict[str, Any], present: dict[str, Any], above: str = "") -> list[str]:
    wrong: list[str] = []
    for field, form in wanted.items():
        if field not in present:
            wrong.append(f"no field {above}{field}")
        elif "properties" in form:
            wrong += _compare(form["properties"], present[field].get("properties", {}), f"{above}{field}.")
        elif present[field].get("type") != form["type"]:
            wrong.append(f"field {above}{field} is {present[field].get('type')}, expected {form['type']}")
    return wrong
