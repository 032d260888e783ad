"""[posts] → score → [scored], and one mention a watched topic → [mentions]. Stateless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tingchao.config.settings import Settings
from tingchao.models.reasons import Reasons
from tingchao.models.scores import SIGNALS, Scores
from tingchao.pipeline.flow import READS
from tingchao.pipeline.grams import fold
from tingchao.pipeline.ids import signature
from tingchao.pipeline.log import output
from tingchao.pipeline.matching import Matcher
from tingchao.pipeline.records import EXCERPT, Mention, Post, Scored, Why, full_text
from tingchao.pipeline.shingles import sketches
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage

_WORDS = 6  # words and phrases for a head, and as many against it, that travel with a mention
_LIKELY = 0.3  # chance from which a signal that is not given is explained; the cards name it from there on
_PART = 0.2  # of the strongest word's change: what moves a head less is left out
_DIGITS = 2  # of a change in log-odds
_ANGRY = 0.5  # from here on a post is more likely negative than not


class Models(Protocol):
    """The models as scoring needs them; `models.scorer.Scorer` is one."""

    @property
    def version(self) -> str: ...

    def score(self, texts: Sequence[str]) -> list[Scores]: ...

    def phrases(
        self, texts: Sequence[str], heads: Sequence[Sequence[str]], limit: int = 8, part: float = 0.0
    ) -> list[dict[str, Reasons]]: ...


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
        whys = self._whys(scored, texts)
        outputs = [output("scored", one.post.id, one) for one in scored]
        outputs += [
            output("mentions", mention.topic, mention)
            for number, (one, text) in enumerate(zip(scored, texts, strict=True))
            for mention in self._mentions(one, text, whys.get(text, {}), drawn.get(number, ""))
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

    def _whys(self, scored: Sequence[Scored], texts: Sequence[str]) -> dict[str, Why]:
        """For the texts of posts that become mentions, what moved the heads that stand out. A repost costs nothing."""
        asked = {
            text: heads
            for one, text in zip(scored, texts, strict=True)
            if one.topics and (heads := explained(one.scores))
        }
        found = self._models.phrases(list(asked), list(asked.values()), _WORDS, _PART) if asked else []
        return {
            text: {
                head: tuple((words, round(change, _DIGITS)) for words, change in one.ordered)
                for head, one in reasons.items()
                if one.up or one.down
            }
            for text, reasons in zip(asked, found, strict=True)
        }

    def _mentions(self, scored: Scored, text: str, why: Why, sketch: str) -> Iterator[Mention]:
        post = scored.post
        says = any(change > 0 for moved in why.values() for _, change in moved)
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
                words={} if says else {"topic": self._matcher.words(topic, text)[:_WORDS]},
                why=why,
                counts=post.counts,
                signature=scored.signature,
                sketch=sketch,
            )


def explained(scores: Scores) -> tuple[str, ...]:
    """The heads whose reasons a mention carries: given signals, else the likeliest one, else anger, else none."""
    if scores.abstained or scores.given:
        return scores.given
    likeliest = max(range(len(SIGNALS)), key=scores.signals.__getitem__)
    if scores.signals[likeliest] >= _LIKELY:
        return (SIGNALS[likeliest],)
    return ("negative",) if scores.negative >= _ANGRY else ()
