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

    Raises Refused for an id that is not there or whose content was not kept.
    """
    waiting = {letter.id: letter for letter in letters(log)}
    for wanted in ids:
        if wanted not in waiting:
            raise Refused(Said("error.dead.not_waiting", id=wanted))
        if not waiting[wanted].topic:
            raise Refused(Said("error.dead.not_kept", id=wanted, origin=waiting[wanted].origin))
    chosen = [waiting[name] for name in ids] if ids else [one for one in waiting.values() if one.topic]
    now = clock.now()
    outputs: list[Output] = []
    for letter in chosen:
        outputs.append(Output(letter.topic, letter.key, letter.value.encode()))
        outputs.append(output("dead", letter.id, msgspec.structs.replace(letter, replayed_at=now)))
    log.publish(outputs, now)
    return len(chosen)
