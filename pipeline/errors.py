"""The two words for what goes wrong on the way of a post; everything else is a bug and is seen.

TingchaoError
├── Retry    it may work later: wait, then the same batch again
├── Poison   it can never work: set this record aside with its reason
└── Refused  a person asked for something that is not done; the message says why and what to change
"""

from __future__ import annotations


class TingchaoError(Exception):
    """The root of all errors that this project raises on purpose."""


class Retry(TingchaoError):
    """Something outside is not ready; nothing was committed.

    `after` is the number of seconds to wait before the next try; `reason` a short dotted name to count it under.
    """

    def __init__(self, message: str, after: float = 1.0, reason: str = "") -> None:
        super().__init__(message)
        self.after, self.reason = after, reason


class Poison(TingchaoError):
    """A record that can never be processed; `reason` is a short dotted name, the message says the rest."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refused(TingchaoError):
    """A person's request that is not carried out."""
