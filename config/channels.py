"""[[notify]] blocks in the formats of others: the webhook of Alertmanager, and the robots of group chats."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from tingchao.config.load import Block, Duration, SecretFile


class Alertmanager(Block):
    """POSTs what Alertmanager posts to a webhook (version 4), for whatever already reads that."""

    kind: Literal["alertmanager"]
    name: str
    url: str
    token_file: SecretFile | None = None  # sent as `Authorization: Bearer …`
    external_url: str = ""  # of our page, where people can look
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Duration = timedelta(seconds=10)


class Robot(Block):
    """A robot of a group chat. Its URL holds a secret, so it may stand in a file of its own."""

    kind: Literal["dingtalk", "wecom", "feishu"]
    name: str
    url: str = ""
    url_file: SecretFile | None = None
    secret_file: SecretFile | None = None  # signs what is sent; not with wecom
    keyword: str = ""  # where the robot takes only messages with it
    per_minute: int = Field(default=18, ge=1, le=100)  # they take 20; two for what was sent before a restart
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Duration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _has_one_address(self) -> Robot:
        if bool(self.url) == (self.url_file is not None):
            raise ValueError("expected one of 'url' and 'url_file'")
        if self.kind == "wecom" and self.secret_file is not None:
            raise ValueError("secret_file: wecom does not sign, its key stands in the URL")
        return self
