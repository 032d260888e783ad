"""A candidate becomes an alert, or changes one; each change is a new value under the same id."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from tingchao.alerts.evidence import STRONGEST
from tingchao.alerts.representatives import distinct
from tingchao.alerts.windows import OTHERS, TELLS, UNIT
from tingchao.pipeline.records import Alert, Candidate, Change, Command, Evidence, Judgement, Reason, State

HISTORY = 50  # changes kept; the first one always stays
_SOURCES = 20  # sources named; the others are summed up
_TOPICS = 20  # under which an event is found
NOTE = 500  # characters of a note
_JUDGED = 50  # posts that an alert remembers as judged; it shows six at a time


def opened(candidate: Candidate, at: datetime, name: str, title: str, *, state: State) -> Alert:
    """The first form of an alert."""
    reason = candidate.reason
    alert = Alert(
        id=name,
        number=0,
        topic=candidate.topic,
        title=title,
        state=state,
        level=candidate.level,
        sure=candidate.sure,
        since=reason.start,
        until=reason.end,
        opened_at=at,
        updated_at=at,
        reasons=(reason,),
        posts=0,
        voices=0,
        evidence=candidate.evidence,
        apart=candidate.alone,
    )
    return changed(_with_numbers(alert, candidate), at, "opened")


def updated(alert: Alert, candidate: Candidate, at: datetime) -> Alert:
    """The alert with one more candidate: raised when it is graver than all before, else updated.

    Its numbers are those of the newest window, its level and how sure it is the greatest so far.
    """
    reason = candidate.reason
    what = "raised" if candidate.level > alert.level else "updated"
    newest = reason.end > alert.until or (reason.end == alert.until and candidate.posts >= alert.posts)
    alert = replace(
        _with_numbers(alert, candidate) if newest else alert,
        level=max(alert.level, candidate.level),
        sure=max(alert.sure, candidate.sure),
        severity=max(alert.severity, candidate.severity),
        since=min(alert.since, reason.start),
        until=max(alert.until, reason.end),
        reasons=_reasons(alert.reasons, reason),
        evidence=_evidence(alert.evidence, candidate.evidence),
    )
    return changed(alert, at, what)


def joined(alert: Alert, candidate: Candidate, at: datetime) -> Alert:
    """The alert with a candidate of another topic that is about the same event.

    Its numbers stay those of its own topic; it becomes graver, surer and longer.
    """
    raised = candidate.level > alert.level
    others = (*alert.topics, candidate.topic) if candidate.topic not in alert.topics else alert.topics
    alert = replace(
        alert,
        level=max(alert.level, candidate.level),
        sure=max(alert.sure, candidate.sure),
        severity=max(alert.severity, candidate.severity),
        since=min(alert.since, candidate.reason.start),
        until=max(alert.until, candidate.reason.end),
        reasons=_reasons(alert.reasons, candidate.reason) if raised else alert.reasons,
        evidence=_evidence(alert.evidence, candidate.evidence),
        topics=others[:_TOPICS],
    )
    return changed(alert, at, "raised" if raised else "updated")


def changed(
    alert: Alert,
    at: datetime,
    what: str,
    *,
    note: str = "",
    state: State | None = None,
    verdict: Judgement | None = None,
    post: str = "",
) -> Alert:
    """The alert with one more change in its history.

    Of updates, or of verdicts on the same post, that follow each other only the last is kept.
    """
    history = alert.history
    if history and what in {"updated", "judged"} and (what, post) == (history[-1].what, history[-1].post):
        history = history[:-1]
    history = (*history, Change(at=at, what=what, note=note[:NOTE], verdict=verdict, post=post))
    if len(history) > HISTORY:
        history = (history[0], *history[len(history) - HISTORY + 1 :])
    return replace(alert, number=alert.number + 1, state=state or alert.state, updated_at=at, history=history)


def judged(alert: Alert, command: Command, at: datetime) -> Alert:
    """The alert with the verdict of a command. Only a verdict on the whole alert may change its state."""
    assert command.verdict is not None
    if command.example is not None:
        post = command.example.post
        alert = changed(alert, at, "judged", note=command.note, verdict=command.verdict, post=post)
        others = [(name, verdict) for name, verdict in alert.judged.items() if name != post]
        return replace(alert, judged=dict([*others, (post, command.verdict)][-_JUDGED:]))
    state = alert.state
    if command.verdict == "false_alarm":
        state = state if state == "past" else "false_alarm"
    elif state == "false_alarm":  # it was real after all; it stays ended until somebody reopens it
        state = "resolved"
    alert = changed(alert, at, "judged", note=command.note, state=state, verdict=command.verdict)
    return replace(alert, verdict=command.verdict)


def _with_numbers(alert: Alert, candidate: Candidate) -> Alert:
    return replace(
        alert,
        posts=candidate.posts,
        voices=candidate.voices,
        sources=_sources(candidate.sources),
        negative_share=candidate.negative_share,
        severity=max(alert.severity, candidate.severity),
        signals=candidate.signals,
        curve=candidate.curve,
        bucket=candidate.bucket,
        event=candidate.event or alert.event,
    )


def _reasons(known: tuple[Reason, ...], new: Reason) -> tuple[Reason, ...]:
    """The newest reason of each rule, in the order in which the rules first held; of each source that is silent one."""
    newest = {_told_apart(reason): reason for reason in known}
    old = newest.get(_told_apart(new))
    if old is None or (new.end, new.observed) >= (old.end, old.observed):
        newest[_told_apart(new)] = new
    return tuple(newest.values())


def _told_apart(reason: Reason) -> tuple[str, str]:
    return reason.rule, reason.detail if reason.kind == "absence" else ""


def _evidence(known: tuple[Evidence, ...], new: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """The first post of all, and the strongest ones; of texts that repeat each other one."""
    every = sorted((*known, *new), key=lambda one: (one.role != "first", one.published_at, one.id))
    found = [one for one in every if one.role == "first"]
    telling = [one for one in found if max(one.signals.values(), default=0.0) >= TELLS / UNIT]
    firsts = (telling or found)[:1]  # a rule without a signal brings the first post of the topic, whatever it tells of
    strong = sorted((one for one in every if one.role != "first"), key=_rank)
    return tuple(one for _, one in islice(distinct(enumerate((*firsts, *strong))), STRONGEST + 1))


def _rank(one: Evidence) -> tuple[float, float, datetime, str]:
    return -max(one.signals.values(), default=0.0), -one.negative, one.published_at, one.id


def _sources(sources: dict[str, int]) -> dict[str, int]:
    named = [(name, posts) for name, posts in sources.items() if name != OTHERS]
    kept = dict(sorted(named, key=lambda item: (-item[1], item[0]))[:_SOURCES])
    rest = sum(sources.values()) - sum(kept.values())
    return kept | ({OTHERS: rest} if rest else {})
