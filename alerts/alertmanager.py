"""A message as Alertmanager's webhook has it (version 4): the format that most receivers of alerts already read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tingchao.alerts.card import as_text, headline
from tingchao.alerts.message import Message, plain
from tingchao.alerts.routing import labels_of
from tingchao.alerts.webhook import WebhookChannel
from tingchao.config.channels import Alertmanager
from tingchao.config.settings import Webhook
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.records import ACTIVE, Alert, Delivery

_NEVER = "0001-01-01T00:00:00Z"  # as Alertmanager writes the end of what goes on


class AlertmanagerChannel(WebhookChannel):
    """Sends as the webhook does; only the body differs."""

    def __init__(
        self, settings: Alertmanager, language: str, clock: Clock, groups: Mapping[str, Sequence[str]]
    ) -> None:
        """`groups`: by which labels each route of routes.toml groups."""
        webhook = Webhook(
            kind="webhook",
            name=settings.name,
            url=settings.url,
            token_file=settings.token_file,
            min_level=settings.min_level,
            timeout=settings.timeout,
        )
        super().__init__(webhook, language, clock)
        self.whole = True  # a group's status is of all its alerts
        self._external_url, self._groups = settings.external_url, groups

    def _content(self, message: Message) -> dict[str, Any]:
        every = [message.alert, *(one.alert for one in message.others), *message.beside]
        alerts = [self._alert(alert) for alert in every]
        delivery = next((one for one in message.alert.deliveries or () if one.receiver == self.name), None)
        return {
            "version": "4",
            "groupKey": _group_key(message.alert, delivery),
            "truncatedAlerts": 0,
            "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
            "receiver": self.name,
            "groupLabels": self._group_labels(message.alert, delivery, alerts[0]["labels"]),
            "commonLabels": _common([one["labels"] for one in alerts]),
            "commonAnnotations": _common([one["annotations"] for one in alerts]),
            "externalURL": self._external_url,
            "alerts": alerts,
        }

    def _group_labels(self, alert: Alert, delivery: Delivery | None, every: dict[str, str]) -> dict[str, str]:
        """What is the same for all messages on the group: of an alert by itself all labels, of a digest none."""
        if delivery is None or not delivery.group:
            return every
        if delivery.digest:
            return {}
        labels = labels_of(alert)
        return {name: labels[name][0] for name in self._groups.get(delivery.route, ()) if labels.get(name)}

    def _alert(self, alert: Alert) -> dict[str, Any]:
        firing = alert.state in ACTIVE
        labels = {name: ",".join(values) for name, values in labels_of(alert).items() if values and name != "state"}
        return {
            "status": "firing" if firing else "resolved",
            "labels": {"alertname": alert.reasons[0].rule, **labels},
            "annotations": {
                "summary": " ".join(plain(headline(alert, self._language)).split()),
                "description": plain(as_text(alert, self._language)),
                "state": alert.state,
                "sure": f"{alert.sure:.2f}",
            },
            "startsAt": alert.opened_at.isoformat().replace("+00:00", "Z"),
            "endsAt": _NEVER if firing else alert.updated_at.isoformat().replace("+00:00", "Z"),
            "generatorURL": self._external_url,
            "fingerprint": alert.id,
        }


def _group_key(alert: Alert, delivery: Delivery | None) -> str:
    """The same for all messages on one group; an alert by itself is its own group."""
    if delivery is None or not delivery.group:
        return f"{{}}:{alert.id}"
    return f"{{}}/{delivery.route}:{delivery.group}"


def _common(dicts: list[dict[str, str]]) -> dict[str, str]:
    """What all of them have."""
    first, *others = dicts
    return {key: value for key, value in first.items() if all(one.get(key) == value for one in others)}
