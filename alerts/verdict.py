"""What staff say of an alert, and of a post that it shows, becomes a command; decide makes it part of the alert.

A verdict on the alert tells how well alerts are chosen. Only a post that was judged by itself becomes an example that
a model may learn from: of an alert's other posts nobody said anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import get_args

from tingchao.alerts import ledger
from tingchao.config.language import Said
from tingchao.config.signals import SIGNALS
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log
from tingchao.pipeline.query import Query
from tingchao.pipeline.records import Alert, Evidence, Judgement, Verdict, decode, full_text
from tingchao.pipeline.store import Store

JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
_LIKELY = 0.5  # a signal that a post more likely has than not is what the page names beside it
_TEXT = 4000  # characters of an example; the annotated texts have 280 at most


def judge(
    log: Log,
    store: Store,
    clock: Clock,
    alert: str,
    verdict: str,
    *,
    post: str = "",
    signals: Sequence[str] = (),
    note: str = "",
) -> str:
    """Publish a verdict on an alert or on a post that it shows; the id of the command.

    `post`: an id of its evidence. `signals`: what that post truly tells of; needed for wrong_signal, else what the
    models said of it holds (true_alarm, if they said any) or nothing (false_alarm). Raises Refused for what is unknown
    or unclear.
    """
    if verdict not in JUDGEMENTS:
        raise Refused(Said("error.one_of", option="verdict", value=verdict, known=", ".join(JUDGEMENTS)))
    known = ledger.known(log, alert)
    if signals and not post:
        raise Refused(Said("error.verdict.post"))
    example = _example(known, store, post, verdict, tuple(signals), clock.now()) if post else None
    return ledger.publish(log, clock, known, "verdict", note, verdict=verdict, example=example)


def _example(
    alert: Alert, store: Store, post: str, verdict: Judgement, signals: tuple[str, ...], now: datetime
) -> Verdict:
    evidence = {one.id: one for one in alert.evidence}
    shown = evidence.get(post)
    if shown is None:
        raise Refused(Said("error.verdict.no_post", id=alert.id, post=post, known=", ".join(evidence)))
    return Verdict(
        post=post,
        alert=alert.id,
        at=now,
        verdict=verdict,
        signals=_told(alert, shown, verdict, signals),
        text=_text(store, shown)[:_TEXT],
    )


def _told(alert: Alert, post: Evidence, verdict: Judgement, signals: tuple[str, ...]) -> tuple[str, ...]:
    """All signals that the post has by the verdict, in the order of SIGNALS."""
    if unknown := set(signals) - set(SIGNALS):
        named = ", ".join(sorted(unknown))
        raise Refused(Said("error.verdict.signal", signal=named, known=", ".join(SIGNALS)))
    if verdict == "false_alarm":
        if signals:
            raise Refused(Said("error.verdict.false_alarm"))
        return ()
    if verdict == "wrong_signal" and not signals:
        raise Refused(Said("error.verdict.wrong_signal"))
    asked = {reason.signal for reason in alert.reasons if reason.kind == "signal"}
    likely = {name for name, chance in post.signals.items() if chance >= _LIKELY or name in asked}
    told = set(signals) or likely
    if not told:  # an example without signals would teach that such a post is none of our business
        raise Refused(Said("error.verdict.true_alarm"))
    return tuple(name for name in SIGNALS if name in told)


def _text(store: Store, post: Evidence) -> str:
    """The text as it was scored, from the store; what the alert shows of it where the store has it no more."""
    query = Query(
        since=post.published_at - timedelta(milliseconds=1),  # the store's times are of milliseconds
        until=post.published_at + timedelta(milliseconds=1),
        source=post.source,
        limit=None,
    )
    for hit in store.search(query):
        if hit.post.id == post.id:
            return full_text(hit.post.title, hit.post.text)
    return full_text(post.title, post.excerpt)


def examples(log: Log) -> list[Verdict]:
    """The newest verdict on each post that was judged by itself, the oldest first."""
    found = [decode(Verdict, entry.value) for entry in log.newest("verdicts")]
    return sorted(found, key=lambda one: (one.at, one.post))
