"""Another story within a topic: what happens while people still talk of something else, so that it is told by itself.

What happens somewhere else, or otherwise, has words of its own: a place, a thing. So where several voices begin within
an hour to say a word that nobody had said who told of a signal, and hardly any of their posts has a word by which the
first story goes, they tell another one. Which posts belong together by all their words (mixture.py) says it worse: of
eyewitnesses each has other words for the same.

State keys: `@story/topic`; see also calm.py.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

import msgspec

from tingchao.alerts import calm
from tingchao.alerts.calm import Calm
from tingchao.alerts.happening import Happening
from tingchao.alerts.kept import Kept
from tingchao.alerts.likeness import alike
from tingchao.alerts.smallest import hashed
from tingchao.alerts.story import Post, Story
from tingchao.alerts.windows import HOUR, TELLS
from tingchao.config.topics import Topic
from tingchao.pipeline.records import Mention

# Chosen on 28 topics with three incidents each that were written for it, and on hot titles on earthquakes, fires,
# floods and an air crash. Of 12 further incidents with 18 posts each 6 become alerts of their own, of 44 with about
# five posts 8, and nothing that goes on with the first one does; in the sentences of 266 reports on one accident
# each none is found either.
VOICES = 3  # that say the word, each in a text of its own
WITHIN = HOUR  # after it was first said
KNOWN = 8  # posts from which the first story goes by its words: where it is stands in few of the first ones
MARK = 0.2  # share of the posts before, from which a word is one by which their story goes ...
UNUSUAL = 2.0  # ... if it is so many times the share on calm days
SHARED = 1 / 3  # share of the posts with a new word, from which having such words makes them part of that story
HALF = 6 * HOUR  # after which a post counts half
ENDS = 24 * HOUR  # after which a story of which nobody tells is over, and its words are new again

_KEY = "@story/"
_OPEN = 200  # topics kept decoded
_WORDS = 500  # remembered; those longest unsaid go first
_NEW = 200  # words that are followed at a time, and ...
_POSTS = 100  # ... posts that have them
_STORIES = 4  # told apart at a time


class New(msgspec.Struct):
    """A word that nobody had said before."""

    first: int
    marks: list[int]  # words by which the stories went when it was first said
    posts: list[str] = []  # that have it, by id
    count: int = 0
    shared: int = 0  # of these those with a mark
    voices: list[str] = []  # up to `VOICES`, each with ...
    texts: list[str] = []  # ... a text of its own

    def add(self, post: Post) -> None:
        """A post that has the word."""
        self.posts = [*self.posts, post.mention.id][-_POSTS:]
        self.count += 1
        self.shared += not set(self.marks).isdisjoint(post.words)
        if len(self.voices) < VOICES and post.voice not in self.voices:
            bare = "".join(filter(str.isalnum, post.text.lower()))
            if not any(alike(bare, other) for other in self.texts):
                self.voices.append(post.voice)
                self.texts.append(bare)

    @property
    def is_another(self) -> bool:
        """Whether its posts tell of something else than what was told before."""
        return len(self.voices) >= VOICES and self.shared < SHARED * self.count


class _Topic(msgspec.Struct):
    """What is told of a topic."""

    last: int = 0
    posts: int = 0  # of the first story, and of what is told beside it now and then; older ones count less
    said: dict[int, tuple[int, int]] = {}  # word -> when it was last said, and in how many posts of the first story
    new: dict[int, New] = {}
    kept: dict[str, Post] = {}  # the posts that have new words
    stories: list[Story] = []
    fresh: bool = False  # whether something was told of one of them since that was asked

    def age(self, at: int) -> None:
        """Bring the counts to a time: what is told now and then is no story that goes by its words."""
        halves = at // HALF - self.last // HALF
        if self.last and halves > 0:
            self.posts >>= halves
            self.said = {word: (last, posts >> halves) for word, (last, posts) in self.said.items()}
        self.last = max(self.last, at)


class Stories:
    """The stories of the topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], topics: Sequence[Topic]) -> None:
        self._topics = Kept(memory, msgspec.msgpack.Decoder(_Topic).decode, _OPEN)
        self._calm = Calm(memory, topics)
        self._fresh = {
            key
            for key in list(memory)
            if key.startswith(_KEY) and "#" not in key and (known := self._topics.look(key)) is not None and known.fresh
        }

    def hear(self, mention: Mention, published: int, found: Sequence[tuple[int, int]]) -> None:
        """A mention that was counted, by event time (seconds), with `windows.weights`."""
        key = f"{_KEY}{mention.topic}"
        topic = self._topics.get(key)
        if not any(weight >= TELLS for _, weight in found):
            if topic is None or topic.posts < KNOWN or published > topic.last + ENDS:
                self._calm.learn(mention, published)
            return
        if topic is None or published > topic.last + ENDS:
            topic = self._topics.add(key, _Topic())
        if published < topic.last - ENDS:
            return  # of another time than what is told now
        self._topics.changed(key)
        topic.age(published)
        if self._told(topic, Post(published, mention, self._calm.words(mention))):
            topic.fresh = True
            self._fresh.add(key)

    def due(self) -> list[str]:
        """The topics with a story of which something was told since this was asked before, in order."""
        due, self._fresh = sorted(self._fresh), set()
        for key in due:
            if (topic := self._topics.get(key)) is not None:
                topic.fresh = False
                self._topics.changed(key)
        return [key.removeprefix(_KEY) for key in due]

    def of(self, topic: str) -> Sequence[Story]:
        """The stories of a topic beside the first one."""
        found = self._topics.get(f"{_KEY}{topic}")
        return () if found is None else found.stories

    def tell(self, topic: str, story: Story, rule: str, bucket: int, observed: float) -> None:
        """Remember that a rule was told of a story."""
        story.told[rule] = bucket, observed
        self._topics.changed(f"{_KEY}{topic}")

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._topics.save()
        self._calm.save()

    def _told(self, topic: _Topic, post: Post) -> bool:
        """Count a post with its story; whether that is one beside the first."""
        story = next((one for one in topic.stories if not set(one.words).isdisjoint(post.words)), None)
        if story is not None:
            story.add(post)
        else:
            story = _follow(topic, post, self._calm.of(post.mention.topic))
        _remember(topic, post, first=story is None)
        return story is not None


def _follow(topic: _Topic, post: Post, calm_days: calm.Words) -> Story | None:
    """Follow the new words of a post of no story that is known; the story that begins with them, if one does."""
    _forget(topic, post.at)
    unsaid = [word for word in post.words if word not in topic.said or post.at - topic.said[word][0] > ENDS]
    if unsaid and topic.posts >= KNOWN:
        marks = _marks(topic, calm_days)
        topic.new |= {word: New(post.at, marks) for word in unsaid[: _NEW - len(topic.new)]}
    having = [word for word in post.words if word in topic.new]
    for word in having:
        topic.new[word].add(post)
    if having:
        topic.kept[post.mention.id] = post
    ripe = [(topic.new[word].count, word) for word in having if topic.new[word].is_another]
    return _begun(topic, max(ripe)[1]) if ripe else None


def _forget(topic: _Topic, at: int) -> None:
    """Words that are no longer followed, and posts that have none of the others; of too many the oldest."""
    old = [word for word, new in topic.new.items() if at - new.first > WITHIN]
    for word in old:
        del topic.new[word]
    if old or len(topic.kept) > 2 * _POSTS:
        needed = {name for new in topic.new.values() for name in new.posts}
        topic.kept = {name: one for name, one in list(topic.kept.items())[-_POSTS:] if name in needed}


def _marks(topic: _Topic, calm_days: calm.Words) -> list[int]:
    """The words by which the stories go that are told already."""
    first = {word: posts for word, (_, posts) in topic.said.items()}
    told = [(first, topic.posts), *((story.said, story.event.posts) for story in topic.stories)]
    shares = [(word, many / posts) for said, posts in told for word, many in said.items() if many >= MARK * posts]
    return sorted({word for word, share in shares if share >= UNUSUAL * calm_days.share(word)})


def _begun(topic: _Topic, word: int) -> Story:
    """The story of the posts with a new word. It goes by the new words that half of them have."""
    posts = [topic.kept[name] for name in topic.new[word].posts if name in topic.kept]
    words = [other for other in topic.new if 2 * sum(other in one.words for one in posts) >= len(posts)]
    scope, first = posts[0].mention.topic, min(one.first for one in posts)
    name = f"{hashed(f'{scope} {first.id} {word}'):016x}"
    story = Story(Happening(name, scope, first, first.at, first.at), words)
    for one in posts:
        story.add(one)
    for other in words:
        del topic.new[other]
    topic.stories = [*topic.stories, story][-_STORIES:]
    return story


def _remember(topic: _Topic, post: Post, *, first: bool) -> None:
    """The words of a post are said; the first story goes by those that many of its posts have."""
    topic.posts += first
    for word in post.words:
        at, posts = topic.said.get(word, (0, 0))
        topic.said[word] = max(at, post.at), posts + first
    if len(topic.said) > _WORDS:
        for word in sorted(topic.said, key=lambda word: (topic.said[word], word))[: len(topic.said) - _WORDS // 2]:
            del topic.said[word]
