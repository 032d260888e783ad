"""rules.toml: when a topic deserves an alert."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from tingchao.config.language import Said
from tingchao.config.load import Block, Duration, Level, Positive, at_most
from tingchao.config.mistakes import either, twice
from tingchao.config.signals import SIGNALS

Kind = Literal[
    "count",
    "sources",
    "negative_share",
    "severity",
    "engagement",
    "signal",
    "baseline",
    "event",
    "new_term",
    "absence",
    "all",
    "any",
]
COMBINED = frozenset({"all", "any"})  # of other rules; they have no measure of their own
Window = Annotated[Duration, at_most("28d")]  # as far back as watch knows what is usual
Quiet = Annotated[Positive, at_most("48h")]  # watch remembers for so long what it told
SOURCES = 32  # different ones that a bucket of a window tells apart; the others are counted together
_MEASURED = frozenset({"count", "sources", "negative_share", "severity", "engagement", "signal"})  # by a baseline
_MOST = {"negative_share": 1.0, "severity": 3.0, "sources": float(SOURCES)}  # what is measured is never more
# Keys that belong to some kinds only.
_ONLY: dict[str, frozenset[str]] = {
    "signal": frozenset({"signal", "baseline", "event"}),
    "ratio": _MEASURED,
    "p": _MEASURED,
    "min_posts": frozenset(get_args(Kind)) - {"engagement"},  # old posts may gain reactions, too
    "min_sources": frozenset({"event"}),
    "sources": frozenset({"absence"}),
    "min_severity": frozenset({"signal", "event"}),
    "min_negative": frozenset({"event"}),
    "min_reactions": frozenset({"event"}),
    "single": frozenset({"signal"}),
    "rules": COMBINED,
    "quiet": _MEASURED | {"event", "new_term"},
    "resolve_below": _MEASURED | {"event", "new_term"},
    "for": frozenset(get_args(Kind)) - {"baseline", "absence"},
}


class Rule(Block):
    """A measure over a window against a fixed threshold, against the topic's own baseline, or both.

    Kind baseline leaves the judgement to the detector of surges (alerts/detector.py).
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str = ""
    kind: Kind
    topics: list[str] = Field(default=["*"], min_length=1)
    signal: str = ""  # kind signal: one of the nine; kinds baseline and event: instead of posts, of voices
    window: Window = timedelta(hours=1)
    threshold: float | None = Field(default=None, gt=0)  # of what the kind measures
    ratio: float | None = Field(default=None, gt=1)  # so many times the baseline
    p: float | None = Field(default=None, gt=0, lt=1)  # and as unlikely as this, if nothing had changed
    min_posts: int = Field(default=3, ge=1)
    min_voices: int = Field(default=1, ge=1)
    min_sources: int = Field(default=1, ge=1)  # kind event
    single: bool = False  # kind signal: what the likeliest post says, not all of them together
    min_severity: float = Field(default=0.0, ge=0, le=3)  # kinds signal and event: of the gravest text
    min_negative: float = Field(default=0.0, ge=0, le=1)  # kind event: share of its posts
    min_reactions: int = Field(default=0, ge=0)  # kind event: that its posts gained
    sources: list[str] = []  # kind absence: silence of these, by themselves; none: of the topic
    rules: list[str] = []  # kinds all and any: names of rules above
    for_: Duration = Field(default=timedelta(0), alias="for")  # it must hold so long
    resolve_below: float | None = Field(default=None, gt=0)  # once it holds, it goes on down to this
    quiet: Quiet | None = None  # none: decide.quiet
    alert: bool = True  # False: it only counts within others
    level: Level = 1
    sure: float | None = Field(default=None, ge=0, lt=1)  # told from this chance on, whatever the budget says

    @model_validator(mode="after")
    def _can_fire(self) -> Rule:
        self._has_only_its_own_keys()
        if (self.kind == "signal" or self.signal) and self.signal not in SIGNALS:
            raise ValueError(Said("error.config.signal", known=", ".join(SIGNALS), got=self.signal))
        if self.kind == "baseline":
            return self._is_left_to_the_detector()
        if self.kind in COMBINED:
            if not self.rules:
                raise ValueError(Said("error.config.combined", kind=self.kind))
        elif self.kind == "absence":
            if self.window < timedelta(minutes=10):
                raise ValueError(Said("error.config.short_silence"))
        elif self.threshold is None and self.ratio is None and self.p is None:
            raise ValueError(Said("error.config.never_fires"))
        if self.threshold is not None and self.threshold > _MOST.get(self.kind, self.threshold):
            raise ValueError(
                Said(f"error.config.most_{self.kind}", most=f"{_MOST[self.kind]:g}", got=f"{self.threshold:g}")
            )
        if self.resolve_below is not None and (self.threshold is None or self.resolve_below >= self.threshold):
            raise ValueError(Said("error.config.resolve_below"))
        if self.window <= timedelta(0):
            raise ValueError(Said("error.config.no_window"))
        return self

    @property
    def fewest(self) -> int:
        """Posts that a window needs."""
        return 0 if self.kind == "engagement" else self.min_posts

    def watches(self, topic: str) -> bool:
        """Whether it is asked of a topic."""
        return "*" in self.topics or topic in self.topics

    def _has_only_its_own_keys(self) -> None:
        given = {Rule.model_fields[name].alias or name for name in self.model_fields_set}
        for key in sorted(given & _ONLY.keys()):
            if self.kind not in _ONLY[key] and not (self.kind == "baseline" and key in {"ratio", "p"}):  # told below
                kinds = either(f"'{kind}'" for kind in get_args(Kind) if kind in _ONLY[key])
                raise ValueError(Said("error.config.other_kind", key=key, kinds=kinds, got=self.kind))

    def _is_left_to_the_detector(self) -> Rule:
        if self.ratio is not None or self.p is not None or self.window != timedelta(hours=1):
            raise ValueError(Said("error.config.baseline"))
        return self


class RulesFile(Block):
    """rules.toml."""

    rule: list[Rule] = []

    @model_validator(mode="after")
    def _names_differ(self) -> RulesFile:
        if names := twice(rule.name for rule in self.rule):
            raise ValueError(Said("error.config.twice_rules", names=names))
        return self

    @model_validator(mode="after")
    def _combine_rules_above(self) -> RulesFile:
        above: list[str] = []
        for rule in self.rule:
            for name in rule.rules:
                if name not in above:
                    known = ", ".join(above) or Said("error.config.rule_above")
                    raise ValueError(Said("error.config.not_above", rule=rule.name, name=name, known=known))
            above.append(rule.name)
        return self

    @model_validator(mode="after")
    def _each_can_tell(self) -> RulesFile:
        """A rule that only counts within others, and is within none, would tell nobody of anything."""
        members = {name for rule in self.rule for name in rule.rules}
        if mute := [rule.name for rule in self.rule if not rule.alert and rule.name not in members]:
            raise ValueError(Said("error.config.never_told", rule=mute[0]))
        return self
