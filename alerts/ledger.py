"""The alerts as everybody may see them, read from the log; and the way to say what staff did with one."""

from __future__ import annotations

import hashlib

import msgspec

from tingchao.alerts.decide import FORGET, NEXT
from tingchao.alerts.merge import NOTE
from tingchao.config.language import Said
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.privacy import mask
from tingchao.pipeline.records import ACTIVE, Alert, Command, Judgement, Verdict, decode

_PAGE = 1000  # entries read at once


def alerts(log: Log) -> dict[str, Alert]:
    """The newest form of each alert, in the order in which they last changed."""
    return {entry.key: decode(Alert, entry.value) for entry in log.newest("alerts")}


class Ledger:
    """Follows the alerts of a log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._read = -1  # nothing yet
        self.alerts: dict[str, Alert] = {}  # the newest form of each

    def refresh(self) -> list[Alert]:
        """Read on; the newest form of each alert that changed since the last call."""
        changed = self._first() if self._read < 0 else self._next()
        self.alerts |= changed
        return list(changed.values())

    def _first(self) -> dict[str, Alert]:
        self._read = self._log.end("alerts")  # asked first: what comes in meanwhile is read again, not missed
        return alerts(self._log)

    def _next(self) -> dict[str, Alert]:
        changed: dict[str, Alert] = {}
        while entries := self._log.scan("alerts", self._read, _PAGE):
            self._read = entries[-1].offset
            for entry in entries:
                alert = decode(Alert, entry.value)
                known = changed.get(entry.key) or self.alerts.get(entry.key)
                if known is None or alert.number > known.number or alert.opened_at > known.opened_at:
                    changed[entry.key] = alert
        return changed


def known(log: Log, alert: str) -> Alert:
    """The newest form of the alert. Raises Refused when there is none of that id."""
    found = alerts(log).get(alert)
    if found is None:
        raise Refused(Said("cli.said.no_alert", id=alert))
    return found


def send(log: Log, clock: Clock, alert: str, action: str, note: str = "") -> str:
    """Publish what staff did with an alert; the id of the command, the same when it is sent twice at once.

    `decide` carries it out. Raises Refused for an alert that is not known, or an action that its state does not allow.
    """
    found = known(log, alert)
    if (found.state, action) not in NEXT:
        allowed = ", ".join(name for state, name in NEXT if state == found.state) or "–"
        raise Refused(Said("error.action", id=alert, state=found.state, action=action, allowed=allowed))
    return publish(log, clock, found, action, note)


def publish(
    log: Log,
    clock: Clock,
    alert: Alert,
    action: str,
    note: str,
    *,
    verdict: Judgement | None = None,
    example: Verdict | None = None,
) -> str:
    """Publish the command; its id. Raises Refused for an alert that decide has forgotten.

    The note is masked like a post, since it goes out with the alert.
    """
    now, note = clock.now(), mask(note)[:NOTE]  # masked first: half a number is one that no pattern knows
    if alert.state not in ACTIVE and now - alert.updated_at > FORGET:
        raise Refused(Said("error.ended", id=alert.id, days=FORGET.days))
    said = f"{verdict} {example.post} {example.signals}" if example else verdict or ""
    basis = f"{alert.id} {alert.number} {action} {note} {said}".rstrip()
    name = hashlib.blake2b(basis.encode("utf-8", "replace"), digest_size=8).hexdigest()
    fields = {"id": name, "alert": alert.id, "action": action, "note": note, "verdict": verdict}
    command = msgspec.structs.replace(msgspec.convert(fields, Command), example=example)
    log.publish([output("commands", alert.id, command)], now)
    return name
