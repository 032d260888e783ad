"""An alert becomes what a person reads: why now, what, how sure, who speaks, the posts, and what is not known.

The same facts as JSON have stable names. Neither names a voice or an author: voices are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import msgspec

from tingchao.alerts.absence import silent_sources
from tingchao.alerts.precedents import Precedent
from tingchao.alerts.representatives import representatives
from tingchao.alerts.sources import FAILING, about_sources
from tingchao.alerts.windows import OTHERS, SURE
from tingchao.config.language import catalogue, text
from tingchao.config.signals import head_name
from tingchao.pipeline.records import ACTIVE, Alert, Evidence, Reason, in_one_line
from tingchao.pipeline.times import local

_SHOWN = 0.5  # expected posts with a signal from which it is named
_SOURCES = 5  # named in a sentence
_HEADS, _FOR, _AGAINST = 3, 8, 5  # heads that are explained, and words and phrases for and against each
_EXCERPT = 120  # characters of a post that stand in a card
_COLUMNS = 60  # of the curve in text, so that it fits on a phone's line of mail
_BLOCKS = "▁▂▃▄▅▆▇█"
_TINY = 0.0001  # a smaller p is given as "below"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a card: a stable name, a heading and plain sentences."""

    name: str  # why, curve, what, sure, who, evidence, precedents, unknown, held
    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """An alert in sentences."""

    headline: str
    sections: tuple[Section, ...]


def headline(alert: Alert, language: str) -> str:
    """What the alert is about, in one line."""
    reason = min(alert.reasons, key=_weight)
    facts = _facts(reason, alert.updated_at, language)
    if _measured(reason) == "absence_source":
        mute = silent_sources(alert.reasons)
        shortest = min(one.end - one.start for one in mute)
        facts |= {"detail": _named([one.detail for one in mute], language), "window": _length(shortest, language)}
    line = text(f"alert.headline.{_kind(reason)}", language, title=alert.title, **facts)
    return text("alert.headline.apart", language, headline=line) if alert.apart else line


def card(alert: Alert, language: str, before: Sequence[Precedent] = ()) -> Card:
    """The alert in sentences; a section without any is left out. `before`: see `precedents`."""
    past = [_precedent(one, language) for one in before]
    parts = (
        {
            "why": _why(alert, language),
            "precedents": iter(past),
            "unknown": _unread(alert, language),
            "held": _held(alert, language),
        }
        if about_sources(alert)
        else {
            "why": _why(alert, language),
            "curve": _curve(alert, language),
            "what": _what(alert, language),
            "sure": _sure(alert, language),
            "who": chain(_who(alert, language), _event(alert, language)),
            "evidence": (_post(number, one, alert, language) for number, one in representatives(alert.evidence)),
            "precedents": iter(past),
            "unknown": _unknown(alert, language),
            "held": _held(alert, language),
        }
    )
    sections = (
        Section(name, text(f"alert.section.{name}", language), found)
        for name, lines in parts.items()
        if (found := tuple(lines))
    )
    return Card(headline(alert, language), tuple(sections))


def as_text(alert: Alert, language: str, before: Sequence[Precedent] = ()) -> str:
    """The card as lines of text, with id, level and state."""
    shown = card(alert, language, before)
    state = text(
        "alert.state",
        language,
        id=alert.id,
        level=text(f"notify.level.{alert.level}", language),
        state=text(f"cli.state.{alert.state}", language),
        opened=local(alert.opened_at),
    )
    lines = [shown.headline, state]
    for section in shown.sections:
        lines += ["", section.heading, *(f"  {line}" for line in section.lines)]
    return "\n".join(lines)


def as_json(alert: Alert, before: Sequence[Precedent] | None = None) -> dict[str, Any]:
    """The same facts as JSON values. Every field is always there; times are ISO 8601 in UTC, shares 0-1.

    `precedents` is null where nobody looked for any; `representatives` are ids of posts in `evidence`.
    """
    found = _plain(alert)
    assert isinstance(found, dict)
    del found["v"]
    found["curve"] = {"bucket_seconds": alert.bucket, "posts": list(alert.curve)}
    del found["bucket"]
    found["representatives"] = [one.id for _, one in representatives(alert.evidence)]
    found["precedents"] = None if before is None else [_plain(one) for one in before]
    if found["event"] is not None:
        del found["event"]["marks"]
    return found


def _plain(value: object) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def _weight(reason: Reason) -> tuple[int, float]:
    """Signals say most of what happens, then how many, then in what mood; of equal kinds the one furthest above."""
    order = {"signal": 0, "count": 1, "sources": 2, "severity": 3, "engagement": 4, "negative_share": 5}
    basis = reason.threshold or reason.expected or 1.0
    return order.get(reason.kind, len(order)), -reason.observed / basis


def _kind(reason: Reason) -> str:
    return f"{reason.kind}_cold" if reason.kind == "count" and reason.expected is None else _measured(reason)


def _measured(reason: Reason) -> str:
    if reason.kind == "absence" and reason.detail:
        return "absence_source"
    return "event_signal" if reason.kind == "event" and reason.signal else reason.kind


def _named(names: Sequence[str], language: str) -> str:
    """The first of several names, and how many there are."""
    different = list(dict.fromkeys(names))
    shown = text("alert.comma", language).join(different[:_SOURCES])
    more = len(different) > _SOURCES
    return text("alert.and_more", language, shown=shown, all=len(different)) if more else shown


def _facts(reason: Reason, seen: datetime, language: str) -> dict[str, object]:
    """What sentences about a reason are filled with."""
    share = reason.kind == "negative_share"

    def number(value: float | None) -> str:
        if value is None:
            return ""
        if share:
            return f"{value:.0%}"
        if value < 1:
            return f"{value:.2g}"
        return f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")

    return {
        "window": _length(reason.end - reason.start, language),
        "start": local(reason.start),
        "end": local(min(reason.end, seen)),  # a window goes to the end of its bucket, up to 5 minutes ahead
        "observed": number(reason.observed),
        "expected": number(reason.expected),
        "threshold": number(reason.threshold),
        "signal": text(f"signal.{reason.signal}", language) if reason.signal else "",
        "rule": reason.rule,
        "detail": _detail(reason.detail, language),
    }


def _unread(alert: Alert, language: str) -> Iterator[str]:
    """What does not follow, where the source cannot be read; a new charset says nothing of that."""
    if any(reason.kind in FAILING for reason in alert.reasons):
        yield text("alert.unknown.source", language)


def _detail(detail: str, language: str) -> str:
    """What is wrong with a source: a line of the crawler, or what became what."""
    outcome, _, status = detail.partition(":")
    known = f"crawl.{outcome}"
    return text(known, language, status=status, detail="", items=0) if known in catalogue() else detail


def _length(length: timedelta, language: str) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes % 60:
        return text("alert.minutes", language, number=minutes)
    return text("alert.hour" if minutes == 60 else "alert.hours", language, number=minutes // 60)


def _why(alert: Alert, language: str) -> Iterator[str]:
    for reason in sorted(alert.reasons, key=_weight):
        facts = _facts(reason, alert.updated_at, language)
        parts = [text(f"alert.why.{_measured(reason)}", language, **facts)]
        if reason.threshold is not None:
            silence = "_absence" if reason.kind == "absence" else ""
            parts.append(text(f"alert.why.threshold{silence}", language, **facts))
        if reason.expected is not None:
            parts.append(text("alert.why.expected", language, **facts))
        if reason.p is not None:
            few = "_few" if reason.kind == "source_quiet" else ""
            tiny = "_tiny" if reason.p < _TINY else ""
            parts.append(text(f"alert.why.p{few}{tiny}", language, p=f"{reason.p:.2g}"))
        yield text("alert.join", language).join(parts) + text("alert.stop", language)
    # A source, and a silence, have been told of since when.
    if not about_sources(alert) and any(reason.kind != "absence" for reason in alert.reasons):
        until = local(min(alert.until, alert.updated_at))
        # A window begins before what it is about.
        began = max(alert.since, alert.event.first_at) if alert.event else alert.since
        yield text("alert.why.since", language, since=local(began), until=until)
    if alert.state == "past":
        yield text("alert.why.past", language, opened=local(alert.opened_at))


def sparkline(curve: Sequence[int]) -> str:
    """Posts per bucket as blocks, oldest first; the largest of neighbours where there are more than fit on a line."""
    together = -(-len(curve) // _COLUMNS)  # buckets a column
    peaks = [max(curve[at : at + together]) for at in range(0, len(curve), together or 1)]
    most = max(peaks, default=0)
    # A bucket with one post differs from one without, and only the greatest is a full block.
    return "".join(_BLOCKS[-(-value * (len(_BLOCKS) - 1) // most) if most else 0] for value in peaks)


def _curve(alert: Alert, language: str) -> Iterator[str]:
    if alert.curve and alert.bucket:
        length = _length(timedelta(seconds=alert.bucket * len(alert.curve)), language)
        step = _length(timedelta(seconds=alert.bucket), language)
        line, most = sparkline(alert.curve), max(alert.curve)
        yield text("alert.curve", language, line=line, length=length, step=step, most=most)


def _precedent(one: Precedent, language: str) -> str:
    """One line: when, what, how it ended, what was done, and what staff wrote."""
    comma = text("alert.comma", language)
    parts = [f"{local(one.since)} {one.title}", text(f"notify.level.{one.level}", language)]
    parts.append(text("alert.precedent.quiet" if one.by_itself else f"cli.state.{one.state}", language))
    if one.state == "past":
        parts[-1] = text("cli.state.past", language)
    if one.done:
        done = comma.join(text(f"page.change.{what}", language) for what in one.done)
        parts.append(text("alert.precedent.done", language, done=done))
    if one.verdict:
        parts.append(text("alert.precedent.verdict", language, verdict=text(f"cli.verdict.{one.verdict}", language)))
    if one.note:
        parts.append(text("alert.precedent.note", language, note=" ".join(one.note.split())))
    return " · ".join([*parts, text("alert.precedent.like", language, share=f"{one.similarity:.0%}", id=one.id[:8])])


def _what(alert: Alert, language: str) -> Iterator[str]:
    likely = _signals(alert.signals, "alert.what.signal", language)
    yield from likely
    if not likely:
        yield text("alert.what.none", language)
    yield from _words(alert, language)
    if likely:
        yield text("alert.what.severity", language, severity=f"{alert.severity:.1f}")
    yield text("alert.what.negative", language, share=f"{alert.negative_share:.0%}")


def _words(alert: Alert, language: str) -> Iterator[str]:
    """What moved the heads that stand out in the posts shown, strongest first: for them, and against them.

    A word counts as in the post where it moved most. Without such, as in alerts of before, the words of the posts.
    """
    moved: dict[str, dict[str, float]] = {}
    for one in alert.evidence:
        for head, found in one.why.items():
            most = moved.setdefault(head, {})
            most.update({word: change for word, change in found if abs(change) > abs(most.get(word, 0.0))})
    comma = text("alert.comma", language)
    if not moved:
        words = list(dict.fromkeys(word for one in alert.evidence for word in one.words))
        if words:
            yield text("alert.what.words", language, words=comma.join(words[:_FOR]))
        return
    asked = {reason.signal for reason in alert.reasons}
    heads = sorted(moved, key=lambda head: (head not in asked, -alert.signals.get(head, 0.0), head))
    for head in heads[:_HEADS]:
        name = head_name(head, language)
        ordered = sorted(moved[head].items(), key=lambda item: (-abs(item[1]), item[0]))
        above, below = (
            [word for word, change in ordered if change > 0],
            [word for word, change in ordered if change < 0],
        )
        if above:
            yield text("alert.what.for", language, head=name, words=comma.join(above[:_FOR]))
        if below:
            yield text("alert.what.against", language, head=name, words=comma.join(below[:_AGAINST]))


def _signals(masses: Mapping[str, float], key: str, language: str) -> list[str]:
    """A sentence for each signal that stands out, the most first."""
    told = sorted((item for item in masses.items() if item[1] >= _SHOWN), key=lambda item: -item[1])
    return [text(key, language, signal=text(f"signal.{name}", language), mass=f"{mass:.1f}") for name, mass in told]


def _sure(alert: Alert, language: str) -> Iterator[str]:
    kind = "signal" if any(reason.signal for reason in alert.reasons) else "count"
    yield text(f"alert.sure.{kind}", language, sure=f"{alert.sure:.0%}")
    if alert.verdict:
        yield text("alert.sure.verdict", language, verdict=text(f"cli.verdict.{alert.verdict}", language))
    if alert.sure >= SURE:
        yield text("alert.sure.cap", language)


def _who(alert: Alert, language: str) -> Iterator[str]:
    yield text("alert.who.count", language, posts=alert.posts, voices=alert.voices)
    named = [(source, posts) for source, posts in alert.sources.items() if source != OTHERS]
    if named:
        first = text("alert.comma", language).join(f"{source} {posts}" for source, posts in named[:_SOURCES])
        more = len(named) > _SOURCES or OTHERS in alert.sources
        yield text("alert.who.more" if more else "alert.who.sources", language, sources=first)


def _event(alert: Alert, language: str) -> Iterator[str]:
    event = alert.event
    if event is None:
        return
    yield text(
        "alert.who.event",
        language,
        posts=event.posts,
        independent=event.independent,
        share=f"{event.repost_share:.0%}",
        first=local(event.first_at),
        source=event.first_source,
    )
    parts = [text("alert.who.event_negative", language, share=f"{event.negative_share:.0%}")]
    parts += _signals(event.signals, "alert.who.event_signal", language)
    if event.reactions:
        parts.append(text("alert.who.event_reactions", language, reactions=event.reactions, peak=event.reactions_peak))
    yield text("alert.who.of_event", language) + text("alert.join", language).join(parts) + text("alert.stop", language)
    if alert.topics:
        yield text("alert.who.topics", language, topics=text("alert.comma", language).join(alert.topics))


def _post(number: int, one: Evidence, alert: Alert, language: str) -> str:
    """One post on one line; its number is what `tingchao alerts verdict --post` takes."""
    said = in_one_line(one.title, one.excerpt)
    said = said if len(said) <= _EXCERPT else said[: _EXCERPT - 1] + "…"
    signals = (
        f"{text(f'signal.{name}', language)} {p:.0%}" for name, p in sorted(one.signals.items(), key=lambda i: -i[1])
    )
    found = text("alert.comma", language).join(signals)
    verdict = alert.judged.get(one.id)
    marks = [str(number), *([text("alert.post.first", language)] if one.role == "first" else [])]
    marks += [text(f"cli.verdict.{verdict}", language)] if verdict else []
    marks += [local(one.published_at), one.source, *([found] if found else [])]
    return " · ".join(marks) + text("alert.colon", language) + said + (f" {one.url}" if one.url else "")


def _unknown(alert: Alert, language: str) -> Iterator[str]:
    yield text("alert.unknown.true", language)
    if all(reason.expected is None for reason in alert.reasons):
        yield text("alert.unknown.cold", language)
    if alert.voices <= len(alert.sources):
        yield text("alert.unknown.voices", language)
    yield text("alert.unknown.gaps", language)


def _held(alert: Alert, language: str) -> Iterator[str]:
    """Each channel that is not told now, or never was, with the reason, and which of them was told before."""
    for one in alert.deliveries or ():
        if not one.why or (one.at is not None and one.news == alert.state):  # told of the end: nothing more comes
            continue
        why = text(f"alert.held.why.{one.why}", language, by=one.by[:8] if one.why != "muted" else one.by)
        if one.until is not None:
            why = text("alert.held.until", language, why=why, until=local(one.until))
        if one.at is not None:
            yield text("alert.held.told", language, receiver=one.receiver, at=local(one.at), why=why)
        elif one.until is None and alert.state not in ACTIVE:
            yield text("alert.held.ended", language, receiver=one.receiver, why=why)
        else:
            yield text("alert.held.line", language, receiver=one.receiver, why=why)
