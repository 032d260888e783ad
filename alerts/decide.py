"""[candidates], [commands] → decide → [alerts], [verdicts], [silences]: alerts begin, change and end here alone.

What belongs together is one alert: candidates of one topic whose windows lie within `decide.quiet` of each other, and
those of other topics that are about the same event. Another story of the topic (stories.py) that began after the alert
was opened is another alert.
An alert that ended by itself is opened again by such a candidate, of whichever topic; one that staff ended swallows it
for a while, unless it is about another event that began later. A candidate that is `over` ends what goes on of a topic.
Whom an alert may be told is said in its deliveries (dispatch.py).
State keys: `a/id`, one alert with what decide must know of it beside what everybody sees; `@ticked`, the last tick;
those of silences.py and budget.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from tingchao.alerts import shards, sources
from tingchao.alerts.budget import Budget
from tingchao.alerts.dispatch import Dispatch
from tingchao.alerts.merge import changed, joined, judged, opened, updated
from tingchao.alerts.silences import Silences
from tingchao.alerts.tracking import same_event
from tingchao.config.settings import Settings
from tingchao.pipeline.flow import READS
from tingchao.pipeline.log import Output, output
from tingchao.pipeline.records import ACTIVE, Alert, Candidate, Command, State, Tick
from tingchao.pipeline.stage import Input, Memory, Plan, Result, Stage

TICK = timedelta(seconds=5)
GAP = timedelta(minutes=10)  # between two ticks: longer, and we were down rather than busy
FALSE_ALARM = timedelta(hours=24)  # the longest that a false alarm swallows the talk that goes on
_TICKED = "@ticked"
FORGET = timedelta(days=7)  # ended alerts; the log keeps them
_ENDED: frozenset[State] = frozenset({"resolved", "false_alarm"})
_COMMANDS = 50  # ids of commands remembered an alert, so that one that comes twice does nothing

# What staff may do with an alert, and what it becomes. What is past only stands in the record.
NEXT: dict[tuple[State, str], State] = {
    ("open", "acknowledge"): "acknowledged",
    ("open", "in_hand"): "in_hand",
    ("acknowledged", "in_hand"): "in_hand",
    ("open", "resolve"): "resolved",
    ("open", "false_alarm"): "false_alarm",
    ("acknowledged", "resolve"): "resolved",
    ("acknowledged", "false_alarm"): "false_alarm",
    ("in_hand", "resolve"): "resolved",
    ("in_hand", "false_alarm"): "false_alarm",
    ("resolved", "false_alarm"): "false_alarm",  # a verdict may come later
    ("resolved", "reopen"): "open",
    ("false_alarm", "reopen"): "open",
}


def plan(settings: Settings) -> Plan:
    """The stage. One partition, since alerts are global."""

    def make(memory: Memory) -> Stage:
        return Decide(memory, settings)

    return Plan("decide", READS["decide"], make, tick=TICK)


class Held(msgspec.Struct, frozen=True):
    """An alert and what decide must know of it."""

    alert: Alert
    # Event time: the end of the newest window, later when staff ended or reopened the alert or we were down after it.
    heard: datetime
    commands: tuple[str, ...] = ()
    ended: datetime | None = None  # `heard` when the alert ended
    quiet: float = 0.0  # seconds without news after which it ends, when longer than `decide.quiet`
    story: str = ""  # the event that it alone tells of (alerts/stories.py)
    began: datetime | None = None  # event time: the end of the window of which it was opened


class Decide:
    """All alerts that are active, or ended not long ago."""

    def __init__(self, memory: Memory, settings: Settings) -> None:
        self._memory = memory
        self._titles = {topic.name: topic.title for topic in settings.topics} | sources.titles(settings)
        self._quiet, self._past = settings.main.decide.quiet, settings.main.decide.past
        self._held: dict[str, dict[str, Held]] = {}  # topic -> id
        self._topics: dict[str, str] = {}  # id -> topic
        self._changed: set[str] = set()
        self._forgot: datetime | None = None
        self._ticked = datetime.fromisoformat(memory[_TICKED].decode()) if _TICKED in memory else None
        for key in shards.keys(memory, "a/"):
            held = _HELD.decode(shards.get(memory, key))
            self._held.setdefault(held.alert.topic, {})[held.alert.id] = held
            self._topics[held.alert.id] = held.alert.topic
        self._silences = Silences(memory)
        self._budget = Budget(memory, settings.main.budget)
        self._dispatch = Dispatch(settings, self._silences, self._budget, [held.alert for held in self._all()])

    def process(self, inputs: Sequence[Input]) -> Result:
        """Outcomes: opened, past, updated, raised, joined, swallowed, reopened, over; done, repeated, refused; tick."""
        outputs: list[Output] = []
        outcomes: list[str] = []
        for given in inputs:
            match given.record:
                case Candidate(over=True) as candidate:
                    outcome, alerts = "over", self._stamped(list(self._over(candidate, given.at)), given.at)
                case Candidate() as candidate:
                    outcome, alerts = self._candidate(candidate, given.at)
                    alerts = self._stamped(alerts, given.at)
                case Command(action="silence" | "expire") as command:
                    outcome, silence = self._silences.obey(command, given.at)
                    alerts = []
                    if silence is not None:
                        outputs.append(output("silences", silence.id, silence))
                case Command() as command:
                    outcome, alerts = self._command(command, given.at)
                    alerts = self._stamped(alerts, given.at)
                    if outcome == "done" and command.example is not None:
                        outputs.append(output("verdicts", command.example.post, command.example))
                case Tick() as tick:
                    ended = list(self._tick(tick.at))
                    self._forget_old(tick.at)
                    outcome, alerts = "tick", [*self._stamped(ended, tick.at), *self._due(tick.at)]
                case other:
                    raise AssertionError(f"decide reads candidates and commands, got {type(other).__name__}")
            outcomes.append(outcome)
            outputs += [output("alerts", alert.id, alert) for alert in alerts]
        self._save()
        return Result(outputs, outcomes)

    def _candidate(self, candidate: Candidate, at: datetime) -> tuple[str, list[Alert]]:
        late = at - candidate.reason.end > self._past
        near = self._near(candidate)
        held = _first(near, ACTIVE) or (_first(near, {"past"}) if late else None)
        if held is not None:
            alert = updated(held.alert, candidate, at)
            self._hold(held, alert, candidate)
            return alert.history[-1].what, [alert]
        ended = _first(near, _ENDED)
        if ended is None and (other := self._elsewhere(candidate, ACTIVE)) is not None:
            alert = joined(other.alert, candidate, at)
            self._hold(other, alert, candidate)
            return "joined", [alert]
        ended = ended or self._elsewhere(candidate, _ENDED)
        if ended is None or (_tells_another(candidate, ended) and not self._has_story(candidate)):
            return self._open(candidate, at, late=late)
        if not late and (candidate.level > ended.alert.level or _by_itself(ended.alert)):
            merged = updated if ended.alert.topic == candidate.topic else joined
            alert = changed(merged(ended.alert, candidate, at), at, "reopened", state="open")
            alert = msgspec.structs.replace(alert, verdict=None)  # it was on what was known then
            self._hold(ended, alert, candidate)
            return "reopened", [alert]
        if ended.alert.state == "false_alarm":
            self._put(msgspec.structs.replace(ended, heard=max(ended.heard, candidate.reason.end)))
        return "swallowed", []

    def _open(self, candidate: Candidate, at: datetime, *, late: bool) -> tuple[str, list[Alert]]:
        topic = candidate.topic
        alert = opened(
            candidate, at, self._id(candidate), self._titles.get(topic, topic), state="past" if late else "open"
        )
        self._hold(
            Held(alert, candidate.reason.end, story=_story(candidate), began=candidate.reason.end), alert, candidate
        )
        return ("past" if late else "opened"), [alert]

    def _elsewhere(self, candidate: Candidate, states: frozenset[State]) -> Held | None:
        """The alert of another topic in one of the states that is about the same event, of a story rather its own."""
        found = [
            (bool(held.story) != candidate.alone, gap, held.alert.id, held)
            for held in self._all()
            if held.alert.state in states
            and held.alert.topic != candidate.topic
            and (gap := _gap(held, candidate)) <= self._quiet
            and self._still_stands(held, candidate)
            and same_event(candidate, held.alert.event)
        ]
        return min(found)[3] if found else None

    def _near(self, candidate: Candidate) -> list[Held]:
        """The alerts of the topic that the candidate may belong to, the nearest first, within `decide.quiet`.

        A story belongs to its own alert, or to one of the topic that was opened after it began. What is said of the
        topic belongs to an alert of the topic; where there is none, what tells of no signal may belong to a story's.
        """
        near = [
            held
            for held in self._held.get(candidate.topic, {}).values()
            if _gap(held, candidate) <= self._reach(held, candidate) and self._still_stands(held, candidate)
        ]
        near.sort(key=lambda held: (_gap(held, candidate), held.alert.opened_at, held.alert.id))
        story = _story(candidate)
        if same := [held for held in near if held.story == story]:
            return same
        if story:
            return [held for held in near if not held.story and not _began_after(candidate, held)]
        return near if candidate.reason.kind != "signal" else []

    def _has_story(self, candidate: Candidate) -> bool:
        """Whether what else is told of the topic may be a story that has an alert of its own."""
        held = self._held.get(candidate.topic, {}).values()
        return any(one.story and one.alert.state in ACTIVE for one in held)

    def _quiet_of(self, held: Held) -> timedelta:
        return max(self._quiet, timedelta(seconds=held.quiet))

    def _reach(self, held: Held, candidate: Candidate) -> timedelta:
        """How far a window may lie from the alert: what came before it is not news of it for long."""
        return self._quiet_of(held) if candidate.reason.end > held.alert.since else self._quiet

    def _still_stands(self, held: Held, candidate: Candidate) -> bool:
        """Whether an alert that staff ended still stands for the candidate.

        The whole window counts: what is talked of for longer than the quiet after the end is told anew.
        """
        if held.alert.state not in {"resolved", "false_alarm"} or _by_itself(held.alert):
            return True
        until = held.heard + self._quiet
        if held.alert.state == "false_alarm":
            until = min(until, (held.ended or held.alert.updated_at) + FALSE_ALARM)
        return candidate.reason.end <= until

    def _id(self, candidate: Candidate) -> str:
        """From topic and first window; two alerts with the same first window are told apart by a number."""
        basis = f"{candidate.topic} {candidate.reason.start.isoformat()}"
        name, number = _hash(basis), 1
        while name in self._topics:
            name, number = _hash(f"{basis} {number}"), number + 1
        return name

    def _command(self, command: Command, at: datetime) -> tuple[str, list[Alert]]:
        topic = self._topics.get(command.alert)
        if topic is None:
            return "refused", []
        held = self._held[topic][command.alert]
        if command.id in held.commands:
            return "repeated", []
        alert = _done(held.alert, command, at)
        if alert is None:
            return "refused", []
        heard, ended = held.heard, held.ended
        if command.action == "reopen":  # the quiet begins anew, or the next tick would end it at once
            heard, ended = max(heard, at), None
        elif held.alert.state in ACTIVE and alert.state not in ACTIVE:  # a later verdict does not move the end
            heard = ended = max(heard, at)
        commands = (*held.commands, command.id)[-_COMMANDS:]
        self._put(msgspec.structs.replace(held, alert=alert, heard=heard, commands=commands, ended=ended))
        return "done", [alert]

    def _tick(self, at: datetime) -> Iterator[Alert]:
        """What ends by the clock, since it was quiet for long enough."""
        down = self._ticked is None or at - self._ticked > GAP
        self._ticked = at
        self._memory[_TICKED] = at.isoformat().encode()
        for held in list(self._all()):
            if held.alert.state not in ACTIVE:
                continue
            if down:  # nobody listened, so that it was silent is not known
                self._put(msgspec.structs.replace(held, heard=max(held.heard, at)))
            elif at - held.heard > self._quiet_of(held):
                yield self._ended(held, at)

    def _over(self, candidate: Candidate, at: datetime) -> Iterator[Alert]:
        """What ends since its topic says so, as if it had been quiet for long enough."""
        for held in list(self._held.get(candidate.topic, {}).values()):
            if held.alert.state in ACTIVE:
                yield self._ended(held, at)

    def _ended(self, held: Held, at: datetime) -> Alert:
        alert = changed(held.alert, at, "quiet", state="resolved")
        self._put(msgspec.structs.replace(held, alert=alert, ended=held.heard))
        return alert

    def _forget_old(self, at: datetime) -> None:
        """Once an hour, what ended long ago."""
        if self._forgot is not None and at - self._forgot < timedelta(hours=1):
            return
        self._forgot = at
        for held in list(self._all()):
            if held.alert.state not in ACTIVE and at - held.alert.updated_at > FORGET:
                self._forget(held.alert)
        self._silences.forget(at)
        self._budget.forget(at)

    def _stamped(self, alerts: Sequence[Alert], at: datetime) -> list[Alert]:
        """The alerts, which have just changed, with what is said to each channel."""
        stamped = [self._dispatch.stamped(alert, at) for alert in alerts]
        for alert in stamped:
            self._put(msgspec.structs.replace(self._held[alert.topic][alert.id], alert=alert))
        return stamped

    def _due(self, at: datetime) -> Iterator[Alert]:
        """The alerts of which some channel may be told now, or may no longer be told."""
        for alert in self._dispatch.due(at):
            self._put(msgspec.structs.replace(self._held[alert.topic][alert.id], alert=alert))
            yield alert

    def _all(self) -> Iterator[Held]:
        for held in self._held.values():
            yield from held.values()

    def _hold(self, held: Held, alert: Alert, candidate: Candidate) -> None:
        heard, quiet = max(held.heard, candidate.reason.end), max(held.quiet, candidate.quiet)
        self._put(msgspec.structs.replace(held, alert=alert, heard=heard, ended=None, quiet=quiet))

    def _put(self, held: Held) -> None:
        self._held.setdefault(held.alert.topic, {})[held.alert.id] = held
        self._topics[held.alert.id] = held.alert.topic
        self._changed.add(held.alert.id)

    def _forget(self, alert: Alert) -> None:
        del self._held[alert.topic][alert.id]
        del self._topics[alert.id]
        self._dispatch.forget(alert.id)
        self._changed.discard(alert.id)
        shards.delete(self._memory, f"a/{alert.id}")

    def _save(self) -> None:
        for name in sorted(self._changed):
            shards.put(self._memory, f"a/{name}", _ENCODER.encode(self._held[self._topics[name]][name]))
        self._changed.clear()


_ENCODER = msgspec.json.Encoder()
_HELD = msgspec.json.Decoder(Held)


def _done(alert: Alert, command: Command, at: datetime) -> Alert | None:
    """The alert after what staff did with it; None when its state does not allow that."""
    if command.action == "verdict":
        return None if command.verdict is None else judged(alert, command, at)
    state = NEXT.get((alert.state, command.action))
    if state is None:
        return None
    what = "reopened" if command.action == "reopen" else state
    alert = changed(alert, at, what, note=command.note, state=state)
    if command.action == "false_alarm":
        return msgspec.structs.replace(alert, verdict="false_alarm")
    if command.action == "reopen" and alert.verdict == "false_alarm":
        return msgspec.structs.replace(alert, verdict=None)
    return alert


def _first(near: Sequence[Held], states: Container[State]) -> Held | None:
    return next((held for held in near if held.alert.state in states), None)


def _story(candidate: Candidate) -> str:
    """The event that a candidate alone tells of."""
    return candidate.event.id if candidate.alone and candidate.event is not None else ""


def _began_after(candidate: Candidate, held: Held) -> bool:
    """Whether the event of a candidate began after what the alert was opened of, by event time."""
    return candidate.event is not None and candidate.event.first_at >= (held.began or held.alert.opened_at)


def _tells_another(candidate: Candidate, held: Held) -> bool:
    """Whether the candidate is about an event that began after staff ended the alert, which is about another one."""
    mine, ended = candidate.event, held.ended
    if _by_itself(held.alert) or mine is None or held.alert.event is None or ended is None:
        return False
    return mine.first_at > ended and not same_event(candidate, held.alert.event)


def _by_itself(alert: Alert) -> bool:
    """Whether the alert ended because nothing more was heard, not by what staff did."""
    done = [change.what for change in alert.history if change.what != "judged"]
    return alert.state == "resolved" and done[-1:] == ["quiet"]


def _gap(held: Held, candidate: Candidate) -> timedelta:
    """Time between the alert and the window; nothing when they meet."""
    reason = candidate.reason
    return max(reason.start - held.heard, held.alert.since - reason.end, timedelta(0))


def _hash(basis: str) -> str:
    return hashlib.blake2b(basis.encode(), digest_size=8).hexdigest()
