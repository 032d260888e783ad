"""Tokens that do not depend on how a word happened to be cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tingchao.models.han import simplified
from tingchao.pipeline.grams import HAN, fold, grams, phrase, spellings

LETTERS = st.text(st.sampled_from("地铁停运人𠮷々aB3 ，-ａ㈱é\0"), max_size=12)
HANS = st.text(st.sampled_from("地铁停运人𠮷々〇"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("地铁停运 Line 3", "地铁 铁停 停运 运 line 3"),
        ("火", "火"),
        ("", ""),
        ("，。！ -_*", ""),
        ("ｉＰｈｏｎｅ１３", "iphone13"),
        ("MU5735坠毁", "mu5735 坠毁 毁"),
        ("a_b-c", "a b c"),
        ("地\n铁", "地 铁"),
        ("地\0铁", "地 铁"),
        ("𠮷野家", "𠮷野 野家 家"),
        ("东京の猫", "东京 京 の 猫"),
        ("GROSSE Straße", "grosse strasse"),
        ("\ud800地铁", "地铁 铁"),
    ],
)
def test_pairs_of_han_and_whole_words(text: str, tokens: str) -> None:
    assert grams(text) == tokens.split()


@given(text=LETTERS | st.text())
def test_tokens_hold_letters_and_digits_only_and_folding_again_changes_none(text: str) -> None:
    tokens = grams(text)
    # The newest Han characters are Han here, also where this Python's tables do not know them as letters.
    assert all(re.fullmatch(rf"(?:[{HAN}]|[^\W_])+", token) for token in tokens)
    assert grams(" ".join(tokens)) == [token for token in tokens for token in grams(token)]


@given(text=LETTERS)
def test_each_han_character_begins_exactly_one_token(text: str) -> None:
    han = re.findall(f"[{HAN}]", fold(text))
    assert [token[0] for token in grams(text) if re.match(f"[{HAN}]", token)] == han


@given(before=LETTERS, word=HANS, after=LETTERS)
def test_the_phrase_of_a_word_stands_in_every_text_that_holds_it(before: str, word: str, after: str) -> None:
    wanted, prefix = phrase(word)
    tokens = grams(before + word + after)

    def stands_at(start: int) -> bool:
        part = tokens[start : start + len(wanted)]
        same = part[:-1] == wanted[:-1] if prefix else part == wanted
        return len(part) == len(wanted) and same and part[-1].startswith(wanted[-1])

    assert any(stands_at(start) for start in range(len(tokens)))


@pytest.mark.parametrize(
    ("word", "tokens", "prefix"),
    [
        ("地铁", "地铁", False),
        ("地铁停运", "地铁 铁停 停运", False),
        ("火", "火", True),
        ("A股", "a 股", True),
        ("股A", "股 a", False),
        ("地铁，铁", "地铁 铁 铁", True),
        ("iPhone", "iphone", False),
        ("人人", "人人", False),
        ("，", "", False),
    ],
)
def test_the_last_character_of_a_word_is_covered_or_a_beginning(word: str, tokens: str, prefix: bool) -> None:
    assert phrase(word) == (tokens.split(), prefix)


@given(text=LETTERS | st.text(st.sampled_from("地鐵铁發髮发台臺颱后後一aB"), max_size=9))
def test_a_word_is_spelled_as_typed_first_and_all_spellings_mean_the_same(text: str) -> None:
    found = spellings(text)
    assert found[0] == fold(text)
    assert len(set(found)) == len(found)
    assert len({"".join(simplified().get(one, one) for one in spelling) for spelling in found}) == 1


@pytest.mark.parametrize("word", ["地鐵停運", "頭髮", "發展", "颱風", "臺灣", "皇后", "以後", "乾燥", "幹部", "裏面"])
def test_simplified_and_traditional_spellings_lead_to_each_other(word: str) -> None:
    simple = "".join(simplified().get(one, one) for one in word)
    assert simple in spellings(word)
    assert word in spellings(simple)


@pytest.mark.parametrize("word", ["发" * 1000, "台后发干里" * 20])
def test_a_long_phrase_has_not_too_many_spellings(word: str) -> None:
    assert 3 <= len(spellings(word)) <= 34
