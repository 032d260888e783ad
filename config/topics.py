"""topics.toml: what is watched. Topics, never people."""

from __future__ import annotations

from pydantic import Field, model_validator

from tingchao.config.language import Said
from tingchao.config.load import Block, Word
from tingchao.config.mistakes import twice
from tingchao.config.names import is_person

# Words that nearly every post has: beside a name they ask for nothing more.
_SAYS_NOTHING = frozenset("的了是在和与及或被将把对给于就都也很这那有不我你他她人一说")


class Near(Block):
    """Words that stand within so many characters of each other."""

    words: list[Word] = Field(min_length=2)
    within: int = Field(default=10, ge=1, le=200)


class Topic(Block):
    """A query over the text of a post: any of these, all of these, none of these, and these near each other."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str
    any: list[Word] = []
    all: list[Word] = []
    none: list[Word] = []
    near: list[Near] = []

    @model_validator(mode="after")
    def _looks_for_something(self) -> Topic:
        if not (self.any or self.all or self.near):
            raise ValueError(Said("error.config.no_words"))
        return self

    @model_validator(mode="after")
    def _is_no_person(self) -> Topic:
        if names := self._alone():
            raise ValueError(Said("error.config.person", topic=self.name, names=", ".join(names)))
        return self

    def _alone(self) -> list[str]:
        """Names of persons with which a post matches although it has no other word of the topic; none is well.

        All clauses must hold together, so one clause that only another word can meet is enough.
        """
        clauses = [[word] for word in self.all if word not in _SAYS_NOTHING] + ([list(self.any)] if self.any else [])
        met = [[word for word in clause if is_person(word)] for clause in clauses]
        met += [near.words if all(is_person(word) for word in near.words) else [] for near in self.near]
        return [name for names in met for name in names] if all(met) else []


def found_by(topic: Topic) -> list[str]:
    """The words by which posts of a topic are found, each once: all of its posts have some of them."""
    return list(dict.fromkeys([*topic.any, *topic.all, *(word for near in topic.near for word in near.words)]))


class TopicsFile(Block):
    """topics.toml."""

    topic: list[Topic] = []

    @model_validator(mode="after")
    def _names_differ(self) -> TopicsFile:
        if names := twice(topic.name for topic in self.topic):
            raise ValueError(Said("error.config.twice_topics", names=names))
        return self
