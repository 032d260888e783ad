"""[posts] → score → [scored], and one mention a watched topic → [mentions]. Stateless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tingchao.config.settings import Settings
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.flow import READS
from tingchao.pipeline.grams import fold
from tingchao.pipeline.ids import signature
from tingchao.pipeline.log import output
from tingchao.pipeline.matching import Matcher
from tingchao.pipeline.records import EXCERPT, Mention, Post, Scored, full_text
from tingchao.pipeline.shingles import sketches
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage

_WORDS = 6  # words a head that travel with a mention: what an alert card shows on one line
_LIKELY = 0.3  # chance from which a signal that is not given is explained; the cards name it from there on
_ANGRY = 0.5  # from here on a post is more likely negative than not


class Models(Protocol):
    """The models as scoring needs them; `models.scorer.Scorer` is one."""

    @property
    def version(self) -> str: ...

    def score(self, texts: Sequence[str]) -> list[Scores]: ...

    def whys(
        self, texts: Sequence[str], heads: Sequence[Sequence[str]], limit: int = 8
    ) -> list[dict[str, list[tuple[str, float]]]]: ...


def plan(settings: Settings, models: Models) -> Plan:
    """The stage; the models are read once and only."""
    matcher = Matcher(settings.topics, settings.sources)

    def make(_: Memory) -> Stage:
        return Score(models, matcher)

    return Plan("score", READS["score"], make)


class Score:
    """A batch of posts becomes a batch of scored posts and their mentions."""

    def __init__(self, models: Models, matcher: Matcher) -> None:
        self._models, self._matcher = models, matcher

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcome scored, or abstained when the text is not one that the models can judge."""
        texts, folded, scored = self._read([one.record for one in inputs if isinstance(one.record, Post)])
        watched = [number for number, one in enumerate(scored) if one.topics]
        drawn = dict(zip(watched, sketches([folded[number] for number in watched]), strict=True))
        words = self._words(scored, texts)
        outputs = [output("scored", one.post.id, one) for one in scored]
        outputs += [
            output("mentions", mention.topic, mention)
            for number, (one, text) in enumerate(zip(scored, texts, strict=True))
            for mention in self._mentions(one, text, words.get(text, {}), drawn.get(number, ""))
        ]
        return Result(outputs, ["abstained" if one.scores.abstained else "scored" for one in scored])

    def scored(self, posts: Sequence[Post]) -> list[Scored]:
        """The posts with scores, topics and signature."""
        return self._read(posts)[2]

    def _read(self, posts: Sequence[Post]) -> tuple[list[str], list[str], list[Scored]]:
        """The text of each post, the same folded, and the post with what was found."""
        texts = [full_text(post.title, post.text) for post in posts]
        folded = [fold(text) for text in texts]
        scored = [self._scored(*one) for one in zip(posts, folded, self._models.score(texts), strict=True)]
        return texts, folded, scored

    def _scored(self, post: Post, folded: str, scores: Scores) -> Scored:
        return Scored(
            post=post,
            scores=scores,
            topics=self._matcher.topics(folded, post.source),
            signature=signature(folded),
            model=self._models.version,
        )

    def _words(self, scored: Sequence[Scored], texts: Sequence[str]) -> dict[str, dict[str, tuple[str, ...]]]:
        """For the texts of posts that become mentions: head -> the words that speak for it. A repost costs nothing."""
        asked = {
            text: heads
            for one, text in zip(scored, texts, strict=True)
            if one.topics and (heads := explained(one.scores))
        }
        whys = self._models.whys(list(asked), list(asked.values()), _WORDS) if asked else []
        return {
            text: {head: tuple(word for word, weight in why if weight > 0) for head, why in reasons.items()}
            for text, reasons in zip(asked, whys, strict=True)
        }

    def _mentions(self, scored: Scored, text: str, words: dict[str, tuple[str, ...]], sketch: str) -> Iterator[Mention]:
        post = scored.post
        for topic in scored.topics:
            yield Mention(
                topic=topic,
                id=post.id,
                published_at=post.published_at,
                fetched_at=post.fetched_at,
                source=post.source,
                voice=post.voice,
                title=post.title,
                url=post.url,
                excerpt=post.text[:EXCERPT],
                scores=scored.scores,
                words=words if any(words.values()) else {"topic": self._matcher.words(topic, text)[:_WORDS]},
                counts=post.counts,
                signature=scored.signature,
                sketch=sketch,
            )


def explained(scores: Scores) -> tuple[str, ...]:
    """The heads whose words a mention carries: given signals, else the likeliest one, else anger, else none."""
    if scores.abstained or scores.given:
        return scores.given
    likeliest = max(range(len(SIGNALS)), key=scores.signals.__getitem__)
    if scores.signals[likeliest] >= _LIKELY:
        return (SIGNALS[likeliest],)
    return ("negative",) if scores.negative >= _ANGRY else ()
