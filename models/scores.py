"""What the models say of one text."""

from __future__ import annotations

import msgspec

from tingchao.config.signals import SIGNALS


__all__ = ["SIGNALS", "Scores"]


class Scores(msgspec.Struct, frozen=True, omit_defaults=True):
    """Calibrated probabilities for one text."""

    negative: float  # negative, neutral and positive sum to 1
    neutral: float
    positive: float
    signals: tuple[float, ...]  # one probability a signal, in the order of SIGNALS
    severity: float  # expected value, 0.0-3.0
    live: float  # probability that it tells of something that is happening
    advert: float  # probability that it is advertising or spam
    given: tuple[str, ...] = ()  # signals above their fitted threshold
    lang: str = "zh"  # zh, other, none
    abstained: bool = False  # not Chinese enough to judge: the numbers are base rates
