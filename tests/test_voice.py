"""Distinct voices can be counted, nobody can be named, and the keys are really gone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.log import Log
from tingchao.pipeline.voice import GROUP, Voices, destroy_keys

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=BEIJING)
DAY = timedelta(days=1)


def test_a_voice_is_64_bits_and_the_same_for_one_author_on_one_day(log: Log) -> None:
    voices = Voices(log)
    voice = voices.voice("weibo", "张三", NOON)
    assert re.fullmatch("[0-9a-f]{16}", voice)
    assert voices.voice("weibo", " 张三\n", NOON + timedelta(hours=11)) == voice


def test_voices_differ_by_author_source_and_day(log: Log) -> None:
    voices = Voices(log)
    said = [
        voices.voice(source, author, NOON + day * DAY)
        for source in ("weibo", "tieba")
        for author in ("张三", "李四", None)
        for day in range(3)
    ]
    assert len(set(said)) == 18


def test_without_an_author_the_source_is_the_voice(log: Log) -> None:
    voices = Voices(log)
    assert voices.voice("weibo", None, NOON) == voices.voice("weibo", "", NOON) == voices.voice("weibo", "  ", NOON)


def test_the_day_is_the_one_in_beijing_whatever_the_zone_says(log: Log) -> None:
    voices = Voices(log)
    evening = datetime(2026, 1, 5, 15, 59, tzinfo=UTC)  # 23:59 in Beijing
    assert voices.voice("w", "a", evening) == voices.voice("w", "a", NOON)
    assert voices.voice("w", "a", evening + timedelta(minutes=1)) != voices.voice("w", "a", NOON)


def test_readers_share_the_key_through_the_log(
    backend: Any, log: Log, child: Callable[[str], subprocess.Popen[str]]
) -> None:
    voice = Voices(log).voice("weibo", "张三", NOON)
    assert Voices(backend.log()).voice("weibo", "张三", NOON) == voice
    code = (
        "from datetime import datetime\nfrom tingchao.pipeline.voice import Voices\n"
        f"print(Voices(log).voice('weibo', '张三', datetime.fromisoformat('{NOON.isoformat()}')))"
    )
    assert child(code).communicate()[0].strip() == voice


def test_another_installation_gives_other_voices(backend: Any, log: Log) -> None:
    voice = Voices(log).voice("weibo", "张三", NOON)
    log.publish((), NOON, group=GROUP, state={"2026-01-05": None})
    assert Voices(backend.log()).voice("weibo", "张三", NOON) != voice


def test_keys_of_days_that_ended_are_destroyed_and_no_others(log: Log) -> None:
    voices = Voices(log)
    for day in range(4):
        voices.voice("weibo", "张三", NOON + day * DAY)
    midnight = datetime(2026, 1, 7, 0, 0, tzinfo=BEIJING)
    assert destroy_keys(log, midnight - timedelta(seconds=1)) == 1
    assert sorted(log.state(GROUP)) == ["2026-01-06", "2026-01-07", "2026-01-08"]
    assert destroy_keys(log, midnight) == 1
    assert destroy_keys(log, midnight) == 0
    assert sorted(log.state(GROUP)) == ["2026-01-07", "2026-01-08"]


def test_after_that_no_voice_can_be_tied_to_an_author_again(log: Log) -> None:
    voice = Voices(log).voice("weibo", "张三", NOON)
    destroy_keys(log, NOON + 3 * DAY)
    assert Voices(log).voice("weibo", "张三", NOON) != voice


@pytest.mark.parametrize("others", [0, 3, 40])
def test_a_destroyed_key_stands_nowhere_on_the_disk(backend: Any, log: Log, others: int) -> None:
    voices = Voices(log)
    for day in range(others + 1):
        voices.voice("weibo", "张三", NOON + day * DAY)
    keys = log.state(GROUP)
    assert all(key in backend.stored() for key in keys.values())
    destroy_keys(log, NOON + DAY)
    log.close()  # what waits in the write-ahead log goes into the file
    stored = backend.stored()
    assert keys["2026-01-05"] not in stored
    assert all(key in stored for day, key in keys.items() if day != "2026-01-05")


def test_no_author_is_written_anywhere(backend: Any, log: Log) -> None:
    Voices(log).voice("weibo", "独一无二的作者", NOON)
    assert "独一无二的作者".encode() not in backend.stored()
