"""When hot lists tell of what happened: an air crash, a lockdown, earthquakes, and topics on which little happens.

    python bench/hot.py ../shared/data

The shipped rules and the live stages, each title once, at the time at which it first stood in the list. Of an
earthquake: whether an alert of the topic was open by the hour in which it first stood in the list (`covered`), and
whether one was opened after it (`opened`). `unreal` are alerts of that topic outside the table of earthquakes in which
no title names a strength, a place that shook, or what a real one did; read them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tingchao.alerts.backtest import replay
from tingchao.config.settings import load
from tingchao.config.topics import Topic
from tingchao.models.scorer import Scorer
from tingchao.pipeline.clock import BEIJING
from tingchao.pipeline.past import from_lines, mentions
from tingchao.pipeline.records import Alert, Mention
from tingchao.pipeline.rows import read_jsonl

HOUR = timedelta(hours=1)
TIMED = (
    Topic(name="crash", title="空难", any=["航班", "飞机", "客机", "航空", "空难", "坠机"]),
    Topic(name="shanghai", title="上海", all=["上海"], any=["封控", "停运", "地铁", "公交", "超市", "医院"]),
)
QUAKE = Topic(name="quake", title="地震", any=["地震"])
# Chosen before looking.
QUIET = (
    "图书馆 自行车 牙医 电梯 快递 公园 眼镜 茶叶 博物馆 驾照 "
    "马拉松 充电宝 外卖 羽毛球 垃圾分类 社保 奶茶 养老院 银行卡 高铁"
)
REAL = re.compile(r"\d级|^.{2,4}地震$|再发|余震|地震已|遇难")


def main(data: Path) -> None:
    titles = rows(data / "weibo_hot_titles/first_seen_2022-03-10_2022-04-10.csv")
    found, said = run(TIMED, ((row["title"], row["first_seen"]) for row in titles))
    for topic in TIMED:
        print(topic.name)
        for alert in (alert for alert in found if alert.topic == topic.name):
            first = next((one.excerpt for one in said if one.topic == topic.name and one.fetched_at >= alert.since), "")
            print(f"  opened {local(alert.opened_at)}, until {local(alert.until)}: {first}")
    hourly = list(rows(data / "weibo_hot_hourly/dev_topics.csv.gz"))
    seen = [(row["title"], f"{row['first_seen']}:00+08:00") for row in hourly]
    found, said = run((QUAKE,), seen)
    quakes(found, said, list(rows(data / "quake_events/dev_quakes.csv")))
    calm = tuple(Topic(name=f"calm{n}", title=word, any=[word]) for n, word in enumerate(QUIET.split()))
    found, _ = run(calm, seen)
    months = (at(seen[-1][1]) - at(seen[0][1])) / timedelta(days=30)
    most = max(Counter(alert.topic for alert in found).values(), default=0)
    print(f"quiet topics: {len(found) / months / len(calm):.2f} alerts a topic and month, at most {most / months:.2f}")


def run(topics: Sequence[Topic], titles: Iterable[tuple[str, str]]) -> tuple[list[Alert], list[Mention]]:
    """Alerts, and mentions in the order of their time."""
    words = {word for topic in topics for word in topic.any}
    once: dict[str, str] = {}
    for title, seen in titles:
        if any(word in title for word in words):
            once.setdefault(title, seen)
    lines = [json.dumps({"text": text, "published_at": seen, "source": "list"}) for text, seen in once.items()]
    bad: Counter[str] = Counter()
    posts = from_lines(read_jsonl(io.BytesIO("\n".join(lines).encode())), datetime.now(UTC), (None, None), bad)
    assert not bad, bad
    settings = replace(load(), topics=tuple(topics))
    said = sorted(mentions(posts, settings, Scorer.load()), key=lambda one: one.fetched_at)
    return replay(said, settings), said


def quakes(alerts: Sequence[Alert], said: Sequence[Mention], table: Sequence[dict[str, str]]) -> None:
    covered, opened, told = 0, 0, set()
    for row in table:
        official, seen = at(row["official_time"]), at(row["first_seen"])
        mine = [one for one in alerts if one.opened_at <= seen + HOUR and one.until >= min(official, seen)]
        covered += bool(mine)
        opened += any(one.opened_at >= min(official, seen) for one in mine)
        told |= {one.id for one in mine}
    texts = {one.id: [m.excerpt for m in said if one.since <= m.fetched_at <= one.until] for one in alerts}
    unreal = [texts[one.id] for one in alerts if one.id not in told and not any(map(REAL.search, texts[one.id]))]
    print(f"quakes: {len(table)}, covered {covered}, opened {opened}; alerts {len(alerts)}, unreal {len(unreal)}")
    for text in unreal:
        print(f"  {' / '.join(text[:3])}")


def rows(file: Path) -> Iterator[dict[str, str]]:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def at(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=BEIJING)


def local(when: datetime) -> str:
    return f"{when.astimezone(BEIJING):%m-%d %H:%M}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
