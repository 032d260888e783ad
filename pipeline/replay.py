"""History is scored again with the present models and topics. No mention is written: nothing old wakes anyone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from tingchao.config.settings import Settings
from tingchao.pipeline.matching import Matcher
from tingchao.pipeline.records import Scored
from tingchao.pipeline.score import Models, Score
from tingchao.pipeline.store import Store


def replay(settings: Settings, models: Models, store: Store, since: datetime) -> Iterator[int]:
    """Score each stored post published at or after `since`; how many, batch by batch. Broken off, it may run again.

    Stages that score with the present models should run before: what others put meanwhile keeps their scores.
    """
    stage = Score(models, Matcher(settings.topics, settings.sources))

    def change(posts: Sequence[Scored]) -> list[Scored]:
        return stage.scored([one.post for one in posts])

    return store.rewrite(since, change)
