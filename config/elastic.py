"""Settings of a cluster: where posts are searched, and how Elasticsearch is reached."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from tingchao.config.cluster import secret
from tingchao.config.language import Said
from tingchao.config.load import Block, Positive, SecretFile
from tingchao.config.mistakes import UNSHOWN, wrong

_API_KEY = "TINGCHAO_ELASTICSEARCH_API_KEY"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise wrong(Said("error.config.password_in_url"), UNSHOWN)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(Said("error.config.elastic_url"))
    return url


class StoreSettings(Block):
    """Where scored posts are kept and searched."""

    kind: Literal["sqlite", "elasticsearch"] = "sqlite"


class ElasticSettings(Block):
    """An Elasticsearch cluster, version 9. Used when store.kind is elasticsearch."""

    # Of some nodes; one that fails is passed over.
    urls: list[Annotated[str, AfterValidator(_address)]] = Field(default=["http://127.0.0.1:9200"], min_length=1)
    # Begins the names of all indices, so that several installations share a cluster.
    prefix: str = Field(default="tingchao", pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    ca_file: SecretFile | None = None  # who vouches for the servers' certificates; None: the machine's authorities
    user: str = ""
    password_file: SecretFile | None = None  # or TINGCHAO_ELASTICSEARCH_PASSWORD
    api_key_file: SecretFile | None = None  # in place of a user; or TINGCHAO_ELASTICSEARCH_API_KEY
    timeout: Positive = timedelta(seconds=30)  # of one request
    shards: int = Field(default=1, ge=1, le=1024)  # of a month's index, when it is made
    replicas: str = Field(default="0-1", pattern=r"^\d+-(\d+|all)$")  # least and most copies, as there are nodes

    @model_validator(mode="after")
    def _secrets_travel_encrypted(self) -> ElasticSettings:
        if (self.user or self.password_file or self.api_key_file) and any(map(_in_the_clear, self.urls)):
            raise ValueError(Said("error.config.in_the_clear"))
        if self.user and self.api_key_file:
            raise ValueError(Said("error.config.two_log_ins"))
        return self

    def log_in(self) -> dict[str, Any]:
        """What the client takes: user and password, or an API key. Raises ConfigError, which never contains them."""
        if self.user:
            password = secret("elasticsearch.password_file", self.password_file, "TINGCHAO_ELASTICSEARCH_PASSWORD")
            return {"basic_auth": (self.user, password)}
        if self.api_key_file is not None or os.environ.get(_API_KEY):
            return {"api_key": secret("elasticsearch.api_key_file", self.api_key_file, _API_KEY)}
        return {}


def _in_the_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK
