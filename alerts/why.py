"""Why a channel is told of a change of an alert, or why not: each decision has one of these reasons."""

from __future__ import annotations

from enum import StrEnum

from tingchao.pipeline.records import Alert, Delivery


class Why(StrEnum):
    """Why a channel is told of a change of an alert, or why not."""

    FIRST = "first"
    RAISED = "raised"
    RESOLVED = "resolved"
    STATE_CHANGE = "state_change"  # a false alarm, or opened again
    PAST = "past"  # recorded only, or older than the channel
    BELOW_LEVEL = "below_level"
    SUPERSEDED = "superseded"  # a later change of the same batch says more
    NO_CHANGE = "no_change"
    REPEAT = "repeat"  # told long ago, and nobody has acknowledged it
    # Decide says so, in the alert's delivery to the channel (dispatch.py):
    NOT_ROUTED = "not_routed"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    MUTED = "muted"
    GROUP_WAIT = "group_wait"
    GROUP_INTERVAL = "group_interval"
    UNPROVEN = "unproven"  # too likely by chance, with so many topics watched (discoveries.py)
    OVER_BUDGET = "over_budget"
    DIGEST = "digest"  # told late, with others that the budget had held back


# What also stops a message that already waits; a group or the budget has let that one go.
STOPS = frozenset({Why.SILENCED, Why.INHIBITED, Why.MUTED})


def delivery_to(channel: str, alert: Alert) -> Delivery:
    """What decide says of the alert to the channel; an alert from before there were routes goes to all."""
    if alert.deliveries is None:
        return Delivery(receiver=channel)
    found = (one for one in alert.deliveries if one.receiver == channel)
    return next(found, Delivery(receiver=channel, why=Why.NOT_ROUTED.value))
