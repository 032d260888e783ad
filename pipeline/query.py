"""The query language of `tingchao search`, one for both stores.

地铁 停运 (both) · 地铁 OR 公交 · 地铁 -广告 or NOT 广告 · "地铁停运" (side by side) · brackets. A word finds both its
simplified and its traditional spelling. Lucene's grammar, read by luqum; brackets and quotation marks may be Chinese
ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from luqum import tree
from luqum.exceptions import ParseError
from luqum.thread import parse as read

from tingchao.config.language import Said
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.grams import phrase, spellings

# What a Chinese keyboard writes for the signs of the grammar; luqum would take them for parts of words.
_SIGNS = str.maketrans({"（": "(", "）": ")", "“": '"', "”": '"', "＂": '"', "－": "-"})
_LENGTH = 1000  # characters; a person's query has far fewer
_DEPTH = 40  # nodes of the tree above each other, two a bracket; FTS5's parser gave up at 50 (SQLite 3.40)


@dataclass(frozen=True, slots=True)
class Words:
    """Tokens that stand side by side; `prefix`: the last one may go on."""

    tokens: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds, and none of `none`."""

    parts: tuple[Expression, ...]
    none: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Expression, ...]


Expression = Words | All | Some


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; an empty one finds everything."""

    expression: Expression | None = None
    since: datetime | None = None  # published_at, inclusive
    until: datetime | None = None  # exclusive
    topic: str = ""
    sentiment: str = ""  # negative, neutral, positive: the most likely one
    signal: str = ""  # one that the models gave
    source: str = ""
    limit: int | None = 20
    after: tuple[int, str] | None = field(default=None)  # (published_at in ms, id) of the last hit of the page before


def parse(text: str) -> Expression | None:
    """The expression of a query text; None for an empty one.

    Raises Refused when it cannot be read, or asks for something that only Lucene has (fields, ranges, fuzziness).
    """
    if not text.strip():
        return None
    if len(text) > _LENGTH:
        raise Refused(Said("error.query.long", length=len(text), limit=_LENGTH))
    try:
        # luqum takes Lucene's other signs for parts of words, and would make "or" an "and".
        found = _convert(read(text.translate(_SIGNS).replace("||", " OR ").replace("&&", " AND ")))
    except (ParseError, ArithmeticError) as err:  # luqum makes numbers of what follows ~ and ^, and trips over some
        raise Refused(Said("error.query.syntax", query=text, error=err)) from err
    if found is None:
        raise Refused(Said("error.query.empty", query=text))
    return found


def _convert(node: tree.Item, depth: int = 0) -> Expression | None:  # noqa: PLR0911 a case of the grammar each
    if depth > _DEPTH:
        raise Refused(Said("error.query.deep", limit=_DEPTH // 2))
    match node:
        case tree.Phrase():
            return _words(node.value[1:-1])
        case tree.Word():
            return _words(node.value)
        case tree.Group():
            return _convert(node.children[0], depth + 1)
        case tree.OrOperation():
            parts = tuple(part for child in node.children if (part := _convert(child, depth + 1)) is not None)
            return Some(parts) if parts else None
        case tree.AndOperation() | tree.UnknownOperation():
            return _all(node.children, depth + 1)
        case tree.Plus():
            return _convert(node.children[0], depth + 1)
        case tree.Not() | tree.Prohibit():
            return _all([node], depth + 1)
    raise Refused(Said("error.query.unsupported", part=str(node).strip()))


def _all(children: list[tree.Item], depth: int) -> Expression | None:
    wanted: list[Expression] = []
    banned: list[Expression] = []
    for child in children:
        negated = isinstance(child, tree.Not | tree.Prohibit)
        part = _convert(child.children[0] if negated else child, depth)
        if part is not None:
            (banned if negated else wanted).append(part)
    if not wanted and banned:
        raise Refused(Said("error.query.without"))
    if len(wanted) == 1 and not banned:
        return wanted[0]
    return All(tuple(wanted), tuple(banned)) if wanted else None


def _words(text: str) -> Expression | None:
    """The tokens of a word in each of its spellings: 地鐵 finds 地铁 too."""
    found = [Words(tuple(tokens), prefix) for tokens, prefix in map(phrase, spellings(text)) if tokens]
    return Some(tuple(found)) if len(found) > 1 else found[0] if found else None
