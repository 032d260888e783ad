"""What the models say of one text, and the names of the heads; importing this file loads nothing else."""

from __future__ import annotations

import msgspec

from tingchao.config.signals import SIGNALS

__all__ = ["HEADS", "SENTIMENTS", "SIGNALS", "ModelError", "Scores"]

SENTIMENTS = ("negative", "neutral", "positive")
# Every head that `Scorer.why` explains.
HEADS = (*SENTIMENTS, *SIGNALS, "severity", "live", "advert")


class ModelError(Exception):
    """A model file cannot be used; the message names the file and how to get a good one."""


class Scores(msgspec.Struct, frozen=True, omit_defaults=True):
    """One text as the heads see it. Every number is a calibrated probability, except `severity`."""

    negative: float  # these three sum to 1
    neutral: float
    positive: float
    signals: tuple[float, ...]  # one a signal, in the order of SIGNALS
    severity: float  # expected value, 0.0 to 3.0
    live: float  # really happening now, not advice, history, fiction or advertising
    advert: float  # advertising or spam
    given: tuple[str, ...] = ()  # signals above the threshold fitted for them
    lang: str = "zh"  # "zh" (one character alone is not judged), "other", or "none" (no letters)
    abstained: bool = False  # not Chinese enough to judge: all numbers are base rates

    def signal(self, name: str) -> float:
        """The probability of one signal by its name."""
        return self.signals[SIGNALS.index(name)]
