"""What was set aside: list it, and put it back where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

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
    found = [one for one in letters(log, replayed=True) if one.id.startswith(beginning)]
    if len(found) != 1:
        raise Refused(f"dead letter {beginning!r}: {len(found)} have such an id; see 'tingchao dead list'")
    return found[0]


def since(log: Log, offset: int) -> Counter[str]:
    """How many records were set aside after this offset of [dead], by stage and reason."""
    found: Counter[str] = Counter()
    while entries := log.scan("dead", offset):
        offset = entries[-1].offset
        letters = [decode(Dead, entry.value) for entry in entries]
        found.update(f"{letter.stage} {letter.reason}" for letter in letters if letter.replayed_at is None)
    return found


def replay(log: Log, clock: Clock, ids: Sequence[str]) -> int:
    """Put the records of these letters (all that can be, when none are named) back into their topics.

    Raises Refused for an id that is not there or whose content was not kept.
    """
    waiting = {letter.id: letter for letter in letters(log)}
    for wanted in ids:
        if wanted not in waiting:
            raise Refused(f"dead letter {wanted!r}: not there or replayed already; see 'tingchao dead list'")
        if not waiting[wanted].topic:
            raise Refused(
                f"dead letter {wanted}: its content was not kept (personal data not yet masked, a message that was "
                f"refused, or too large), so it cannot be put back; look at {waiting[wanted].origin}"
            )
    chosen = [waiting[name] for name in ids] if ids else [one for one in waiting.values() if one.topic]
    now = clock.now()
    outputs: list[Output] = []
    for letter in chosen:
        outputs.append(Output(letter.topic, letter.key, letter.value.encode()))
        outputs.append(output("dead", letter.id, msgspec.structs.replace(letter, replayed_at=now)))
    log.publish(outputs, now)
    return len(chosen)
