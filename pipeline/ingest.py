"""A file of posts is published, and waited for until all of it is indexed and watched."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Poison, Retry
from tingchao.pipeline.flow import POSTS, flow
from tingchao.pipeline.intake import Intake
from tingchao.pipeline.log import Log, Output, output
from tingchao.pipeline.records import Dead, Post
from tingchao.pipeline.rows import Line, raw

_BATCH = 500  # posts a commit; measured: 1,000 gains less than a tenth and doubles what a kill repeats


@dataclass
class Report:
    """What became of a file."""

    published: int = 0
    dead: Counter[str] = field(default_factory=Counter)  # reason -> lines


def publish(
    lines: Iterable[Line],
    log: Log,
    clock: Clock,
    source: str,
    file: str,
    past: timedelta,
    progress: Callable[[int], None],
) -> Report:
    """Publish the posts; lines that can never be one go to [dead] with file, line, hash and reason, never content.

    A file that begins with posts older than `past` is back-fill, all of it, since its order counts: it waits whenever
    something new comes in. `progress` is told the bytes read with each batch. Running it again on the same file
    changes nothing: the ids are the same.
    """
    intake, seen, report, topic = Intake(log), Counter[bytes](), Report(), ""
    for batch in _batches(lines):
        now = clock.now()
        posts: list[Post] = []
        outputs: list[Output] = []
        for line in batch:
            try:
                posts.append(intake.post(raw(line, source, now, seen)))
            except Poison as err:
                outputs.append(_dead(line, file, err, clock))
                report.dead[err.reason] += 1
        topic = topic or _topic(posts, now - past)
        outputs += [output(topic, post.id, post) for post in posts]
        report.published += len(posts)
        patiently(lambda outputs=outputs, now=now: log.publish(outputs, now))  # type: ignore[misc]
        progress(sum(line.size for line in batch))
    return report


def wait(log: Log, alive: Callable[[], None], progress: Callable[[float], None]) -> None:
    """Return when all posts that are in the log now are indexed, watched and decided.

    `alive` is called at each look: it sees to it that somebody runs the stages. `progress` is told the share done.
    """
    way = tuple(flow())
    for number, (group, topic) in enumerate(way):
        begin, end = log.position(group, topic), log.end(topic)
        while (position := log.position(group, topic)) < end:
            alive()
            progress((number + (position - begin) / max(1, end - begin)) / len(way))
            time.sleep(0.05)
    progress(1.0)


def patiently(action: Callable[[], None], tries: int = 60) -> None:
    """Do it again while it says Retry, for about as many seconds as `tries`; then the Retry goes on up."""
    for _ in range(tries):
        try:
            return action()
        except Retry as err:
            time.sleep(min(err.after, 1.0))
    return action()


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _topic(posts: Sequence[Post], before: datetime) -> str:
    """Where a file goes that begins with these posts."""
    new, old = POSTS
    return old if any(post.published_at < before for post in posts) else new


def _dead(line: Line, file: str, err: Poison, clock: Clock) -> Output:
    origin = f"{file}:{line.number}"
    letter = Dead(
        id=hashlib.blake2b(f"ingest {origin} {line.hash}".encode(), digest_size=8).hexdigest(),
        stage="ingest",
        reason=err.reason,
        error=str(err),
        at=clock.now(),
        origin=origin,
        hash=line.hash,
    )
    return output("dead", letter.id, letter)
