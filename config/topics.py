"""topics.toml: what is watched. Topics, never people."""

from __future__ import annotations

from pydantic import Field, model_validator

from tingchao.config.load import Block


class Near(Block):
    """Words that stand within so many characters of each other."""

    words: list[str] = Field(min_length=2)
    within: int = Field(default=10, ge=1, le=200)


class Topic(Block):
    """A query over the text of a post: any of these, all of these, none of these, and these near each other."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str
    any: list[str] = []
    all: list[str] = []
    none: list[str] = []
    near: list[Near] = []

    @model_validator(mode="after")
    def _looks_for_something(self) -> Topic:
        if not (self.any or self.all or self.near):
            raise ValueError("nothing to look for; give words in 'any', 'all' or 'near'")
        return self


class TopicsFile(Block):
    """topics.toml."""

    topic: list[Topic] = []

    @model_validator(mode="after")
    def _names_differ(self) -> TopicsFile:
        names = [topic.name for topic in self.topic]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two topics are called {', '.join(twice)}; names must differ")
        return self
