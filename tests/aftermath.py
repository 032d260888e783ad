"""What must hold after a storm, once all has been worked off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from crew import Webhook

from tingchao.alerts import ledger
from tingchao.alerts.hours import Hours
from tingchao.alerts.windows import ADVERT
from tingchao.config.settings import Settings
from tingchao.models.scorer import Scorer
from tingchao.models.scores import Scores
from tingchao.pipeline.grams import fold
from tingchao.pipeline.log import Log
from tingchao.pipeline.matching import Matcher
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import ACTIVE, TICK_KEY, Alert, Post, Scored, full_text
from tingchao.pipeline.stage import outcomes
from tingchao.pipeline.store import Store

Said = tuple[Post, str, Scores]  # a post, its text, and what the model says of it
NEAR = 0.002  # half_float holds a probability to three digits


class Aftermath:
    """Looks at everything that is left; what does not hold stands in `wrong`."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.wrong: list[str] = []
        self._settings, self._say = settings, say

    def index(self, told: Sequence[Said], store: Store) -> None:
        """Every post stands in it once, with the scores that the model gives it."""
        found = Counter[str]()
        stored: dict[str, Scored] = {}
        for hit in everything(store):
            found[hit.post.id] += 1
            stored[hit.post.id] = hit
        wanted = {post.id for post, _, _ in told}
        self._must(
            set(found) == wanted,
            f"missing in the index: {len(wanted - set(found))}; strange: {len(set(found) - wanted)}",
        )
        doubled = [name for name, number in found.items() if number > 1]
        self._must(not doubled, f"in the index more than once: {len(doubled)}")
        other = 0
        for post, _, scores in told:
            if post.id not in stored:
                continue
            kept = stored[post.id].scores
            pairs = [
                (kept.negative, scores.negative),
                (kept.live, scores.live),
                *zip(kept.signals, scores.signals, strict=True),
            ]
            other += any(abs(a - b) > NEAR for a, b in pairs)
        self._must(other == 0, f"with other scores than the model gives: {other}")
        self._say(f"index: {len(found):,} posts, each once" if not self.wrong else "index: wrong")

    def windows(self, told: Sequence[Said], log: Log) -> None:
        """Every mention that is no advert is counted once."""
        matcher = Matcher(self._settings.topics, self._settings.sources)
        topics = [topic.name for topic in self._settings.topics]
        expected = Counter(
            topic
            for post, said, scores in told
            if scores.advert <= ADVERT
            for topic in matcher.topics(fold(said), post.source)
        )
        counted: Counter[str] = Counter()
        for memory in log.states("watch"):
            hours = Hours({key: value for key, value in memory.items() if not key.startswith("#")})
            for topic in topics:
                held = hours.posts(topic)
                counted[topic] += sum(held.between(number, number) for number in held)
        self._must(counted == expected, f"windows hold {dict(counted)}, expected {dict(expected)}")
        self._say(f"windows: {dict(counted)}")

    def alerts(self, log: Log, hook: Webhook, acknowledged: set[str]) -> None:
        """Each topic has its alert, the webhook heard of each, and every acknowledgement that was given holds."""
        expected = [topic.name for topic in self._settings.topics]
        alerts = ledger.alerts(log)
        topics = Counter(alert.topic for alert in alerts.values())
        told = {topic for alert in alerts.values() for topic in (alert.topic, *alert.topics)}
        self._must(told == set(expected), f"alerts for {sorted(told)}, expected each of {expected}")
        self._must(max(topics.values(), default=0) <= 1, f"more than one alert for a topic: {dict(topics)}")
        opened: dict[str, set[str]] = {}
        for body in hook.opened():
            opened.setdefault(body["alert"]["id"], set()).add(body["id"])
        for name, alert in alerts.items():
            self._must(len(opened.get(name, ())) == 1, f"{alert.topic}: told under {len(opened.get(name, ()))} ids")
        lost = [name for name in acknowledged if not is_acknowledged(alerts.get(name))]
        self._must(not lost, f"acknowledgements that do not hold: {lost}")
        shared = {alert.topic: alert.topics for alert in alerts.values() if alert.topics}
        candidates = Counter(entry.key for entry in log.scan("candidates", limit=100_000) if entry.key != TICK_KEY)
        self._say(f"candidates: {dict(candidates)}; what became of them: {dict(outcomes(log, 'decide'))}")
        self._say(f"alerts: {dict(topics)}; under which others are found: {shared}")
        self._say(f"messages {len(hook.heard)}; acknowledged {len(acknowledged)}")

    def dead(self, log: Log) -> None:
        """Nothing was set aside."""
        dead = list(log.newest("dead"))
        self._must(not dead, f"{len(dead)} records were set aside: {[entry.value[:200] for entry in dead[:3]]}")

    def _must(self, holds: bool, words: str) -> None:
        if not holds:
            self.wrong.append(words)


def is_acknowledged(alert: Alert | None) -> bool:
    """Whether the alert shows that staff saw it."""
    return alert is not None and (alert.state not in ACTIVE or alert.state == "acknowledged")


def everything(store: Store) -> Iterator[Scored]:
    """All posts of the store, page by page."""
    after = None
    while page := store.search(Query(limit=1000, after=after)):
        yield from page
        last = page[-1].post
        after = (int(last.published_at.timestamp() * 1000), last.id)


def scored(posts: Sequence[Post]) -> Iterator[Said]:
    """What is said of each post, 500 at a time."""
    scorer = Scorer.load()
    for begin in range(0, len(posts), 500):
        batch = posts[begin : begin + 500]
        texts = [full_text(post.title, post.text) for post in batch]
        yield from zip(batch, texts, scorer.score(texts), strict=True)
