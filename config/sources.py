"""sources.toml: what is crawled."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails

from tingchao.config.language import Said
from tingchao.config.load import Block, Duration, Filled, WebAddress
from tingchao.config.mistakes import twice, wrong

# What the spiders that ship take in `options` (crawlers/feed.py, site.py); of others this file knows nothing.
_OPTIONS: dict[str, dict[str, type]] = {"feed": {"full_text": bool}, "site": {}}


class Source(Block):
    """One public feed or site."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str = ""  # for people
    kind: Filled  # the name of a spider: feed, site, or one of your own
    url: WebAddress  # the feed, or the page with the list
    every: Duration = timedelta(minutes=15)
    topics: list[str] = Field(min_length=1)  # names from topics.toml, or "*"
    posts: Filled = "news"  # the kind of its posts: news, post, forum, notice, …
    articles: str = ""  # site: regular expression that the URLs of its articles match; '' = found by the list itself
    encoding: str = ""  # only where a site declares a wrong one and guessing fails
    limit: int = Field(default=50, ge=1, le=1000)  # articles fetched per visit at most
    enabled: bool = True
    tried: bool = False  # somebody has fetched it and looked at what came
    options: dict[str, Any] = {}  # of its kind; what spiders of your own take is theirs to say

    @field_validator("articles")
    @classmethod
    def _is_a_pattern(cls, articles: str) -> str:
        try:
            re.compile(articles)
        except re.error as err:
            raise ValueError(Said("error.config.pattern", error=err)) from err
        return articles

    @field_validator("encoding")
    @classmethod
    def _is_a_charset(cls, encoding: str) -> str:
        try:
            b"-".decode(encoding or "utf-8", "replace")
        except (LookupError, ValueError) as err:
            raise ValueError(Said("error.config.encoding")) from err
        return encoding

    @field_validator("options")
    @classmethod
    def _are_of_the_kind(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if (known := _OPTIONS.get(info.data.get("kind", ""))) is None:
            return options
        mistakes = []
        for name, value in options.items():
            if not known:
                expected = Said("error.config.no_options", kind=info.data["kind"])
            elif name not in known:
                expected = Said("error.config.option", kind=info.data["kind"], known=", ".join(known))
            elif not isinstance(value, known[name]):
                expected = Said("error.config.expected.bool_type")
            else:
                continue
            mistakes.append(InitErrorDetails(type=wrong(expected), loc=(name,), input=value))
        if mistakes:
            raise ValidationError.from_exception_data("options", mistakes)
        return options

    @field_validator("every")
    @classmethod
    def _not_too_often(cls, every: timedelta) -> timedelta:
        if every < timedelta(seconds=1):
            raise ValueError(Said("error.config.too_often"))
        return every


class SourcesFile(Block):
    """sources.toml."""

    source: list[Source] = []

    @model_validator(mode="after")
    def _names_differ(self) -> SourcesFile:
        if names := twice(source.name for source in self.source):
            raise ValueError(Said("error.config.twice_sources", names=names))
        return self
