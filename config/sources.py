"""sources.toml: what is crawled."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from pydantic import Field, field_validator, model_validator

from tingchao.config.language import Said
from tingchao.config.load import Block, Duration


class Source(Block):
    """One public feed or site."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str = ""  # for people
    kind: str  # the name of a spider: feed, site, or one of your own
    url: str = Field(pattern=r"^https?://[^\s/]+")  # the feed, or the page with the list
    every: Duration = timedelta(minutes=15)
    topics: list[str] = Field(min_length=1)  # names from topics.toml, or "*"
    posts: str = "news"  # the kind of its posts: news, post, forum, notice, …
    articles: str = ""  # site: regular expression that the URLs of its articles match; '' = found by the list itself
    encoding: str = ""  # only where a site declares a wrong one and guessing fails
    limit: int = Field(default=50, ge=1, le=1000)  # articles fetched per visit at most
    enabled: bool = True
    tried: bool = False  # somebody has fetched it and looked at what came
    options: dict[str, Any] = {}  # for spiders of your own

    @field_validator("articles")
    @classmethod
    def _is_a_pattern(cls, articles: str) -> str:
        try:
            re.compile(articles)
        except re.error as err:
            raise ValueError(f"not a regular expression: {err}") from err
        return articles

    @field_validator("every")
    @classmethod
    def _not_too_often(cls, every: timedelta) -> timedelta:
        if every < timedelta(seconds=1):
            raise ValueError("expected at least '1s'")
        return every


class SourcesFile(Block):
    """sources.toml."""

    source: list[Source] = []

    @model_validator(mode="after")
    def _names_differ(self) -> SourcesFile:
        names = [source.name for source in self.source]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(Said("error.config.twice_sources", names=", ".join(twice)))
        return self
