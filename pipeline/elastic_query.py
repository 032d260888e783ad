"""A Query in Elasticsearch's own language; the same hits as FTS5 gives (tests/test_elastic_contract.py)."""

from __future__ import annotations

from typing import Any

from tingchao.pipeline.clock import millis
from tingchao.pipeline.query import All, Expression, Query, Some, Words

# `published_at`, then id, newest first.
ORDER = ({"published_at": "desc"}, {"id": "desc"})
# Only for a character beyond 16 bits at the end of a phrase: the index of prefixes does not take it, and such
# characters begin few words.
_EXPANSIONS = 1000


def clause(query: Query) -> dict[str, Any]:
    """The query without `limit`. Only filters: no hit is better than another, the order is by time."""
    filters: list[dict[str, Any]] = []
    if query.expression is not None:
        filters.append(_matching(query.expression))
    times = {"gte": query.since, "lt": query.until}
    if bounds := {name: millis(when) for name, when in times.items() if when is not None}:
        filters.append({"range": {"published_at": bounds}})
    words = {"topics": query.topic, "signals": query.signal, "sentiment": query.sentiment, "source": query.source}
    filters += [{"term": {field: word}} for field, word in words.items() if word]
    if query.after is not None:
        filters.append(_behind(*query.after))
    return {"bool": {"filter": filters}} if filters else {"match_all": {}}


def _behind(published: int, ident: str) -> dict[str, Any]:
    """What comes after a hit in ORDER."""
    same_time = {"bool": {"filter": [{"term": {"published_at": published}}, {"range": {"id": {"lt": ident}}}]}}
    return {"bool": {"should": [{"range": {"published_at": {"lt": published}}}, same_time]}}


def _matching(expression: Expression) -> dict[str, Any]:
    match expression:
        case Words((token,), prefix):
            return {"prefix" if prefix else "term": {"grams": {"value": token}}}
        case Words(tokens, prefix):
            text = " ".join(tokens)
            if prefix:
                return {"match_phrase_prefix": {"grams": {"query": text, "max_expansions": _EXPANSIONS}}}
            return {"match_phrase": {"grams": {"query": text}}}
        case Some(parts):
            return {"bool": {"should": [_matching(part) for part in parts]}}
        case All(parts, none):
            wanted = [_matching(part) for part in parts]
            return {"bool": {"filter": wanted, "must_not": [_matching(part) for part in none]}}
