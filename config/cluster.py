"""Settings of a cluster: which log, and how Kafka is reached."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tingchao.config.language import Said
from tingchao.config.load import Block, ConfigError, Filled, SecretFile


class LogSettings(Block):
    """Where records travel."""

    kind: Literal["sqlite", "kafka"] = "sqlite"


class KafkaSettings(Block):
    """A Kafka cluster, 4.0 or newer. Used when log.kind is kafka."""

    bootstrap: list[Filled] = Field(default=["127.0.0.1:9092"], min_length=1)  # host:port of some brokers
    # Begins the names of all topics, groups and transactions, so that several installations share a cluster.
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")] = "tingchao"
    partitions: int = Field(default=6, ge=1, le=200)  # of jobs, posts, scored, mentions: so many processes a stage
    replication: int = Field(default=1, ge=1, le=9)  # copies of each record; 3 on three brokers or more
    compression: Literal["none", "gzip", "lz4", "snappy", "zstd"] = "gzip"  # all but gzip need their library
    tls: bool = False
    ca_file: SecretFile | None = None  # the authority that signed the brokers' certificates; none: the system's
    mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    user: str = ""
    password_file: SecretFile | None = None  # or the password in the variable TINGCHAO_KAFKA_PASSWORD

    @model_validator(mode="after")
    def _consistent(self) -> KafkaSettings:
        if bool(self.mechanism) != bool(self.user):
            raise ValueError(Said("error.config.mechanism"))
        if self.mechanism == "PLAIN" and not self.tls:
            raise ValueError(Said("error.config.plain"))
        return self

    def password(self) -> str:
        """The user's password. Raises ConfigError, which never contains it."""
        return secret("kafka.password_file", self.password_file, "TINGCHAO_KAFKA_PASSWORD")


def secret(setting: str, file: Path | None, variable: str) -> str:
    """A secret from its file, else from a variable of the environment. Raises ConfigError, which names the setting."""
    if file is None:
        if value := os.environ.get(variable, ""):
            return value
        raise ConfigError([Said("error.config.no_secret", setting=setting, variable=variable)])
    if (found := fault(setting, file)) is not None:
        raise ConfigError([found])
    return file.read_text(encoding="utf-8").strip()


def fault(setting: str, file: Path) -> Said | None:
    """Why there is nothing to be read in a file that a setting names; None: there is. Never what stands in it."""
    try:
        if file.read_text(encoding="utf-8").strip():
            return None
    except FileNotFoundError:
        return Said("error.config.secret_missing", setting=setting, file=file)
    except (OSError, UnicodeDecodeError) as err:
        return Said("error.config.secret_unreadable", setting=setting, file=file, error=type(err).__name__)
    return Said("error.config.secret_empty", setting=setting, file=file)
