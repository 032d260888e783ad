"""Scores and mentions with as few words as a test cares about."""

from __future__ import annotations

from datetime import datetime

from tingchao.alerts.smallest import hashed
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.grams import fold
from tingchao.pipeline.records import Counts, Mention
from tingchao.pipeline.shingles import sketches

# Two events as people write of them.
FIRE = (
    "甲县化工厂仓库着火了，浓烟好大，整条街都闻得到味道，消防车一辆接一辆。",
    "甲县化工厂那边起火，浓烟滚滚，二号仓库烧起来了，居民被疏散到体育馆。",
    "甲县消防通报：化工厂二号仓库火势已得到控制，居民疏散到体育馆和学校。",
    "路过甲县化工厂，看见浓烟从仓库冒出来，消防车把路都封了，希望没有人受伤。",
)
CRASH = (
    "甲县国道上两辆货车相撞，堵了三公里，交警在现场指挥，有司机受伤送医。",
    "国道货车相撞，有司机受伤，甲县方向堵了三公里，请绕行省道。",
    "甲县国道两辆货车相撞，交警说司机受伤送医，堵车还要两个小时。",
)


def scores(signal: str = "", p: float = 0.95, *, negative: float = 0.2, live: float = 0.95, **more: object) -> Scores:
    signals = tuple(p if name == signal else 0.01 for name in SIGNALS)
    fields = {"severity": 2.0 if signal else 0.1, "live": live if signal else 0.02, "advert": 0.01, "given": ()}
    rest = {"lang": "zh", "abstained": False} | fields | more
    return Scores(negative=negative, neutral=1 - negative, positive=0.0, signals=signals, **rest)  # type: ignore[arg-type]


def mention(name: str, at: datetime, *, text: str = "", voice: str = "", **more: object) -> Mention:
    fields: dict[str, object] = {"topic": "metro", "source": "forum", "scores": scores(), "fetched_at": at} | more
    return Mention(
        id=name,
        published_at=at,
        voice=hashed(voice or name).to_bytes(8).hex(),
        title=text or f"帖子 {name}",
        signature=hashed(text or name).to_bytes(8).hex(),
        **fields,  # type: ignore[arg-type]
    )


def report(number: int, at: datetime, text: str, topic: str, counts: Counts = Counts()) -> Mention:  # noqa: B008 frozen
    """What somebody tells of an event, by a voice and source of its own for each number."""
    name = f"p{number}"
    return Mention(
        topic=topic,
        id=name,
        published_at=at,
        fetched_at=at,
        source=f"s{number % 7}",
        voice=hashed(name).to_bytes(8).hex(),
        excerpt=text,
        scores=scores("safety", negative=0.6),
        signature=hashed(text).to_bytes(8).hex(),
        sketch=sketches([fold(text)])[0],
        counts=counts,
    )
