"""rules.toml: when a topic deserves an alert."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from tingchao.config.load import Block, Duration
from tingchao.config.signals import SIGNALS


class Rule(Block):
    """A measure over a window against a fixed threshold, against the topic's own baseline, or both.

    Kind baseline leaves the judgement to the detector of surges (alerts/detector.py).
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str = ""
    kind: Literal["baseline", "count", "negative_share", "signal"]
    topics: list[str] = Field(default=["*"], min_length=1)
    signal: str = ""  # kind signal: one of the nine; kind baseline: instead of posts
    window: Duration = timedelta(hours=1)
    threshold: float | None = Field(default=None, gt=0)  # posts, share (0-1), or expected number with the signal
    ratio: float | None = Field(default=None, gt=1)  # so many times the baseline
    p: float | None = Field(default=None, gt=0, lt=1)  # and as unlikely as this, if nothing had changed
    min_posts: int = Field(default=3, ge=1)
    min_voices: int = Field(default=1, ge=1)
    level: Literal[1, 2, 3] = 1

    @model_validator(mode="after")
    def _can_fire(self) -> Rule:
        if (self.kind == "signal" or (self.kind == "baseline" and self.signal)) and self.signal not in SIGNALS:
            raise ValueError(f"signal: expected one of {', '.join(SIGNALS)}, got {self.signal!r}")
        if self.kind not in {"signal", "baseline"} and self.signal:
            raise ValueError(f"signal: only for kind = 'signal' or 'baseline', got kind = {self.kind!r}")
        if self.kind == "baseline":
            return self._is_left_to_the_detector()
        if self.threshold is None and self.ratio is None and self.p is None:
            raise ValueError("the rule can never fire; give 'threshold', 'ratio' or 'p'")
        if self.kind == "negative_share" and self.threshold is not None and self.threshold > 1:
            raise ValueError(f"threshold: a share is at most 1, got {self.threshold:g}")
        if self.window <= timedelta(0):
            raise ValueError("window: expected more than '0s'")
        return self

    def _is_left_to_the_detector(self) -> Rule:
        if self.ratio is not None or self.p is not None or self.window != timedelta(hours=1):
            raise ValueError("kind = 'baseline' has its own windows, ratio and p; leave 'window', 'ratio' and 'p' out")
        return self


class RulesFile(Block):
    """rules.toml."""

    rule: list[Rule] = []

    @model_validator(mode="after")
    def _names_differ(self) -> RulesFile:
        names = [rule.name for rule in self.rule]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two rules are called {', '.join(twice)}; names must differ")
        return self
