"""What is usual for a topic: from the hours of the past weeks to what a window should hold, and how unlikely more is.

Counts are over-dispersed, so the test is a negative-binomial one. With m the weighted mean of the past hours and v
their variance, v = m + m²/r gives the size r; the uncertainty of m itself, a Gamma(a, w) after a Jeffreys prior, adds
its own share: 1/size = 1/r + 1/a. Outbreaks of the past are weighted down, as in Farrington et al. 1996 with the
threshold of Noufaily et al. 2013.

Shares are over-dispersed too: what one post says of a matter, others of that hour repeat. With rho, the correlation of
two posts of one hour, n posts say as much as n / (1 + (n - 1) rho) independent ones (Rao and Scott 1992, "A simple
method for the analysis of clustered binary data"); on so many, less the uncertainty of the usual share itself, the test
is a binomial one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from tingchao.alerts.season import MEMORY, Numbers, Past, weights

COLD = 24  # slots of history below which nothing is called usual: of hours one whole day
_JEFFREYS = 0.5  # Gamma(1/2, 0), the usual prior for a rate of which nothing is known
_JUDGED = 20.0  # posts (weighted) that a share must have been seen on
ALIKE = 0.05  # correlation of two posts of one hour of which nothing is known (a guess), worth `_JUDGED` pairs
_OUTBREAK = 2.58  # standardised Anscombe residual above which an hour counts less (Noufaily et al. 2013)
_UPPER = 0.9
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Usual:
    """How many are to be expected in a window, and the size of the negative-binomial distribution around it."""

    expected: float
    size: float

    def tail(self, observed: float) -> float:
        """Chance of at least `observed` if nothing had changed; also between whole numbers."""
        if observed <= 0:
            return 1.0
        return float(betainc(observed, self.size, self.expected / (self.expected + self.size)))

    def times(self, coverage: float) -> Usual:
        """The same where only so much of it can be seen (0-1)."""
        return self if coverage == 1 else Usual(self.expected * coverage, self.size)


@dataclass(frozen=True, slots=True)
class UsualShare:
    """Which share is usual, as of negative posts, how alike the posts of one hour are, and how well that is known."""

    expected: float  # 0-1
    alike: float = 0.0  # correlation of two posts of one hour, 0-1
    unsure: float = 0.0  # variance of `expected`, in units of that of a single post

    def tail(self, share: float, posts: int) -> float:
        """Chance of at least so large a share of so many posts, if nothing had changed."""
        if share <= 0 or posts <= 0:
            return 1.0
        worth = 1 / ((1 + (posts - 1) * self.alike) / posts + self.unsure)  # as many independent posts
        return float(betainc(share * worth, (1 - share) * worth + 1, self.expected))


def usual(past: Past, at: float, length: float) -> Usual | None:
    """What a window of `length` slots around the time `at` should hold; None when there is too little history."""
    past = _known(past)
    if past.known is None or past.known.sum() < COLD:
        return None
    own = weights(past, at)
    rates = past.values / np.maximum(past.known, 1e-9)
    # The first look is at rates cut at their upper tenth: a long outbreak would hide itself behind its own variance.
    mean, spread = _moments(np.minimum(rates, np.quantile(rates[past.known > 0], _UPPER)), own)
    robust = own
    for _ in range(_ROUNDS):
        robust = own * _trust(rates, mean, spread)
        mean, spread = _moments(rates, robust)
    total = float(robust.sum())
    shape = mean * total + _JEFFREYS
    excess = max(0.0, spread - mean) / mean**2 if mean > 0 else 0.0  # 1/r
    return Usual(shape / total * length, 1 / (excess + 1 / shape))


def usual_share(sums: Numbers, judged: Numbers, first: int, at: float) -> UsualShare | None:
    """The share, weighted like `usual`; None when there is too little history.

    `sums`: of what is 0-1 a post, an hour; `judged`: posts that it was known of, so that an hour without is missing.
    """
    if len(judged) < COLD:
        return None
    own = weights(Past(judged, first), at)
    posts = float(own @ judged)
    if posts < _JUDGED:
        return None
    share = (float(own @ sums) + _JEFFREYS) / (posts + 2 * _JEFFREYS)
    alike = _alike(sums, judged, own, share)
    unsure = float(own**2 @ (judged * (1 + np.maximum(judged - 1, 0) * alike))) / posts**2
    return UsualShare(share, alike, unsure)


def _alike(sums: Numbers, judged: Numbers, own: Numbers, share: float) -> float:
    """The correlation of two posts of one hour, by moments: how far hours lie from the share, beyond chance."""
    some = judged > 0
    n, own = judged[some], own[some]
    apart = (sums[some] - share * n) ** 2 / (n * share * (1 - share))  # 1 + (n - 1) rho on the average
    pairs = float(own @ (n - 1))
    return min(1.0, max(0.0, (float(own @ (apart - 1)) + ALIKE * _JUDGED) / (pairs + _JUDGED)))


def _known(past: Past) -> Past:
    """The last `MEMORY` slots, all of them known where nothing else is said."""
    known = np.ones(len(past.values)) if past.known is None else past.known
    cut = max(0, len(known) - MEMORY)
    return Past(past.values[cut:], past.first + cut, past.slot, known[cut:])


def _moments(rates: Numbers, own: Numbers) -> tuple[float, float]:
    """Weighted mean and unbiased variance."""
    total = float(own.sum())
    mean = float(own @ rates) / total
    known = total * total / float(own @ own)  # how many equally weighted slots would say as much
    spread = float(own @ (rates - mean) ** 2) / total * known / max(known - 1, 0.5)
    return mean, spread


def _trust(rates: Numbers, mean: float, spread: float) -> Numbers:
    """1 for what is usual, less for an outbreak: the squared ratio of the threshold to the residual."""
    if mean <= 0:
        return np.ones_like(rates)
    over = max(1.0, spread / mean)
    residual = 1.5 * (rates ** (2 / 3) - mean ** (2 / 3)) / (mean ** (1 / 6) * over**0.5)
    trust: Numbers = (_OUTBREAK / np.maximum(residual, _OUTBREAK)) ** 2
    return trust
