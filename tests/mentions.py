"""Scores and mentions with as few words as a test cares about."""

from __future__ import annotations

from datetime import datetime

from tingchao.alerts.smallest import hashed
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.records import Mention


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
