"""What was set aside: list it, and put it back where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec

from tingchao.config.language import Said
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log, Output, output
from tingchao.pipeline.records import Dead, decode
from tingchao.pipeline.times import local


def letters(log: Log, *, replayed: bool = False) -> list[Dead]:
    """Dead letters, oldest first; those that were replayed only when asked for."""
    found = [decode(Dead, entry.value) for entry in log.newest("dead")]
    return [letter for letter in found if replayed or letter.replayed_at is None]


def letter(log: Log, beginning: str) -> Dead:
    """The letter whose id begins so, replayed or not. Raises Refused unless there is exactly one."""
    found = [one for one in letters(log, replayed=True) if beginning and one.id.startswith(beginning)]
    if not found:
        raise Refused(Said("error.dead.none", id=beginning))
    if len(found) > 1:
        raise Refused(Said("error.dead.several", id=beginning, count=len(found)))
    return found[0]


def since(log: Log, offset: int, stages: Collection[str]) -> Counter[str]:
    """How many records these stages set aside after this offset of [dead], by stage and reason."""
    found: Counter[str] = Counter()
    while entries := log.scan("dead", offset):
        offset = entries[-1].offset
        letters = [decode(Dead, entry.value) for entry in entries]
        letters = [letter for letter in letters if letter.stage in stages and letter.replayed_at is None]
        found.update(f"{letter.stage} {letter.reason}" for letter in letters)
    return found


def replay(log: Log, clock: Clock, ids: Sequence[str]) -> int:
    """Put the records of these letters (all that can be, when none are named) back into their topics.

    Each is named by the beginning of its id. Raises Refused for one that `letter` does not find, that was replayed
    already or whose content was not kept.
    """
    named = {one.id: one for one in (letter(log, beginning) for beginning in ids)}
    for one in named.values():
        _demand_content(one)
    chosen = list(named.values()) if ids else [one for one in letters(log) if one.topic]
    now = clock.now()
    outputs: list[Output] = []
    for one in chosen:
        outputs.append(Output(one.topic, one.key, one.value.encode()))
        outputs.append(output("dead", one.id, msgspec.structs.replace(one, replayed_at=now)))
    log.publish(outputs, now)
    return len(chosen)


def _demand_content(letter: Dead) -> None:
    """Raises Refused for a letter that cannot be put back."""
    if letter.replayed_at is not None:
        raise Refused(Said("error.dead.replayed", id=letter.id, at=local(letter.replayed_at)))
    if letter.reason == "notify.refused":  # the alert itself is in the log, and tells more than the message did
        raise Refused(Said("error.dead.message", id=letter.id, origin=letter.origin, error=letter.error))
    if not letter.topic:
        raise Refused(Said("error.dead.not_kept", id=letter.id, origin=letter.origin))
