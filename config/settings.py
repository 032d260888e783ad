"""All settings of one installation: tingchao.toml, sources.toml, topics.toml, rules.toml and routes.toml."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from tingchao.config.budget import BudgetSettings
from tingchao.config.channels import Alertmanager, Robot
from tingchao.config.cluster import KafkaSettings, LogSettings, fault
from tingchao.config.elastic import ElasticSettings, StoreSettings
from tingchao.config.language import Said
from tingchao.config.load import (
    DEFAULTS,
    Block,
    ConfigError,
    Duration,
    Filled,
    Folder,
    Positive,
    SecretAddress,
    SecretFile,
    read,
)
from tingchao.config.matchers import ALL_SOURCES, KINDS, ONE_SOURCE, SOURCE_KINDS, STATES
from tingchao.config.mistakes import twice
from tingchao.config.routes import RoutesFile, loose_ends
from tingchao.config.rules import Rule, RulesFile
from tingchao.config.signals import SIGNALS
from tingchao.config.sources import Source, SourcesFile
from tingchao.config.topics import Topic, TopicsFile

Language = Literal["zh", "en"]
FILES = ("tingchao.toml", "sources.toml", "topics.toml", "rules.toml", "routes.toml")


class CrawlSettings(Block):
    """How sources are visited. Robots are always obeyed: there is no setting for that."""

    user_agent: Filled = "Tingchao/0.1 (+https://example.org/tingchao; public-opinion monitoring)"
    contact: str = ""  # an e-mail address or page for site owners; joins the user agent
    delay: Duration = timedelta(seconds=1)  # between two requests to one site; AutoThrottle only lengthens it
    requests_per_site: int = Field(default=1, ge=1, le=8)
    timeout: Positive = timedelta(seconds=20)
    page_limit: int = Field(default=8 * 1024 * 1024, ge=1024)  # bytes, after decompression
    retries: int = Field(default=2, ge=0, le=10)


class PageSettings(Block):
    """The page with the live alert feed."""

    host: Filled = "127.0.0.1"
    port: int = Field(default=8760, ge=0, le=65535)
    token_file: SecretFile | None = None  # needed for any host but loopback

    @model_validator(mode="after")
    def _only_loopback_without_token(self) -> PageSettings:
        if self.host not in {"127.0.0.1", "::1", "localhost"} and self.token_file is None:
            raise ValueError(Said("error.config.open_page", host=self.host))
        return self


class KeepSettings(Block):
    """How long what is kept."""

    log: Positive = timedelta(days=7)
    posts: Positive = timedelta(days=180)
    verdicts: Positive = timedelta(days=730)  # judged posts, from which models may learn
    lateness: Positive = timedelta(days=2)  # later posts count as late; voices' keys are destroyed after it


class ModelsSettings(Block):
    """Where models lie that were trained here."""

    dir: Folder | None = None  # by default a folder beside the database; the shipped model until one is promoted


class DecideSettings(Block):
    """When an alert ends, comes late, or is told again."""

    quiet: Positive = timedelta(hours=2)  # an alert without a new candidate for so long resolves itself
    past: Positive = timedelta(hours=1)  # what lies further behind the clock is recorded and not sent
    false_discoveries: float = Field(default=0.1, gt=0, le=1)  # of alerts that rest on chance; 1 is no control


class Webhook(Block):
    """POSTs alerts as JSON."""

    kind: Literal["webhook"]
    name: Filled
    url: SecretAddress
    token_file: SecretFile | None = None  # sent as `Authorization: Bearer …`
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Positive = timedelta(seconds=10)


class Mail(Block):
    """Sends alerts by SMTP."""

    kind: Literal["mail"]
    name: Filled
    host: Filled
    port: int = Field(default=25, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "none"
    user: str = ""
    password_file: SecretFile | None = None
    sender: Filled
    to: list[Filled] = Field(min_length=1)
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Positive = timedelta(seconds=20)


class Terminal(Block):
    """Prints alerts where `tingchao up` runs."""

    kind: Literal["terminal"]
    name: Filled = "terminal"
    min_level: int = Field(default=1, ge=1, le=3)


Channel = Annotated[Webhook | Mail | Terminal | Alertmanager | Robot, Field(discriminator="kind")]


class MainFile(Block):
    """tingchao.toml."""

    language: Language = "zh"
    crawl: CrawlSettings = CrawlSettings()
    page: PageSettings = PageSettings()
    keep: KeepSettings = KeepSettings()
    models: ModelsSettings = ModelsSettings()
    decide: DecideSettings = DecideSettings()
    budget: BudgetSettings = BudgetSettings()
    store: StoreSettings = StoreSettings()
    elasticsearch: ElasticSettings = ElasticSettings()
    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    notify: list[Channel] = [Terminal(kind="terminal")]

    @model_validator(mode="after")
    def _names_differ(self) -> MainFile:
        if names := twice(channel.name for channel in self.notify):
            raise ValueError(Said("error.config.twice_channels", names=names))
        return self


@dataclass(frozen=True, slots=True)
class Settings:
    """What one installation runs with."""

    main: MainFile
    sources: tuple[Source, ...]
    topics: tuple[Topic, ...]
    rules: tuple[Rule, ...]
    routes: RoutesFile = field(default_factory=RoutesFile)


B = TypeVar("B", bound=Block)


def load(directory: Path | None = None, kinds: Collection[str] = ()) -> Settings:
    """Settings from the five files in `directory`; a file that is not there is the one that ships with the project.

    `kinds` are the kinds of sources, where the caller knows them. Raises ConfigError with all mistakes of all files,
    and with names that one file uses and another does not have, as far as both can be read.
    """
    if directory is not None and not directory.is_dir():
        raise ConfigError([Said("error.config.no_folder", folder=directory)])
    mistakes: list[str] = list(_strangers(directory) if directory is not None else ())
    unread: set[str] = set()

    def file(name: str, kind: type[B]) -> B:
        try:
            return read(directory, name, kind)
        except ConfigError as err:
            mistakes.extend(err.mistakes)
            unread.add(name)
            return kind()

    settings = Settings(
        file("tingchao.toml", MainFile),
        tuple(file("sources.toml", SourcesFile).source),
        tuple(file("topics.toml", TopicsFile).topic),
        tuple(file("rules.toml", RulesFile).rule),
        file("routes.toml", RoutesFile),
    )
    if mistakes := [*mistakes, *_loose_ends(settings, kinds, unread)]:
        raise ConfigError(mistakes)
    return settings


def _strangers(directory: Path) -> Iterator[Said]:
    """Files that look like settings and that nobody would read. Copies of our other files are none: they do no harm."""
    ours = {file.name for file in DEFAULTS.glob("*.toml")}
    for file in sorted(directory.iterdir()):
        if file.suffix.lower() != ".toml" or file.name in ours or file.name.startswith("."):
            continue
        if near := difflib.get_close_matches(file.stem.lower(), [name.removesuffix(".toml") for name in FILES], n=1):
            yield Said("error.config.near_file", file=file, near=f"{near[0]}.toml")
        else:
            yield Said("error.config.unknown_file", file=file, known=", ".join(FILES))


def unreadable_files(main: MainFile) -> list[Said]:
    """Files with secrets that are set, and not there or empty, of all that is in use.

    Not asked by `load`: a machine has the secrets of its own roles only.
    """
    blocks: list[tuple[str, Block]] = [("page", main.page)]
    blocks += [("kafka", main.kafka)] if main.log.kind == "kafka" else []
    blocks += [("elasticsearch", main.elasticsearch)] if main.store.kind == "elasticsearch" else []
    blocks += [(f"notify[{number}] ({channel.name})", channel) for number, channel in enumerate(main.notify, 1)]
    named = [(f"{place}.{key}", value) for place, block in blocks for key, value in block if key.endswith("_file")]
    found = [fault(setting, file) for setting, file in named if file is not None]
    return [one for one in found if one is not None]


def loose_rules(
    file: object, rules: Iterable[Rule], settings: Settings, unread: Collection[str] = ()
) -> Iterator[Said]:
    """Topics and sources that rules of `file` name and the settings do not have."""
    rules = list(rules)
    yield from _no_topics(f"{file}: rule", [(rule.name, rule.topics) for rule in rules], settings, unread)
    sources = {source.name for source in settings.sources}
    known = ", ".join(sorted(sources))
    for rule in rules if "sources.toml" not in unread else ():
        for name in rule.sources:
            if name not in sources:
                yield Said("error.config.no_source", file=file, rule=rule.name, name=name, known=known)


def label_values(settings: Settings) -> dict[str, Collection[str]]:
    """What the labels of alerts can be; without those of which not all values are known."""
    return {
        "topic": {topic.name for topic in settings.topics}
        | {ALL_SOURCES, *(ONE_SOURCE + source.name for source in settings.sources)},
        "rule": {rule.name for rule in settings.rules} | SOURCE_KINDS,
        "signal": set(SIGNALS),
        "level": {"1", "2", "3"},
        "kind": KINDS,
        "state": STATES,
    }


def _no_topics(
    place: str, users: Iterable[tuple[str, list[str]]], settings: Settings, unread: Collection[str]
) -> Iterator[Said]:
    known = {topic.name for topic in settings.topics}
    for name, topics in users if "topics.toml" not in unread else ():
        for topic in topics:
            if topic != "*" and topic not in known:
                yield Said("error.config.no_topic", place=place, name=name, topic=topic, known=", ".join(sorted(known)))


def _loose_ends(settings: Settings, kinds: Collection[str], unread: Collection[str]) -> Iterator[str]:
    """Names that one file uses and another does not have, unless that could not be read."""
    for source in settings.sources:
        if kinds and source.kind not in kinds:
            yield Said("error.config.no_kind", name=source.name, kind=source.kind, known=", ".join(sorted(kinds)))
    users = [(source.name, source.topics) for source in settings.sources]
    yield from _no_topics("sources.toml: source", users, settings, unread)
    yield from loose_rules("rules.toml", settings.rules, settings, unread)
    if {"tingchao.toml", "sources.toml", "topics.toml", "rules.toml"} & set(unread):
        return
    channels = [channel.name for channel in settings.main.notify]
    for key, wrong in loose_ends(settings.routes, channels, label_values(settings)):
        yield Said("error.config.unshown", file="routes.toml", key=key, message=wrong)
