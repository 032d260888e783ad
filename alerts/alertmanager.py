"""Alerts become the body of an Alertmanager webhook, version 4, so that what takes those takes ours.

The form is that of Alertmanager's documentation, "Webhook receiver": labels identify, annotations describe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tingchao.alerts import card
from tingchao.pipeline.records import ACTIVE, Alert

SEVERITY = {1: "info", 2: "warning", 3: "critical"}  # the words that Prometheus' own rules use
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time: Alertmanager's "has not ended"


def as_alertmanager(
    alerts: Sequence[Alert],
    language: str,
    *,
    receiver: str,
    group: Mapping[str, str] | None = None,
    url: str = "",
    truncated: int = 0,
) -> dict[str, Any]:
    """The body that tells of `alerts`, one group, as JSON values.

    `group` are the labels that they were grouped by, `url` is where the page is reached, `truncated` the number of
    alerts of the group that are left out.
    """
    told = [_alert(alert, language, url) for alert in alerts]
    group = dict(group or {})
    pairs = ", ".join(f'{name}="{value}"' for name, value in sorted(group.items()))
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{pairs}}}",
        "truncatedAlerts": truncated,
        "status": "firing" if any(one["status"] == "firing" for one in told) else "resolved",
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": _common([one["labels"] for one in told]),
        "commonAnnotations": _common([one["annotations"] for one in told]),
        "externalURL": url,
        "alerts": told,
    }


def _alert(alert: Alert, language: str, url: str) -> dict[str, Any]:
    active = alert.state in ACTIVE
    labels = {
        "alertname": alert.reasons[0].rule,  # the rule that held first: it stays the same while the alert grows
        "topic": alert.topic,
        "severity": SEVERITY[alert.level],
        "level": str(alert.level),
        "id": alert.id,  # two happenings of one topic and rule are two alerts
    }
    annotations = {
        "summary": card.headline(alert, language),
        "description": card.as_text(alert, language),
        "title": alert.title,
        "state": alert.state,
        "sure": f"{alert.sure:.2f}",
        "posts": str(alert.posts),
        "voices": str(alert.voices),
    }
    return {
        "status": "firing" if active else "resolved",
        "labels": labels,
        "annotations": annotations,
        "startsAt": _time(alert.since),
        "endsAt": _NEVER if active else _time(_ended(alert)),
        "generatorURL": url,
        "fingerprint": alert.id,  # 16 hexadecimal digits, as theirs
    }


def _ended(alert: Alert) -> datetime:
    ends = [change.at for change in alert.history if change.what in {"resolved", "false_alarm", "quiet"}]
    return ends[-1] if ends else alert.updated_at


def _common(facts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    if not facts:
        return {}
    first, *others = facts
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _time(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")
