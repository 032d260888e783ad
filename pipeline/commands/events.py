"""Which posts of a file tell of the same event, and which repeat an earlier one; nothing is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tingchao.pipeline import shows
from tingchao.pipeline.clock import from_millis, millis
from tingchao.pipeline.commands.base import AsJson, app, help_of, opened, out, say, t
from tingchao.pipeline.errors import Poison
from tingchao.pipeline.records import full_text
from tingchao.pipeline.times import local

if TYPE_CHECKING:
    from tingchao.alerts.events import Events, Told
    from tingchao.pipeline.rows import Line

_BATCH = 500  # posts
_SHOWN = 20  # events listed for people
_EXCERPT = 60  # characters of the first post


@app.command(help=help_of("events"))
def events(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help=help_of("events_file"))],
    json: AsJson = False,
) -> None:
    from tingchao.alerts.events import STREAM, Events
    from tingchao.pipeline.rows import read_posts

    found = Events({}, STREAM)
    titles: dict[str, str] = {}
    wrong: Counter[str] = Counter()
    with opened(file) as stream:
        for rows in _placed(read_posts(stream, file), found, titles, wrong):
            if json:
                out(shows.json_lines(rows))
    if not json:
        _show(found, titles)
    for reason, count in wrong.most_common():
        say(t("said.events_wrong", count=count, reason=reason), error=True)


def _placed(
    lines: Iterable[Line], found: Events, titles: dict[str, str], wrong: Counter[str]
) -> Iterator[list[dict[str, Any]]]:
    """What is said of each line, in order; a line that is no post takes its place with its mistake."""
    number, at = 0, 0
    lines = iter(lines)
    while batch := list(islice(lines, _BATCH)):
        told: list[Told | Poison] = []
        for line in batch:
            one = _told(line, number, at)
            if not isinstance(one, Poison):
                at = max(at, one.at)
            told.append(one)
            number += 1
        placed = iter(found.add([one for one in told if not isinstance(one, Poison)]))
        rows: list[dict[str, Any]] = []
        for one in told:
            if isinstance(one, Poison):
                wrong[one.reason] += 1
                rows.append({"event": None, "duplicate_of": None, "error": one.reason})
                continue
            place = next(placed)
            titles.setdefault(place.event, one.text[:_EXCERPT])
            original = place.copy_of
            rows.append({"event": place.event, "duplicate_of": None if original is None else int(original)})
        for name in [name for name in titles if found.event(name) is None]:
            del titles[name]
        yield rows


def _told(line: Line, number: int, at: int) -> Told | Poison:
    """The post of a line; without a time it is as late as the latest before it, 0 where none before it has one."""
    from tingchao.alerts.events import Told
    from tingchao.pipeline.rows import raw

    try:
        post = raw(line, "file", from_millis(0), Counter())
    except Poison as err:
        return err
    when = at if post.published_at is None else millis(post.published_at) // 1000
    text = full_text(post.title, post.text)
    return Told("", str(number), when, max(at, when), post.source, post.author or "", text)


def _show(found: Events, titles: dict[str, str]) -> None:
    """The largest events that are still remembered."""
    known = [event for name in titles if (event := found.event(name)) is not None]
    for event in sorted(known, key=lambda event: (-event.independent, -event.posts, event.name))[:_SHOWN]:
        say(
            t(
                "said.event",
                posts=event.posts,
                independent=event.independent,
                share=f"{event.repost_share:.0%}",
                first=local(from_millis(event.first.at * 1000)) if event.first.at else t("said.no_time"),
                text=" ".join(titles[event.name].split()),
            )
        )
