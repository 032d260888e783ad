"""The query language: what a person may write, what it means, and how everything else is refused."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tingchao.pipeline.errors import Refused
from tingchao.pipeline.query import All, Expression, Some, Words, parse


def word(*spellings: str) -> Words | Some:
    """The tokens of a word, in each of its spellings."""
    found = [Words(tuple(text.split())) for text in spellings]
    return found[0] if len(found) == 1 else Some(tuple(found))


METRO, STOPPED, ADVERT = word("地铁", "地鐵"), word("停运", "停運"), word("广告", "廣告")


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("", None),
        ("  \t", None),
        ("地铁", METRO),
        ("火", Words(("火",), prefix=True)),
        ("地鐵", word("地鐵", "地铁")),
        ("头发", word("头发", "頭發", "頭髮")),
        ("地铁 停运", All((METRO, STOPPED))),
        ("地铁 AND 停运", All((METRO, STOPPED))),
        ("地铁　停运", All((METRO, STOPPED))),
        ("地铁 OR 公交", Some((METRO, word("公交")))),
        ("地铁 || 公交", Some((METRO, word("公交")))),
        ("地铁 && 公交", All((METRO, word("公交")))),
        ("地铁 -广告", All((METRO,), (ADVERT,))),
        ("地铁 －广告", All((METRO,), (ADVERT,))),
        ("地铁 NOT 广告", All((METRO,), (ADVERT,))),
        ("-广告 地铁", All((METRO,), (ADVERT,))),
        ('"地铁停运"', word("地铁 铁停 停运", "地鐵 鐵停 停運")),
        ("“地铁停运”", word("地铁 铁停 停运", "地鐵 鐵停 停運")),
        ('"line 3"', word("line 3")),
        ("(地铁 OR 公交) 停运", All((Some((METRO, word("公交"))), STOPPED))),
        ("（地铁 OR 公交）停运", All((Some((METRO, word("公交"))), STOPPED))),
        ("地铁 ，", METRO),
        ('地铁 -"，"', METRO),
        ("#地铁停运#", word("地铁 铁停 停运", "地鐵 鐵停 停運")),
    ],
)
def test_what_a_query_means(text: str, expression: Expression | None) -> None:
    assert parse(text) == expression


@pytest.mark.parametrize(
    "text",
    [
        "-广告",
        "NOT 广告",
        "地铁 OR -广告",
        '"',
        '"地铁',
        "(地铁",
        "地铁)",
        "AND",
        "地铁 -",
        "，",
        '""',
        "title:地铁",
        "a~2",
        "a~.",
        "a^.",
        "a~1.1.1",
        "a^3",
        "[a TO b]",
        ">5",
        "/a.*/",
        "\\",
    ],
)
def test_what_cannot_be_read_is_refused_with_what_can_be_written(text: str) -> None:
    with pytest.raises(Refused, match=r"query.*(word|phrase)"):
        parse(text)


@pytest.mark.parametrize("text", ["(" * 400 + "地铁" + ")" * 400, "地" * 1001, "-" * 900 + "a", "(" * 900])
def test_what_is_too_deep_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="query"):
        parse(text)


@settings(max_examples=400)
@given(
    text=st.text(st.sampled_from('地铁火aB3 "()-+*?:^~[]{}/\\&|!<>=ORANDT，（）“”'), max_size=25) | st.text(max_size=20)
)
def test_anything_is_an_expression_or_refused(text: str) -> None:
    try:
        expression = parse(text)
    except Refused:
        return
    assert expression is None or _sound(expression)


def _sound(expression: Expression) -> bool:
    match expression:
        case Words(tokens):
            return bool(tokens)
        case Some(parts):
            return bool(parts) and all(map(_sound, parts))
        case All(parts, none):
            return bool(parts) and all(map(_sound, (*parts, *none)))


def test_threads_read_queries_at_once() -> None:
    # The page answers several people; luqum's usual parser keeps one state for all of them.
    wrong: list[str] = []

    def read(name: str) -> None:
        meant = All((Some((word(name), word("公交"))),), (ADVERT,))
        wrong.extend(name for _ in range(150) if parse(f"({name} OR 公交) -广告") != meant)

    threads = [threading.Thread(target=read, args=(name,)) for name in ("北京", "上海", "火山", "暴雨")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("piece", ["发", "发 ", "后台 ", "复台干系 ", "后台发面后台发面 "])
def test_the_longest_query_stays_below_the_clauses_of_elasticsearch(piece: str) -> None:
    def tokens(one: Expression) -> int:
        match one:
            case Words(tokens=own):
                return len(own)
            case Some(parts=parts):
                return sum(map(tokens, parts))
            case All(parts=parts, none=none):
                return sum(map(tokens, (*parts, *none)))

    found = parse((piece * 1000)[:1000])
    assert found is not None
    assert tokens(found) < 16_384
