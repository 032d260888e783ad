"""What was set aside can be listed, counted and put back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from tingchao.config.language import in_language
from tingchao.pipeline.clock import ManualClock
from tingchao.pipeline.dead import letter, letters, replay, since
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.records import Dead

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEPT = Dead(
    id="a1",
    stage="score",
    reason="bug.ValueError",
    error="e",
    at=NOW,
    origin="posts/0/7",
    topic="posts",
    key="k",
    value='{"v":1}',
)
LOST = Dead(id="b2", stage="ingest", reason="line.not_json", error="e", at=NOW, origin="file:3", hash="00")


@pytest.fixture
def with_letters(log: Log) -> Log:
    log.publish([output("dead", one.id, one) for one in (KEPT, LOST)], NOW)
    return log


def test_a_letter_is_put_back_once(with_letters: Log) -> None:
    assert replay(with_letters, ManualClock(NOW), []) == 1
    (entry,) = with_letters.scan("posts")
    assert (entry.key, entry.value) == ("k", b'{"v":1}')
    assert [one.id for one in letters(with_letters)] == ["b2"]
    assert replay(with_letters, ManualClock(NOW), []) == 0


def test_a_letter_is_put_back_by_the_beginning_of_its_id(with_letters: Log) -> None:
    assert replay(with_letters, ManualClock(NOW), ["a", "a1"]) == 1
    with pytest.raises(Refused, match="replayed already") as caught:
        replay(with_letters, ManualClock(NOW), ["a"])
    assert "已在" in str(in_language(caught.value, "zh"))


def test_a_message_that_was_refused_says_where_its_alert_is_and_how_the_channel_is_told(with_letters: Log) -> None:
    refused = replace(LOST, id="d4", stage="notify.desk", reason="notify.refused", origin="alert a7, opened")
    with_letters.publish([output("dead", "d4", refused)], NOW)
    with pytest.raises(Refused, match=r"refused \(alert a7, opened\).*tingchao alerts show") as caught:
        replay(with_letters, ManualClock(NOW), ["d4"])
    assert "拒收" in str(in_language(caught.value, "zh"))
    assert [one.id for one in letters(with_letters)] == ["a1", "b2", "d4"]


@pytest.mark.parametrize(
    ("wanted", "told", "chinese"), [("b2", "content was not kept", "没有保留"), ("zz", "no dead letter", "没有编号")]
)
def test_what_cannot_be_put_back_says_why(with_letters: Log, wanted: str, told: str, chinese: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        replay(with_letters, ManualClock(NOW), [wanted])
    assert chinese in str(in_language(caught.value, "zh"))


def test_a_letter_is_found_by_the_beginning_of_its_id(with_letters: Log) -> None:
    assert letter(with_letters, "a") == KEPT


@pytest.mark.parametrize(("wanted", "chinese"), [("zz", "没有编号为 'zz'"), ("", "没有编号为 ''"), ("c", "有 2 条")])
def test_an_id_that_names_no_letter_or_several_is_refused_in_chinese_too(
    with_letters: Log, wanted: str, chinese: str
) -> None:
    with_letters.publish([output("dead", name, replace(KEPT, id=name)) for name in ("c1", "c2")], NOW)
    with pytest.raises(Refused, match="dead letter") as caught:
        letter(with_letters, wanted)
    assert chinese in str(in_language(caught.value, "zh"))


def test_an_empty_id_does_not_name_the_only_letter(log: Log) -> None:
    log.publish([output("dead", KEPT.id, KEPT)], NOW)
    with pytest.raises(Refused):
        letter(log, "")


def test_what_died_since_is_counted_by_stage_and_reason(with_letters: Log) -> None:
    both = ("score", "ingest")
    before = with_letters.end("dead")
    assert since(with_letters, before, both) == {}
    assert since(with_letters, 0, both) == {"score bug.ValueError": 1, "ingest line.not_json": 1}
    assert since(with_letters, 0, ["score"]) == {"score bug.ValueError": 1}
    replay(with_letters, ManualClock(NOW), ["a1"])
    assert since(with_letters, before, both) == {}
