"""All settings of one installation: tingchao.toml, sources.toml, topics.toml, rules.toml and routes.toml."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from tingchao.config.budget import BudgetSettings
from tingchao.config.channels import Alertmanager, Robot
from tingchao.config.cluster import KafkaSettings, LogSettings
from tingchao.config.elastic import ElasticSettings, StoreSettings
from tingchao.config.language import Said
from tingchao.config.load import Block, ConfigError, Duration, Folder, SecretFile, read
from tingchao.config.routes import RoutesFile, loose_ends
from tingchao.config.rules import Rule, RulesFile
from tingchao.config.signals import SIGNALS
from tingchao.config.sources import Source, SourcesFile
from tingchao.config.topics import Topic, TopicsFile

Language = Literal["zh", "en"]


class CrawlSettings(Block):
    """How sources are visited. Robots are always obeyed: there is no setting for that."""

    user_agent: str = "Tingchao/0.1 (+https://example.org/tingchao; public-opinion monitoring)"
    contact: str = ""  # an e-mail address or page for site owners; joins the user agent
    delay: Duration = timedelta(seconds=1)  # between two requests to one site; AutoThrottle only lengthens it
    requests_per_site: int = Field(default=1, ge=1, le=8)
    timeout: Duration = timedelta(seconds=20)
    page_limit: int = Field(default=8 * 1024 * 1024, ge=1024)  # bytes, after decompression
    retries: int = Field(default=2, ge=0, le=10)


class PageSettings(Block):
    """The page with the live alert feed."""

    host: str = "127.0.0.1"
    port: int = Field(default=8760, ge=0, le=65535)
    token_file: SecretFile | None = None  # needed for any host but loopback

    @model_validator(mode="after")
    def _only_loopback_without_token(self) -> PageSettings:
        if self.host not in {"127.0.0.1", "::1", "localhost"} and self.token_file is None:
            raise ValueError(f"host {self.host!r} can be reached by others: set token_file, or use 127.0.0.1")
        return self


class KeepSettings(Block):
    """How long what is kept."""

    log: Duration = timedelta(days=7)
    posts: Duration = timedelta(days=180)
    verdicts: Duration = timedelta(days=730)  # judged posts, from which models may learn
    lateness: Duration = timedelta(days=2)  # later posts count as late; voices' keys are destroyed after it


class ModelsSettings(Block):
    """Where models lie that were trained here."""

    dir: Folder | None = None  # by default a folder beside the database; the shipped model until one is promoted


class DecideSettings(Block):
    """When an alert ends, comes late, or is told again."""

    quiet: Duration = timedelta(hours=2)  # an alert without a new candidate for so long resolves itself
    past: Duration = timedelta(hours=1)  # what lies further behind the clock is recorded and not sent


class Webhook(Block):
    """POSTs alerts as JSON."""

    kind: Literal["webhook"]
    name: str
    url: str
    token_file: SecretFile | None = None  # sent as `Authorization: Bearer …`
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Duration = timedelta(seconds=10)


class Mail(Block):
    """Sends alerts by SMTP."""

    kind: Literal["mail"]
    name: str
    host: str
    port: int = Field(default=25, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "none"
    user: str = ""
    password_file: SecretFile | None = None
    sender: str
    to: list[str] = Field(min_length=1)
    min_level: int = Field(default=1, ge=1, le=3)
    timeout: Duration = timedelta(seconds=20)


class Terminal(Block):
    """Prints alerts where `tingchao up` runs."""

    kind: Literal["terminal"]
    name: str = "terminal"
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
        names = [channel.name for channel in self.notify]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"notify: two channels are called {', '.join(twice)}; names must differ")
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
    mistakes: list[str] = []
    if directory is not None and not directory.is_dir():
        raise ConfigError([Said("error.config.no_folder", folder=directory)])
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


def _loose_ends(settings: Settings, kinds: Collection[str], unread: Collection[str]) -> Iterator[str]:
    """Names that one file uses and another does not have, unless that could not be read."""
    for source in settings.sources:
        if kinds and source.kind not in kinds:
            yield Said("error.config.no_kind", name=source.name, kind=source.kind, known=", ".join(sorted(kinds)))
    known = {topic.name for topic in settings.topics}
    users = [("sources.toml: source", source.name, source.topics) for source in settings.sources]
    users += [("rules.toml: rule", rule.name, rule.topics) for rule in settings.rules]
    for place, name, topics in users if "topics.toml" not in unread else ():
        for topic in topics:
            if topic != "*" and topic not in known:
                yield Said("error.config.no_topic", place=place, name=name, topic=topic, known=", ".join(sorted(known)))
    sources = {source.name for source in settings.sources}
    for rule in settings.rules if "sources.toml" not in unread else ():
        for name in rule.sources:
            if name not in sources:
                yield Said("error.config.no_source", rule=rule.name, name=name, known=", ".join(sorted(sources)))
    if {"tingchao.toml", "topics.toml", "rules.toml"} & set(unread):
        return
    values = {
        "topic": known,
        "rule": {rule.name for rule in settings.rules},
        "signal": set(SIGNALS),
        "level": {"1", "2", "3"},
    }
    channels = [channel.name for channel in settings.main.notify]
    yield from (f"routes.toml: {key}: {wrong}" for key, wrong in loose_ends(settings.routes, channels, values))
