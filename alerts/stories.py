"""Another story within a topic: what happens while people still talk of something else, so that it is told by itself.

What happens somewhere else, or otherwise, has words of its own: a place, a thing. So where several voices begin within
an hour to say a word that nobody had said who told of a signal, and hardly any of their posts has a word by which the
first story goes, they tell another one. Which posts belong together by all their words (mixture.py) says it worse: of
eyewitnesses each has other words for the same.

State keys: `@story/topic`; see also calm.py.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence

import msgspec
from msgspec.structs import replace

from tingchao.alerts import shards
from tingchao.alerts.calm import Calm, Words
from tingchao.alerts.happening import Happening
from tingchao.alerts.hours import BASELINE
from tingchao.alerts.kept import Kept
from tingchao.alerts.likeness import alike
from tingchao.alerts.smallest import hashed, hashed_voice
from tingchao.alerts.story import Post, Story
from tingchao.alerts.texts import bare_of
from tingchao.alerts.windows import BUCKET, HOUR, tells
from tingchao.config.topics import Topic
from tingchao.pipeline.records import Evidence, Mention, full_text

# Chosen on 28 topics with three incidents each that were written for it, and on hot titles on earthquakes, fires,
# floods and an air crash. Of the 12 further incidents with 18 posts each 6 become alerts of their own, of 44 with
# about five posts 8, and of 28 first incidents one is told again; in the sentences of 266 reports on one accident each
# no other is found, and in 94 of 120 pairs of them the second is.
VOICES = 3  # that say the word, each in a text of its own
WITHIN = HOUR  # after it was first heard, by the clock: how late posts are read does not matter then
KNOWN = 6  # posts from which the first story goes by its words: where it is stands in few of the first ones
MARK = 0.2  # share of the posts before, from which a word is one by which their story goes ...
UNUSUAL = 2.0  # ... if it is so many times the share on calm days
SHARED = 1 / 3  # share of the posts with a new word, from which having such words makes them part of that story
HALF = 6 * HOUR  # after which a post counts half
ENDS = 24 * HOUR  # after which a story of which nobody tells is over, and its words are new again

_KEY = "@story/"
_OPEN = 50  # topics kept decoded
_WORDS = 1_000  # remembered; those longest unsaid go first
_NEW = 1_000  # words that are followed at a time; of too many go those of one voice, the oldest first
_POSTS = 60  # that have new words, and of one word
_STORIES = 4  # told apart at a time
_ALL = 1_000  # posts of five minutes that are read; in a flood, of those after them ...
_SAMPLE = 16  # ... one in so many


class New(msgspec.Struct, array_like=True):
    """A word that nobody had said before."""

    first: int  # seconds, by the clock
    posts: list[str] = []  # the newest that have it, by id
    tellers: list[str] = []  # up to `VOICES` of them, by different voices in words of their own
    count: int = 0  # of posts that have it
    shared: int = 0  # of these those with a word by which the stories went when it was first said

    @property
    def is_another(self) -> bool:
        """Whether its posts tell of something else than what was told before."""
        return len(self.tellers) >= VOICES and self.shared < SHARED * self.count


class _Topic(msgspec.Struct):
    """What is told of a topic."""

    last: int = 0
    halved: int = 0  # when counts were last halved
    posts: int = 0  # of the first story, and of what is told beside it now and then; older ones count less
    known: bool = False  # whether there were so many of them that it goes by its words
    said: dict[int, tuple[int, int]] = {}  # word -> when it was last said, and in how many posts of the first story
    bucket: int = 0  # the newest, by the clock, and ...
    heard: int = 0  # ... how many were read in it
    marks: dict[int, list[int]] = {}  # bucket of the last hour, by the clock -> words by which the stories went
    new: dict[int, New] = {}
    kept: dict[str, Post] = {}  # the posts that have new words
    stories: list[Story] = []
    fresh: bool = False  # whether something was told of one of them since that was asked

    def age(self, at: int) -> None:
        """Bring the counts to a time: what is told now and then is no story that goes by its words."""
        self.halved = self.halved or at
        halves = max(0, at - self.halved) // HALF
        if halves:
            self.halved += halves * HALF
            self.posts >>= halves
            self.said = {word: (last, posts >> halves) for word, (last, posts) in self.said.items()}
        self.last = max(self.last, at)
        self.stories = [story for story in self.stories if at - story.event.last <= ENDS]


class Stories:
    """The stories of the topics of one partition."""

    def __init__(self, memory: MutableMapping[str, bytes], topics: Sequence[Topic]) -> None:
        self._topics = Kept(memory, msgspec.msgpack.Decoder(_Topic).decode, _OPEN)
        self._calm = Calm(memory, topics)
        self._fresh: set[str] = set()
        self._going: dict[str, tuple[int, bool]] = {}  # what is asked with each post: `last` and `known`
        for key in shards.keys(memory, _KEY):
            if (topic := self._topics.look(key)) is not None:
                self._going[key] = topic.last, topic.known
                if topic.fresh:
                    self._fresh.add(key)

    def hear(self, mention: Mention, published: int, at: int, found: Sequence[tuple[int, int]]) -> None:
        """A mention that was counted, by event time and the clock (seconds), with `windows.weights`."""
        key = f"{_KEY}{mention.topic}"
        last, known = self._going.get(key, (-ENDS, False))
        over = published > last + ENDS
        if not tells(found):
            if over or not known:
                self._calm.learn(mention.topic, published, full_text(mention.title, mention.excerpt))
            return
        if published < last - ENDS:
            return  # of another time than what is told now
        topic = None if over else self._topics.get(key)
        topic = topic or self._topics.add(key, _Topic())
        self._topics.changed(key)
        topic.age(published)
        if at // BUCKET > topic.bucket:
            topic.bucket, topic.heard = at // BUCKET, 0
            _forget(topic, at)
        topic.heard += 1
        read = topic.heard <= _ALL or hashed(mention.id) % _SAMPLE == 0
        if read and self._told(topic, self._post(mention, published), at):
            topic.fresh = True
            self._fresh.add(key)
        self._going[key] = topic.last, topic.known

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

    def tells(self, topic: str, post: Evidence) -> bool:
        """Whether a post that may be shown is of a story beside the first one."""
        stories = self.of(topic)
        if not stories:
            return False
        words = set(self._calm.words(topic, bare_of(full_text(post.title, post.excerpt))))
        return any(not words.isdisjoint(story.words) for story in stories)

    def tell(self, topic: str, story: Story, rule: str, bucket: int, observed: float) -> None:
        """Remember that a rule was told of a story."""
        story.told[rule] = bucket, observed
        self._topics.changed(f"{_KEY}{topic}")

    def drop(self, before: int) -> None:
        """Forget topics of which nobody has told since `before` (seconds), and words of calm days four weeks later."""
        for key in [key for key, (last, _) in self._going.items() if last < before]:
            del self._going[key]
            self._fresh.discard(key)
            self._topics.drop(key)
        self._calm.drop(before - BASELINE * HOUR)

    def save(self) -> None:
        """Write what changed into the keyed state."""
        self._topics.save()
        self._calm.save()

    def _post(self, mention: Mention, published: int) -> Post:
        bare = bare_of(full_text(mention.title, mention.excerpt))
        voice = hashed_voice(mention.voice or mention.source)
        return Post(published, replace(mention, voice=""), voice, bare, self._calm.words(mention.topic, bare))

    def _told(self, topic: _Topic, post: Post, at: int) -> bool:
        """Count a post with its story; whether that is one beside the first."""
        story = next((one for one in topic.stories if not set(one.words).isdisjoint(post.words)), None)
        if story is not None:
            story.add(post)
        else:
            story = _follow(topic, post, at, self._calm)
        _remember(topic, post, first=story is None)
        return story is not None


def _follow(topic: _Topic, post: Post, at: int, calm: Calm) -> Story | None:
    """Follow the new words of a post of no story that is known; the story that begins with them, if one does."""
    unsaid = [word for word in post.words if word not in topic.said or post.at - topic.said[word][0] > ENDS]
    if unsaid and topic.known:
        if at // BUCKET not in topic.marks:
            topic.marks[at // BUCKET] = _marks(topic, calm.of(post.mention.topic))
        topic.new |= {word: New(at) for word in unsaid}
    having = [word for word in post.words if word in topic.new]
    if not having:
        return None
    topic.kept[post.mention.id] = post
    shared = {number for number, marks in topic.marks.items() if not set(marks).isdisjoint(post.words)}
    for word in having:
        new = topic.new[word]
        new.count += 1
        new.shared += new.first // BUCKET in shared
        new.posts = [*new.posts, post.mention.id][-_POSTS:]
        if len(new.tellers) < VOICES and _is_independent(post, [topic.kept[name] for name in new.tellers]):
            new.tellers.append(post.mention.id)
    ripe = [(topic.new[word].count, word) for word in having if topic.new[word].is_another]
    story = _begun(topic, max(ripe)[1]) if ripe else None
    _bound(topic)
    return story


def _is_independent(post: Post, others: Iterable[Post]) -> bool:
    return all(post.voice != other.voice and not alike(post.bare, other.bare) for other in others)


def _forget(topic: _Topic, at: int) -> None:
    """Words that are no longer followed, and posts that have none of the others; asked once a bucket."""
    topic.new = {word: new for word, new in topic.new.items() if at - new.first <= WITHIN}
    topic.marks = {bucket: marks for bucket, marks in topic.marks.items() if at - (bucket + 1) * BUCKET <= WITHIN}
    _keep_posts(topic)


def _bound(topic: _Topic) -> None:
    """Of too many words, or posts that have some, the oldest go, first those of one voice."""
    if len(topic.new) > _NEW:
        kept = sorted(topic.new, key=lambda word: (len(topic.new[word].tellers) > 1, topic.new[word].first, word))
        topic.new = {word: topic.new[word] for word in kept[-_NEW // 2 :]}
    elif len(topic.kept) <= 2 * _POSTS:
        return
    _keep_posts(topic)


def _keep_posts(topic: _Topic) -> None:
    """Posts that have a new word: those with one of several voices, and the newest of the others."""
    needed = {name for new in topic.new.values() if len(new.tellers) > 1 for name in new.tellers}
    others = {name for new in topic.new.values() for name in new.posts} - needed
    needed |= set([name for name in topic.kept if name in others][-_POSTS:])
    topic.kept = {name: post for name, post in topic.kept.items() if name in needed}
    for word, new in list(topic.new.items()):
        new.posts = [name for name in new.posts if name in topic.kept]
        if not all(name in topic.kept for name in new.tellers):
            del topic.new[word]


def _marks(topic: _Topic, calm_days: Words) -> list[int]:
    """The words by which the stories go that are told already."""
    first = {word: posts for word, (_, posts) in topic.said.items()}
    told = [(first, topic.posts), *((story.said, story.event.posts) for story in topic.stories)]
    shares = [(word, n / posts) for said, posts in told for word, n in said.items() if n > 1 and n >= MARK * posts]
    return sorted({word for word, share in shares if share >= UNUSUAL * calm_days.share(word)})


def _begun(topic: _Topic, word: int) -> Story:
    """The story of the posts with a new word. It goes by the new words that half of them have."""
    posts = [topic.kept[name] for name in topic.kept if name in {*topic.new[word].posts, *topic.new[word].tellers}]
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
    topic.known = topic.known or topic.posts >= KNOWN
    for word in post.words:
        at, posts = topic.said.get(word, (0, 0))
        topic.said[word] = max(at, post.at), posts + first
    if len(topic.said) > _WORDS:
        for word in sorted(topic.said, key=lambda word: (topic.said[word], word))[: len(topic.said) - _WORDS // 2]:
            del topic.said[word]
