"""The time of publishing, to the minute where the page states one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tingchao.crawlers.blocks import Block, Page
from tingchao.crawlers.metadata import Metadata, attribute_times, script_times
from tingchao.pipeline.clock_words import BEIJING, ParsedTime, find_times, parse_time

HEAD_LINES = 16
"""Lines after the headline in which its time may stand (portals put share buttons between)."""

_CHANGED = re.compile(
    r"(?:更新|修改|修订|编辑于|updated|modified|截止|截至|有效期|活动)\S{0,6}\s*[:：]?\s*$", re.IGNORECASE
)
_NAMED = re.compile(
    r"(?:发布|发表|发稿|发文|时间|日期|published|posted|创建|成文|上传)\S{0,4}\s*[:：@]?\s*$", re.IGNORECASE
)
_HOST = re.compile(r"^\w+://[^/]*")
_URL_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/_]?(0[1-9]|1[0-2])[-/_]?(0[1-9]|[12]\d|3[01])(?!\d{1,3}(?!\d))")
# Of a sentence of running text nothing is taken; a head line is short ("2019年06月15日08:18 来源：人民网" has 27
# characters).
_LONGEST_HEAD_LINE = 160


@dataclass(frozen=True, slots=True)
class _Candidate:
    time: ParsedTime
    trust: int


def find_published(
    page: Page, meta: Metadata, url: str, headline: int, article: list[Block], fetched_at: datetime
) -> ParsedTime | None:
    """When the page says that it was published; None when it does not say.

    Order: what the page tells machines (meta, JSON-LD, itemprop), the lines around the headline, script variables,
    the lines after the article, the date in the address. The first one decides the day; the minute may come from a
    later one of the same day, and of two minutes of one day the earlier one is that of publishing, the other that of
    a change. A machine-readable UTC time that differs from the visible one by exactly eight hours is the local time
    with a wrong zone: the visible one is right.
    """
    limit = fetched_at + timedelta(days=1)
    machine = _parsed(meta.times, fetched_at)
    changed = _parsed(meta.changed, fetched_at)
    head = [found for found in _near_headline(page, headline, article, fetched_at) if found.time.at <= limit]
    head.sort(key=lambda candidate: -candidate.trust)
    visible = [_with_year(candidate.time, [*machine, *changed]) for candidate in head]
    chosen = _choose(machine, visible)
    if chosen is None or not chosen.minute:
        chosen = _choose([chosen] if chosen else [], _parsed(meta.marked, fetched_at))
    if chosen is None or not chosen.minute:
        stated = [*script_times(page.root), *attribute_times(page.root)]
        chosen = _choose([chosen] if chosen else [], _parsed(stated, fetched_at))
    if chosen is None or not chosen.minute:
        after = [found for found in _after_article(page, article, fetched_at) if found.at <= limit]
        chosen = _choose([chosen] if chosen else [], after)
    if chosen is None or not chosen.minute:
        chosen = _choose([chosen] if chosen else [], changed)
    return chosen or _from_url(url, fetched_at)


def _parsed(texts: list[str], fetched_at: datetime) -> list[ParsedTime]:
    """The times that these texts state; one after the fetch is a mistake or an announcement."""
    found = (parse_time(text, fetched_at) for text in texts)
    return [time for time in found if time is not None and time.at <= fetched_at + timedelta(days=1)]


def _with_year(time: ParsedTime, others: list[ParsedTime]) -> ParsedTime:
    """A time written without its year ("09-30 22:46") gets that of a time of the same month and day which states it."""
    if time.dated:
        return time
    local = time.at.astimezone(BEIJING)
    for other in others:
        same = other.at.astimezone(BEIJING)
        if other.dated and (same.month, same.day) == (local.month, local.day) and same.year <= local.year:
            return ParsedTime(local.replace(year=same.year), minute=time.minute, dated=True)
    return time


def _choose(first: list[ParsedTime], second: list[ParsedTime]) -> ParsedTime | None:
    """The first of the better list, made more exact by the other list where both state the same day."""
    if not first:
        return _minute_first(second)
    best = _minute_first(first)
    assert best is not None
    for other in second:
        if not other.minute:
            continue
        if not best.minute:
            if _day(other) in {_day(best), best.at.date()}:
                return other
            continue
        zone_is_wrong = best.at.utcoffset() != other.at.utcoffset() and abs(other.at - best.at) == timedelta(hours=8)
        if zone_is_wrong or (_day(other) == _day(best) and other.at < best.at):
            return other
        break
    return best


def _minute_first(times: list[ParsedTime]) -> ParsedTime | None:
    """The first time, or another of the same day that states the minute."""
    if not times:
        return None
    first = times[0]
    if first.minute and first.at.astimezone(BEIJING).strftime("%H:%M:%S") != "00:00:00":
        return first
    return next(
        (
            time
            for time in times
            if time.minute and _day(time) == _day(first) and time.at.astimezone(BEIJING).strftime("%H%M") != "0000"
        ),
        first,
    )


def _day(time: ParsedTime) -> object:
    return time.at.astimezone(BEIJING).date()


def _near_headline(page: Page, headline: int, article: list[Block], fetched_at: datetime) -> Iterator[_Candidate]:
    """Times in the short lines just after the headline, then just before it or before the article."""
    blocks = page.blocks
    inside = {id(block) for block in article}
    start = next((i for i, block in enumerate(blocks) if id(block) in inside), len(blocks))
    if headline >= 0:
        # Lines of the article count as well when they are short: "本报讯 2019-09-26 15:10".
        stop = min(len(blocks), max(headline + HEAD_LINES, min(start, headline + 3 * HEAD_LINES)))
        yield from _times(blocks[headline:stop], inside, fetched_at, 3)
        yield from _times(blocks[max(0, headline - 4) : headline], inside, fetched_at, 2)
    elif start < len(blocks):
        yield from _times(blocks[max(0, start - HEAD_LINES) : start], inside, fetched_at, 2)
        yield from _times(blocks[start : start + 2], inside, fetched_at, 1)


def _times(lines: Iterable[Block], article: set[int], fetched_at: datetime, trust: int) -> Iterator[_Candidate]:
    """Times in lines; runs of short lines are read together, since day and clock may stand in two elements."""
    text = ""
    for block in lines:
        if block.hidden or block.size > _LONGEST_HEAD_LINE or (id(block) in article and block.size > 40):
            yield from _in_text(text, fetched_at, trust)
            text = ""
            if id(block) in article and block.size > 40:
                return
            continue
        # A list entry with a link is another article's line.
        if block.linked > 12 and block.linked * 2 > block.size:
            yield from _in_text(text, fetched_at, trust)
            text = ""
            continue
        text = f"{text} {block.text}"
    yield from _in_text(text, fetched_at, trust)


def _in_text(text: str, fetched_at: datetime, trust: int) -> Iterator[_Candidate]:
    for found in find_times(text, fetched_at):
        # "5月20日" or "昨天" alone is more often what a text is about than when it was published.
        if not found.dated and not found.minute:
            continue
        before = text[max(0, found.start - 12) : found.start]
        if _CHANGED.search(before):
            yield _Candidate(found, trust - 2)
        elif _NAMED.search(before):
            yield _Candidate(found, trust + 1)
        else:
            yield _Candidate(found, trust)


def _after_article(page: Page, article: list[Block], fetched_at: datetime) -> Iterator[ParsedTime]:
    """Times from the last but one line of the article on (a notice is dated at its end) to a few lines after it.

    A longer line, or one with links in it, counts when it names the time: "posted @ 2019-09-26 15:10 (32)".
    """
    place = {id(block): index for index, block in enumerate(page.blocks)}
    ends = [place[id(block)] for block in article[-2:]]
    for block in page.blocks[ends[0] : ends[-1] + 6] if ends else ():
        found = parse_time(block.text, fetched_at)
        if found is None or not (found.dated or found.minute):
            continue
        named = _NAMED.search(block.text[: found.start]) is not None and block.size <= _LONGEST_HEAD_LINE
        if named or (block.size <= 40 and not block.linked):
            yield found


def _from_url(url: str, fetched_at: datetime) -> ParsedTime | None:
    """The day that many sites put into an article's address (/2019/09/26/, /20190926/, t20190926_1.html)."""
    match = _URL_DATE.search(_HOST.sub("", url, count=1))
    if match is None:
        return None
    found = parse_time(f"{match[1]}-{match[2]}-{match[3]}", fetched_at)
    return found if found is not None and found.at <= fetched_at + timedelta(days=1) else None
