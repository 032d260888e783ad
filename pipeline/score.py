"""[posts] → score → [scored], and one mention a watched topic → [mentions]. Stateless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tingchao.config.settings import Settings
from tingchao.models.scores import Scores
from tingchao.pipeline.grams import fold
from tingchao.pipeline.ids import signature
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.matching import Matcher
from tingchao.pipeline.records import EXCERPT, Mention, Post, Scored
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage

_WORDS = 6  # words a signal that travel with a mention: what an alert card shows on one line


class Judge(Protocol):
    """What scoring needs of the models; `models.Scorer` is one."""

    @property
    def version(self) -> str: ...

    def score(self, texts: Sequence[str]) -> list[Scores]: ...

    def whys(self, text: str, heads: Sequence[str], limit: int = 8) -> dict[str, list[tuple[str, float]]]: ...


def plan(settings: Settings, judge: Judge) -> Plan:
    """The stage; the models are read once and only."""
    matcher = Matcher(settings.topics, settings.sources)

    def make(_: Memory) -> Stage:
        return Score(judge, matcher)

    return Plan("score", ("posts",), make)


class Score:
    """A batch of posts becomes a batch of scored posts and their mentions."""

    def __init__(self, judge: Judge, matcher: Matcher) -> None:
        self._judge, self._matcher = judge, matcher

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcome scored, or abstained when the text is not one that the models can judge."""
        posts = [one.record for one in inputs if isinstance(one.record, Post)]
        texts = [full_text(post) for post in posts]
        outputs: list[Output] = []
        outcomes: list[str] = []
        for post, text, scores in zip(posts, texts, self._judge.score(texts), strict=True):
            folded = fold(text)
            scored = Scored(
                post=post,
                scores=scores,
                topics=self._matcher.topics(folded, post.source),
                signature=signature(folded),
                model=self._judge.version,
            )
            outputs.append(output("scored", post.id, scored))
            outputs += (output("mentions", mention.topic, mention) for mention in self._mentions(scored, text))
            outcomes.append("abstained" if scores.abstained else "scored")
        return Result(outputs, outcomes)

    def _mentions(self, scored: Scored, text: str) -> Iterator[Mention]:
        if not scored.topics:
            return
        post, words = scored.post, self._words(scored.scores, text)
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
                words=words,
                counts=post.counts,
                signature=scored.signature,
            )

    def _words(self, scores: Scores, text: str) -> dict[str, tuple[str, ...]]:
        """The words that speak for each given signal."""
        if not scores.given:
            return {}
        whys = self._judge.whys(text, scores.given, _WORDS)
        return {signal: tuple(word for word, weight in why if weight > 0) for signal, why in whys.items()}


def full_text(post: Post) -> str:
    """What is read of a post: title and text, the title once."""
    return post.text if post.text.startswith(post.title) else f"{post.title}\n{post.text}"
