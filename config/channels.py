"""[[notify]] blocks in the formats of others: the webhook of Alertmanager, and the robots of group chats."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tingchao.config.language import Said
from tingchao.config.load import Block, Filled, Positive, SecretAddress, SecretFile, web_address


class Alertmanager(Block):
    """POSTs what Alertmanager posts to a webhook (version 4), for whatever already reads that."""

    kind: Literal["alertmanager"]
    name: Filled
    url: SecretAddress
    token_file: SecretFile | None = None  # sent as `Authorization: Bearer …`
    # Of our page, where people can look; '' for none.
    external_url: Annotated[str, AfterValidator(lambda url: url and web_address(url))] = ""
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Positive = timedelta(seconds=10)


class Robot(Block):
    """A robot of a group chat. Its URL holds a secret, so it may stand in a file of its own."""

    kind: Literal["dingtalk", "wecom", "feishu"]
    name: Filled
    url: SecretAddress = ""
    url_file: SecretFile | None = None
    secret_file: SecretFile | None = None  # signs what is sent; not with wecom
    keyword: str = ""  # where the robot takes only messages with it
    per_minute: int = Field(default=18, ge=1, le=100)  # they take 20; two for what was sent before a restart
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Positive = timedelta(seconds=10)

    @model_validator(mode="after")
    def _has_one_address(self) -> Robot:
        if bool(self.url) == (self.url_file is not None):
            raise ValueError(Said("error.config.one_address"))
        if self.kind == "wecom" and self.secret_file is not None:
            raise ValueError(Said("error.config.wecom"))
        return self
