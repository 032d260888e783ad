"""Topics in which two more incidents happen while people still talk of the first: does each become an alert?

    python bench/stories.py ../shared [incidents] [reports]

28 topics, written for it: A, the first incident, from eyewitnesses to what follows; B, of another kind at another
place; C, of A's kind at a third place; N, ordinary talk. An alert is of the incident that most of its posts tell of.
Those posts count that name the topic; each has a voice of its own. The shipped rules and models.

Reports: the sentences of a report on one accident (cec_emergency), each as a post a minute after the other. Is there
another story in one report, and in two, one after the other?
"""

from __future__ import annotations

import io
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tingchao.alerts.backtest import replay
from tingchao.alerts.budget import wilson
from tingchao.alerts.stories import Stories
from tingchao.alerts.windows import weights
from tingchao.config.settings import load
from tingchao.config.topics import Topic
from tingchao.models.scorer import Scorer
from tingchao.pipeline.past import from_lines, mentions
from tingchao.pipeline.records import Mention
from tingchao.pipeline.rows import read_jsonl

BEGIN = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
POSTS = Path(__file__).parent.parent / "tests" / "incidents.jsonl"
SHORT, LONG = 9, 10  # characters of a sentence, and sentences of a report that is one of a pair
PAIRS = 120
BUSY = 80  # posts of a topic from which it is a busy one


class Found(NamedTuple):
    """The alerts of a topic: the incident of each, and how many posts the topic had."""

    posts: int
    incidents: tuple[str, ...]

    @property
    def busy(self) -> bool:
        return self.posts >= BUSY


def incidents() -> None:
    found = run(POSTS)
    print("topics | further incidents that are alerts of their own (95 %) | told again")
    for title, some in (
        ("busy", [one for one in found if one.busy]),
        ("other", [one for one in found if not one.busy]),
    ):
        own, most = further(some), 2 * len(some)
        low, high = wilson(own, most)
        print(f"{title} {len(some)} | {own} of {most} ({low:.2f}-{high:.2f}) | {sum(map(again, some))}")


def further(found: Sequence[Found]) -> int:
    """Further incidents that became alerts of their own."""
    return sum(incident in one.incidents for one in found for incident in "BC")


def again(one: Found) -> int:
    """Alerts of a topic on what was told already, or on nothing."""
    return len(one.incidents) - len(set(one.incidents) - {"N"})


def run(path: Path) -> list[Found]:
    """What the shipped rules make of the topics."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["topic"] in row["text"]]
    numbers = sorted({row["number"] for row in rows})
    names = {row["number"]: row["topic"] for row in rows}
    topics = tuple(Topic(name=f"t{number}", title=names[number], any=[names[number]]) for number in numbers)
    bad: Counter[str] = Counter()
    posts = list(
        from_lines(read_jsonl(io.BytesIO("\n".join(_lines(rows)).encode())), datetime.now(UTC), (None, None), bad)
    )
    assert not bad, bad
    settings = replace(load(), topics=topics)
    alerts = replay(sorted(mentions(posts, settings, Scorer.load()), key=lambda one: one.fetched_at), settings)
    found = []
    for topic in topics:
        own = {row["text"]: row["incident"] for row in rows if f"t{row['number']}" == topic.name}
        told = [
            [own[one.excerpt] for one in alert.evidence if one.excerpt in own]  # its word may stand in others' too
            for alert in sorted(alerts, key=lambda alert: alert.opened_at)
            if alert.topic == topic.name
        ]
        found.append(Found(len(own), tuple(Counter(one).most_common(1)[0][0] for one in told if one)))
    return found


def _lines(rows: Sequence[dict[str, object]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        at = BEGIN + timedelta(days=int(str(row["number"])), minutes=int(str(row["minute"])))
        yield json.dumps(
            {"text": row["text"], "published_at": at.isoformat(), "source": f"s{number % 9}", "author": f"u{number}"}
        )


def reports(shared: Path) -> None:
    lines = (shared / "data/cec_emergency/dev.jsonl").read_text(encoding="utf-8").splitlines()
    told = [_sentences(json.loads(line)) for line in lines]
    scorer = Scorer.load()
    alone = sum(_stories(scorer, [one]) > 0 for one in told)
    draw = random.Random(1)
    long = [one for one in told if len(one) >= LONG]
    pairs = [draw.sample(long, 2) for _ in range(PAIRS)]
    both = sum(_stories(scorer, pair) > _stories(scorer, pair[:1]) for pair in pairs)
    low, high = wilson(both, PAIRS)
    print(f"reports: another story in {alone} of {len(told)}; in {both} of {PAIRS} pairs ({low:.2f}-{high:.2f})")


def _sentences(report: dict[str, str]) -> list[str]:
    return [one for one in re.split(r"[。！？\n；]", f"{report['title']}。{report['text']}") if len(one) >= SHORT]


def _stories(scorer: Scorer, told: Sequence[Sequence[str]]) -> int:
    """How many stories there are beside the first one, after these reports one after the other."""
    stories = Stories({}, [Topic(name="t", title="t", any=["不在其中"])])  # words that no report has
    texts = [text for report in told for text in report]
    for number, (text, scores) in enumerate(zip(texts, scorer.score(texts), strict=True)):
        at = BEGIN + timedelta(minutes=number)
        fields = {"topic": "t", "id": str(number), "source": "s", "voice": str(number), "excerpt": text}
        mention = Mention(**fields, published_at=at, fetched_at=at, scores=scores)
        stories.hear(mention, int(at.timestamp()), int(at.timestamp()), weights(mention))
    return len(stories.of("t"))


def main(shared: Path, parts: Sequence[str]) -> None:
    if "incidents" in parts:
        incidents()
    if "reports" in parts:
        reports(shared)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ("incidents", "reports"))
