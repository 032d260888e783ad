"""The few records that travel: typed, immutable, JSON on the wire with a version.

Readers ignore fields that they do not know and accept the previous version (fields are only ever added, with a
default). No record has an author: whoever wrote a post is at most a `voice` (see `voice.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from tingchao.models.scores import Scores
from tingchao.pipeline.clock import millis
from tingchao.pipeline.errors import Poison

VERSION = 1


# A time without a zone would be read as another one on another machine: it is refused at the border.
Aware = Annotated[datetime, msgspec.Meta(tz=True)]


def _current() -> int:
    return VERSION


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every record has: the version of its form."""

    # By a factory, so that omit_defaults does not leave it out: a version must stand in each record.
    v: int = msgspec.field(default_factory=_current)


# Head -> the words and phrases that moved it, strongest first, each with its change in log-odds: above 0 for the head,
# below 0 against it.
Why = dict[str, tuple[tuple[str, float], ...]]


class Counts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Engagement as the source last showed it; None = not shown."""

    reads: int | None = None
    likes: int | None = None
    comments: int | None = None
    reposts: int | None = None


class Post(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One public post or article, with personal data masked.

    A re-crawl gives the same `id` with a later `fetched_at`: a new revision of the same post.
    """

    id: str  # hash of source and canonical URL, 16 bytes as hex (see ids.py)
    source: str  # the name in sources.toml, or what ingest was told
    kind: str = "post"  # news, post, forum, notice, ...
    url: str = ""
    title: str = ""
    text: str = ""
    published_at: Aware  # never later than fetched_at
    fetched_at: Aware
    counts: Counts = Counts()
    voice: str = ""  # 64 bits as hex; never leaves the log
    flags: tuple[str, ...] = ()  # what a reader had to assume: no_time, no_zone, future, cut, ...

    @property
    def revision(self) -> int:
        """Milliseconds of the fetch: the greater one is the newer form of the post."""
        return millis(self.fetched_at)


class Scored(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A Post and what the models say of it. No event: scoring is stateless."""

    post: Post
    scores: Scores
    topics: tuple[str, ...] = ()
    signature: str = ""  # equal for texts that differ only in spacing, punctuation or case
    model: str = ""  # version of the models that scored it


class Mention(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What watch and an alert need of a Scored, for one topic; keyed by that topic."""

    topic: str
    id: str
    published_at: Aware
    fetched_at: Aware
    source: str
    voice: str
    title: str = ""
    url: str = ""
    excerpt: str = ""  # the first EXCERPT characters
    scores: Scores
    # "topic" -> the topic's own words, where no word speaks for a head; records of before: head -> words for it.
    words: dict[str, tuple[str, ...]] = {}
    why: Why = {}  # of the heads that stand out
    counts: Counts = Counts()
    signature: str = ""
    sketch: str = ""  # what alike texts share most of (shingles.sketches)

    @property
    def revision(self) -> int:
        return millis(self.fetched_at)


EXCERPT = 280  # characters of a post that travel with a mention


class Tick(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The clock, written into a partition: timers fire on ticks only, so a replay sees the same ones."""

    at: Aware
    unread: tuple[int, ...] | None = None  # to `watch`: of the last days, the hours in which no source was read
    ill: dict[str, int] = {}  # beside `unread`: sources that fail or are silent, each with the first hour of it


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A post that an alert shows."""

    id: str
    source: str
    published_at: Aware
    fetched_at: Aware | None = None
    title: str = ""
    url: str = ""
    excerpt: str = ""
    negative: float = 0.0
    signals: dict[str, float] = {}  # the likely ones with their probability
    words: tuple[str, ...] = ()  # for the heads, strongest first; where none stands out, those of the topic
    why: Why = {}  # of the heads that stand out
    role: Literal["first", "strong"] = "strong"


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a rule fired: what was seen in a window against what was expected."""

    rule: str  # its name in rules.toml
    kind: str  # that of the rule (config/rules.py); of sickly sources those of alerts/sources.py
    signal: str = ""
    start: Aware
    end: Aware
    observed: float
    threshold: float | None = None
    expected: float | None = None  # from the topic's own baseline; None during a cold start
    p: float | None = None  # chance of at least `observed` if nothing had changed
    detail: str = ""  # of a source: outcome, outcome:status, or what became what


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One happening of a topic that many posts tell of; its numbers are of the whole event so far."""

    id: str
    first: str  # the id of its first post
    first_source: str
    first_at: Aware
    last_at: Aware
    hours: float = 0.0  # from the first post to the last
    posts: int
    in_window: int = 0  # posts of it in the window of the candidate
    texts: int  # posts in words of their own
    voices: int
    independent: int  # voices that told it in words of their own: five hundred reposts of one text are one
    repost_share: float = 0.0  # share of posts that repeat another, 0-1
    sources: dict[str, int] = {}
    peak: int = 0  # posts an hour, in its fastest five minutes
    negative_share: float = 0.0  # of its posts
    severity: float = 0.0  # of the gravest post that may tell of a signal, 0-3
    signals: dict[str, float] = {}  # expected number of texts in words of their own with a signal
    reactions: int = 0  # likes, comments and reposts that its posts were seen to gain
    reactions_peak: int = 0  # reactions an hour, in its fastest five minutes
    marks: str = ""  # the smallest hashes of its texts, by which it is known again under another topic


class Candidate(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A rule that holds for a topic in a window, with its statistics; decide makes alerts of candidates."""

    topic: str
    reason: Reason
    level: int  # 1 notice, 2 warning, 3 grave
    sure: float  # chance that it is real, 0-1
    posts: int
    voices: int
    sources: dict[str, int] = {}
    negative_share: float = 0.0
    severity: float = 0.0  # of the gravest text that may tell of a signal, 0-3
    signals: dict[str, float] = {}  # expected number of posts with a signal, in the window
    evidence: tuple[Evidence, ...] = ()
    curve: tuple[int, ...] = ()  # posts per bucket, oldest first, ending with the window
    bucket: int = 0  # seconds of a bucket of the curve
    event: Event | None = None  # what most of the window is about
    alone: bool = False  # it tells of this event only, another story than the first one; all numbers are of it
    quiet: float = 0.0  # seconds without news after which its alert ends; 0: as the settings say
    over: bool = False  # it no longer holds, so that its alert need not wait for the quiet


State = Literal["open", "acknowledged", "in_hand", "resolved", "false_alarm", "past"]
ACTIVE: frozenset[State] = frozenset({"open", "acknowledged", "in_hand"})


Judgement = Literal["true_alarm", "false_alarm", "wrong_signal"]


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an alert's history."""

    at: Aware
    what: str  # opened, updated, raised, acknowledged, in_hand, resolved, false_alarm, reopened, quiet, judged
    note: str = ""
    verdict: Judgement | None = None  # of a line `judged`
    post: str = ""  # the post that was judged; '' = the alert as a whole


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What decide says of an alert to one channel: it may be told, or why it is not told now."""

    receiver: str  # the channel's name
    route: str = ""  # the place in routes.toml
    group: str = ""  # what shares a group goes out in one message; '' = the alert goes alone
    why: str = ""  # '' = it may be told; else silenced, inhibited, muted, group_wait, group_interval, ...
    by: str = ""  # the silence, alert or time interval that holds it back
    until: Aware | None = None  # when that ends, if it is known
    news: str = ""  # what the channel was last let know: `active LEVEL`, resolved or false_alarm
    at: Aware | None = None  # since when
    round: int = 0  # counts the repetitions
    digest: bool = False  # told late, with others that the budget had held back


class Alert(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What, why now, how sure, the evidence and the state. Each change is a new record under the same id."""

    id: str
    number: int  # counts the changes; a greater one is newer
    topic: str
    title: str  # the topic's title at the time
    state: State
    level: int
    sure: float
    since: Aware  # event time: the start of the first window
    until: Aware  # event time: the end of the newest window
    opened_at: Aware  # clock
    updated_at: Aware
    reasons: tuple[Reason, ...]
    posts: int
    voices: int
    sources: dict[str, int] = {}
    negative_share: float = 0.0
    severity: float = 0.0
    signals: dict[str, float] = {}
    evidence: tuple[Evidence, ...] = ()
    curve: tuple[int, ...] = ()
    bucket: int = 0
    event: Event | None = None  # the newest that a window was about
    apart: bool = False  # it tells of another incident than what else is told of the topic
    topics: tuple[str, ...] = ()  # others under which the same event was found
    history: tuple[Change, ...] = ()
    verdict: Judgement | None = None  # of staff, on the alert as a whole; the newest one stands
    judged: dict[str, Judgement] = {}  # posts judged one by one, by id
    deliveries: tuple[Delivery, ...] | None = None  # one a channel that it is routed to; None = not routed: to all


class Silence(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Alerts that fit all matchers are not sent from `starts_at` on, up to but without `ends_at`."""

    id: str
    matchers: tuple[str, ...]  # as in routes.toml
    starts_at: Aware
    ends_at: Aware
    comment: str = ""


class Command(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What staff did, from a page or the command line on any machine."""

    id: str
    alert: str  # '' for the actions silence and expire
    action: Literal["acknowledge", "in_hand", "resolve", "false_alarm", "reopen", "verdict", "silence", "expire"]
    note: str = ""
    verdict: Judgement | None = None  # of an action `verdict`
    example: Verdict | None = None  # of a post judged by itself: what a model may learn from it
    silence: Silence | None = None  # of the actions silence and expire


class Verdict(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A post that staff judged, as an example to learn from: keyed by post, the newest one stands.

    It says nothing of who judged and holds no note: those stay in the alert's history. No author, no voice.
    """

    post: str
    alert: str
    at: Aware  # of the judgement
    verdict: Judgement
    signals: tuple[str, ...] = ()  # all that the post tells of; no other one
    text: str = ""  # title and text as they were scored, masked


class Fetch(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt at a source: what was asked, what came, what was decided. Keyed by source."""

    source: str
    url: str
    at: Aware
    outcome: str  # ok, unchanged, robots, timeout, status, empty, login, too_large, not_a_feed, offline, ...
    status: int = 0
    items: int = 0  # posts published from it
    charset: str = ""
    robots: str = ""  # allowed, disallowed, unavailable (and which answer)
    message: str = ""  # one line for people
    next_at: Aware | None = None


FINE = frozenset({"ok", "unchanged"})  # outcomes of a visit that brought what there was


class Job(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A visit that is due. Keyed by the site, so that one process at a time asks it."""

    source: str
    planned_at: Aware


class Dead(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What can never work, set aside. What fails before masking is kept without its content."""

    id: str
    stage: str
    reason: str
    error: str
    at: Aware
    origin: str = ""  # topic and offset, file and line, or URL
    topic: str = ""  # where a replay puts it back; '' = there is no content to replay
    key: str = ""
    value: str = ""  # the record as it was read
    hash: str = ""  # of content that is not kept
    replayed_at: Aware | None = None


TOPICS: dict[str, type[Record]] = {
    "posts": Post,
    "posts_backfill": Post,
    "scored": Scored,
    "mentions": Mention,
    "candidates": Candidate,
    "commands": Command,
    "alerts": Alert,
    "verdicts": Verdict,
    "silences": Silence,
    "dead": Dead,
    "fetches": Fetch,
    "jobs": Job,
    "clock": Tick,
}
COMPACTED = frozenset({"alerts", "verdicts", "silences", "dead", "fetches"})  # the newest record of a key stands for it
BACKFILL = frozenset({"posts_backfill"})  # read only when the reader's other topics have nothing: old posts can wait
TICK_KEY = "@tick"

_KINDS: tuple[type[Record], ...] = (*TOPICS.values(), Tick)
_decoders: dict[type[Record], msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(kind) for kind in _KINDS}
_encoder = msgspec.json.Encoder()
T = TypeVar("T", bound=Record)


def full_text(title: str, text: str) -> str:
    """What is read of a post, or of its excerpt: title and text, the title once."""
    return text if text.startswith(title) else f"{title}\n{text}"


def in_one_line(title: str, text: str) -> str:
    """The same for people, however many lines it has."""
    return " ".join(full_text(title, text).split())


def encode(record: Record) -> bytes:
    """The record as JSON."""
    return _encoder.encode(record)


def decode(kind: type[T], value: bytes) -> T:
    """The record in `value`. Raises Poison when it is not one of this kind in a version that is known."""
    try:
        record: T = _decoders[kind].decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Poison("record.malformed", f"expected a {kind.__name__} as JSON, got: {err}") from err
    if not VERSION - 1 <= record.v <= VERSION:
        raise Poison(
            "record.version",
            f"{kind.__name__} has version {record.v}, this program reads {VERSION - 1} and {VERSION}: update it",
        )
    return record
