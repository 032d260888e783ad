"""Scoring as a stage and as a command: the words behind each mention, the reasons, and bad input."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tingchao.config.topics import Topic
from tingchao.models.reasons import Reasons, reasons
from tingchao.models.scorer import Scorer
from tingchao.models.scores import HEADS, SIGNALS, Scores
from tingchao.pipeline.matching import Matcher
from tingchao.pipeline.records import Mention, Post, decode
from tingchao.pipeline.score import Score, explained
from tingchao.pipeline.shows import score_text
from tingchao.pipeline.stage import Input

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
METRO = Topic(name="metro", title="地铁运营", any=["地铁", "metro", "早高峰"])
ANGRY = "三号线停运两小时了，服务态度太差，没人管，乘客都在骂"


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.load()


class Counting:
    """Models that are asked for reasons only where they are needed."""

    version = "v"

    def __init__(self, scores: Callable[[str], Scores]) -> None:
        self._scores, self.asked = scores, list[tuple[str, tuple[str, ...]]]()

    def score(self, texts: Sequence[str]) -> list[Scores]:
        return [self._scores(text) for text in texts]

    def phrases(
        self, texts: Sequence[str], heads: Sequence[Sequence[str]], limit: int = 8, _: float = 0
    ) -> list[dict[str, Reasons]]:
        self.asked += [(text, tuple(some)) for text, some in zip(texts, heads, strict=True)]
        return [{head: Reasons([("停运", 2.0)][:limit], [("恢复", -1.0)][:limit]) for head in some} for some in heads]


def mentions(models: Any, texts: Sequence[str], topic: Topic = METRO) -> list[Mention]:
    posts = [
        Post(id=f"p{n}", source="forum", text=text, published_at=NOW, fetched_at=NOW) for n, text in enumerate(texts)
    ]
    result = Score(models, Matcher([topic], [])).process([Input(post, NOW) for post in posts])
    return [decode(Mention, out.value) for out in result.outputs if out.topic == "mentions"]


# The words that travel with a mention


def signals(**chances: float) -> tuple[float, ...]:
    return tuple(chances.get(name, 0.01) for name in SIGNALS)


@pytest.mark.parametrize(
    ("fields", "heads"),
    [
        ({"signals": signals(outage=0.8, safety=0.6), "given": ("safety", "outage")}, ("safety", "outage")),
        ({"signals": signals(outage=0.35, safety=0.4)}, ("safety",)),
        ({"signals": signals(outage=0.2), "negative": 0.7}, ("negative",)),
        ({"signals": signals(outage=0.2)}, ()),
        ({"signals": signals(outage=0.9), "negative": 0.9, "abstained": True}, ()),
    ],
)
def test_what_stands_out_is_explained(
    make_scores: Callable[..., Scores], fields: dict[str, Any], heads: tuple[str, ...]
) -> None:
    assert explained(make_scores(**fields)) == heads


def test_every_mention_has_words_and_where_nothing_stands_out_those_of_its_topic(
    make_scores: Callable[..., Scores],
) -> None:
    def judged(text: str) -> Scores:
        if text.startswith("地铁停运"):
            return make_scores(signals=signals(outage=0.9), given=("outage",))
        return make_scores(lang="other", abstained=True) if text.startswith("The") else make_scores()

    found = mentions(Counting(judged), ["地铁停运了", "今天早高峰坐地铁", "The Metro is closed"])
    assert [(one.words, one.why) for one in found] == [
        ({}, {"outage": (("停运", 2.0), ("恢复", -1.0))}),
        ({"topic": ("地铁", "早高峰")}, {}),
        ({"topic": ("metro",)}, {}),
    ]


def test_reposts_of_one_text_are_explained_once_and_what_no_topic_watches_never(
    make_scores: Callable[..., Scores],
) -> None:
    models = Counting(lambda _: make_scores(given=("outage",), signals=signals(outage=0.9)))
    found = mentions(models, ["地铁停运了"] * 50 + ["公交停运了"])
    assert len(found) == 50
    assert models.asked == [("地铁停运了", ("outage",))]


def test_the_shipped_model_names_words_for_anger_without_a_signal(scorer: Scorer) -> None:
    (one,) = mentions(scorer, ["地铁上这个人真讨厌，烦死了，气得我一天都不开心"])
    assert one.scores.given == ()
    assert one.words == {}
    assert set(one.why) <= {"negative", *SIGNALS}
    assert any(one.why.values())


def test_a_mention_carries_phrases_for_and_against_in_order_of_strength(scorer: Scorer) -> None:
    text = "地铁" + ANGRY + "，后来官方通报说是谣言，并没有停运"
    (one,) = mentions(scorer, [text])
    (whole,) = reasons(scorer, [text], tuple(one.why), limit=6)
    for head, moved in one.why.items():
        assert [word for word, _ in moved] == [word for word, _ in whole[head].ordered][: len(moved)]
        sizes = [abs(change) for _, change in moved]
        assert sizes == sorted(sizes, reverse=True)
    changes = [change for moved in one.why.values() for _, change in moved]
    assert min(changes) < 0 < max(changes)


# Reasons for people


def test_reasons_are_ordered_up_and_down_and_side_by_side_words_are_a_phrase(scorer: Scorer) -> None:
    (found,) = reasons(scorer, [ANGRY], ["negative", "outage"])
    assert found["negative"].up[0][0] == "服务态度太差"
    assert found["outage"].up[0][0] == "停运"
    for one in found.values():
        assert all(change > 0 for _, change in one.up)
        assert all(change < 0 for _, change in one.down)
        for side in one:
            sizes = [abs(change) for _, change in side]
            assert sizes == sorted(sizes, reverse=True)


def test_a_phrase_moves_a_head_about_as_far_as_leaving_it_out_does(scorer: Scorer) -> None:
    def odds(text: str) -> float:
        chance = min(max(scorer.score([text])[0].signal("rumour"), 1e-6), 1 - 1e-6)
        return math.log(chance / (1 - chance))

    text = "网传自来水有毒，请大家注意"
    (found,) = reasons(scorer, [text], ["rumour"])
    phrase, change = found["rumour"].up[0]
    assert phrase in text
    assert change == pytest.approx(odds(text) - odds(text.replace(phrase, " ")), rel=0.5)


def test_no_text_has_more_reasons_than_asked_for_and_each_part_stands_in_it(scorer: Scorer) -> None:
    texts = [ANGRY, "", "火", "Hello", "😀😀", ANGRY + ANGRY, "\ud800停运", "a\x00b停运了"]
    for text, found in zip(texts, reasons(scorer, texts, HEADS, limit=3), strict=True):
        assert set(found) == set(HEADS)
        for one in found.values():
            assert len(one.up) <= 3
            assert len(one.down) <= 3
            assert all(words in text for words, _ in (*one.up, *one.down))


def test_a_text_for_people_names_heads_and_words_in_both_languages(scorer: Scorer) -> None:
    (scores,), (why,) = scorer.score([ANGRY]), reasons(scorer, [ANGRY], HEADS)
    for language, words in {"zh": ("负面", "中断", "正在发生"), "en": ("negative", "outage", "live")}.items():
        shown = score_text(ANGRY, scores, why, language)
        assert all(word in shown for word in words)
        assert "↑ 服务态度太差 +" in shown
    (silent,) = scorer.score(["Hello world"])
    assert "not Chinese" in score_text("Hello world", silent, {}, "en")


# The command, with what people and machines put into it


def run(given: bytes, *options: str) -> list[Any]:
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "score", "-", *options]
    done = subprocess.run(command, input=given, capture_output=True, check=True)
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


BAD = {
    "empty": b"",
    "blank": "  \t　".encode(),
    "one character": "火".encode(),
    "emoji": "😀🔥🔥".encode(),
    "latin": b"fire in the city centre",
    "other language": "東京は晴れです、ありがとう".encode(),
    "NUL": "火灾\x00现场".encode(),
    "no UTF-8": b"\xff\xfe\xb5\xd8\xcc\xfa",
    "lone surrogate": b'{"text": "\\ud800\\u706b\\u707e"}',
    "HTML": "<p>火灾<br>现场</p><script>alert('火灾')</script>".encode(),
    "no JSON": '{"text": "火灾'.encode(),
    "JSON without text": b'{"body": "x"}',
    "deep JSON": b'{"text": ' + b"[" * 100_000,
    "a megabyte": ("地铁停运，" * 66_000).encode(),
}


def test_every_line_gives_one_line_whatever_it_holds() -> None:
    found = dict(zip(BAD, run(b"\n".join(BAD.values()) + b"\n", "--why", "--head", "safety"), strict=True))
    for one in found.values():
        assert set(one["why"]) == {"safety"}
        assert all(0 <= p <= 1 for p in one["signals"].values())
    silent = {"empty", "blank", "one character", "emoji", "latin", "other language", "no UTF-8"}
    base = found["empty"]["signals"]
    for name in silent:
        assert (found[name]["abstained"], found[name]["given"]) == (True, []), name
        assert found[name]["signals"] == base
        assert found[name]["why"]["safety"] == {"up": [], "down": []}
    assert not any(found[name]["abstained"] for name in ("lone surrogate", "NUL", "HTML", "a megabyte"))
    assert found["lone surrogate"]["signals"]["safety"] > 0.3


@pytest.mark.parametrize("packed", [gzip.compress, lambda raw: raw.decode().encode("utf-16")], ids=["gzip", "utf-16"])
def test_a_file_may_be_packed_or_in_another_encoding(packed: Any) -> None:
    raw = "三号线停运两小时了\n我家停水了，没人管\n".encode()
    assert run(packed(raw)) == run(raw)
    assert run(raw.decode().encode("gb18030")) == run(raw)


def test_what_is_no_text_is_refused() -> None:
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "score", "-"]
    for given in (b"PK\x03\x04", gzip.compress(("停水\n" * 9000).encode())[:-20]):
        done = subprocess.run(command, input=given, capture_output=True, check=False)
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr


def test_people_are_shown_what_is_given(scorer: Scorer) -> None:
    text = "黑客会不会入侵高考打印机来窃取高考题呢？"
    (scores,) = scorer.score([text])
    shown = score_text(text, msgspec.structs.replace(scores, given=("leak",)), {}, "en")
    assert "leak" in shown
    assert "fraud" not in shown


def test_json_is_the_same_with_and_without_reasons() -> None:
    plain, explained_ = run(f"{ANGRY}\n".encode()), run(f"{ANGRY}\n".encode(), "--why")
    why = explained_[0].pop("why")
    assert plain == explained_
    assert set(why) == set(HEADS)
    assert why["outage"]["up"][0]["words"] == "停运"


def test_the_command_reads_the_model_in_use_and_names_a_bad_one(tmp_path: Path) -> None:
    folder = tmp_path / "tingchao.db-models"
    folder.mkdir()
    (folder / "use.json").write_text(json.dumps([{"version": "abc", "at": "2026-03-02T08:00:00Z", "reason": ""}]))
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "score", "-", "--db", str(tmp_path / "tingchao.db")]
    done = subprocess.run(command, input=b"x\n", capture_output=True, check=False)
    assert done.returncode == 1
    assert "models rollback" in done.stderr.decode()
