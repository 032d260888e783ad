"""[budget] of tingchao.toml: how many alerts a shift staff can take."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, field_validator

from tingchao.config.intervals import TimeOfDay
from tingchao.config.language import Said
from tingchao.config.load import Block, Positive


class BudgetSettings(Block):
    """At most so many alerts a shift, by level; what is beyond comes as one digest at the shift's end."""

    notice: int | None = Field(default=None, ge=0)  # level 1; None: no limit
    warning: int | None = Field(default=None, ge=0)  # level 2
    grave: int | None = Field(default=None, ge=0)  # level 3
    shifts: list[TimeOfDay] = Field(default=["08:00", "20:00"], min_length=1)  # their beginnings, in Beijing
    history: Positive = timedelta(days=28)  # that the thresholds rest on; four weeks have all weekdays evenly
    precision: float = Field(default=0.5, ge=0, lt=1)  # wanted at least, once there are verdicts

    @field_validator("shifts")
    @classmethod
    def _in_order(cls, shifts: list[str]) -> list[str]:
        if sorted(set(shifts)) != shifts or "24:00" in shifts:
            raise ValueError(Said("error.config.shifts"))
        return shifts

    def most(self, level: int) -> int | None:
        """The limit of a level."""
        return (self.notice, self.warning, self.grave)[level - 1]
