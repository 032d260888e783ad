"""How Kafka is reached, what things are called there, and what its errors mean."""

from __future__ import annotations

import logging
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer
from kafka import errors as kafka_errors

from tingchao.config.cluster import KafkaSettings
from tingchao.pipeline.errors import Refused, Retry
from tingchao.pipeline.kafka_codec import quicken
from tingchao.pipeline.kafka_producer import Producer


class _Heard(logging.Handler):
    """Keeps what kafka-python only logs: why a connection to a bootstrap server failed, a refused log-in above all."""

    failure: Exception | None = None

    def emit(self, record: logging.LogRecord) -> None:
        for arg in record.args if isinstance(record.args, tuple) else ():
            if isinstance(arg, Exception) and not isinstance(arg, kafka_errors.KafkaTimeoutError):
                self.failure = self.failure if isinstance(self.failure, _WRONG_LOGIN) else arg


_heard = _Heard()
logging.getLogger("kafka.net.manager").addHandler(_heard)
# It tells of each try to reconnect; our own errors say once what is wrong.
logging.getLogger("kafka").propagate = False
logging.getLogger("kafka").addHandler(logging.NullHandler())
quicken()


_WAIT_MS = 10_000  # for an answer; Kafka's own default of 30 s is longer than a takeover may take
# A member that says nothing for so long is dead: the least that brokers accept (group.min.session.timeout.ms).
_SESSION_MS = 6_000
_HEARTBEAT_MS = 1_500
_POLL_INTERVAL_MS = 600_000  # longest time for one batch, with a state of several GB to be restored before
# A transaction whose writer died is ended by its successor at once; this is for a writer that has none.
_TRANSACTION_MS = 15_000
# After a commit the coordinator refuses the next transaction for some ms; the default of 100 ms would then be waited.
_BACKOFF_MS = 5
_BATCH_BYTES = 256 * 1024
_FETCH_BYTES = 4 * 1024 * 1024  # of one partition in one answer; more than the largest record
_MOVED = (
    kafka_errors.ProducerFencedError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.CommitFailedError,
    kafka_errors.FencedInstanceIdError,
    kafka_errors.TransactionAbortedError,
)
_WRONG_LOGIN = (
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.IllegalSaslStateError,
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Kafka cluster as an installation sees it."""

    settings: KafkaSettings
    _connection: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, settings: KafkaSettings) -> Cluster:
        """Raises ConfigError when a secret cannot be read."""
        return cls(settings, _connection(settings))

    def topic(self, name: str) -> str:
        """Kafka's name of a topic of the log."""
        return f"{self.settings.prefix}.{name}"

    def state_topic(self, group: str) -> str:
        """Kafka's name of the topic with the state of a group."""
        return f"{self.settings.prefix}.state.{_plain(group)}"

    def group(self, group: str) -> str:
        """Kafka's name of a group."""
        return f"{self.settings.prefix}.{_plain(group)}"

    def transaction(self, *parts: object) -> str:
        """A transactional id."""
        return ".".join([self.settings.prefix, *(_plain(str(part)) for part in parts)])

    def consumer(self, **options: Any) -> KafkaConsumer:
        """Reads what was committed, from the beginning when nothing else is said."""
        return self._connected(
            KafkaConsumer,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            metadata_max_age_ms=_WAIT_MS,
            max_partition_fetch_bytes=_FETCH_BYTES,
            metrics_enabled=False,
            **options,
        )

    def member(self, group: str, **options: Any) -> KafkaConsumer:
        """A consumer that shares the partitions with the others of its group."""
        return self.consumer(
            group_id=self.group(group),
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            fetch_max_wait_ms=100,  # as long may another question on the same connection wait
            **options,
        )

    def producer(self, transaction: str) -> Producer:
        """A transactional producer, not yet initialised."""
        compression = self.settings.compression
        made: Producer = self._connected(
            Producer,
            transactional_id=transaction,
            transaction_timeout_ms=_TRANSACTION_MS,
            delivery_timeout_ms=_TRANSACTION_MS,
            max_block_ms=_WAIT_MS,
            retry_backoff_ms=_BACKOFF_MS,
            batch_size=_BATCH_BYTES,
            max_request_size=_FETCH_BYTES,
            compression_type=None if compression == "none" else compression,
            allow_auto_create_topics=False,
            metadata_max_age_ms=_WAIT_MS,
            metrics_enabled=False,
        )
        return made

    def admin(self) -> KafkaAdminClient:
        """For topics, offsets and positions."""
        return self._connected(KafkaAdminClient)

    def _connected(self, kind: Callable[..., Any], **options: Any) -> Any:
        """Raises what kept it from connecting, which kafka-python gives as a time-out only."""
        _heard.failure = None
        try:
            return kind(**self._connection, **options)
        except kafka_errors.KafkaTimeoutError as err:
            if isinstance(_heard.failure, _WRONG_LOGIN):
                raise _heard.failure from None
            if _heard.failure is not None:
                raise kafka_errors.KafkaTimeoutError(f"{err.args[0]}: {_heard.failure}") from None
            raise

    @contextmanager
    def named_errors(self, doing: str) -> Iterator[None]:
        """Kafka's errors as Retry or Refused, with what was done, the cause by name and what to change."""
        try:
            yield
        except kafka_errors.KafkaConfigurationError:
            raise  # a bug of ours
        except kafka_errors.KafkaError as err:
            raise self._named(doing, err) from err

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of Kafka's topics that are not there. Raises KafkaError, also when one may not be seen."""
        admin = self.admin()
        try:
            codes = {one["name"]: one["error_code"] for one in admin.describe_topics(sorted(names))}
        finally:
            admin.close()
        denied = kafka_errors.TopicAuthorizationFailedError
        if hidden := [name for name, code in codes.items() if code == denied.errno]:
            raise denied(", ".join(hidden))
        return sorted(name for name, code in codes.items() if code)

    def _named(self, doing: str, err: kafka_errors.KafkaError) -> Retry | Refused:
        # A send after a failed one raises a general error that carries the first one's.
        err = next((one for one in err.args if isinstance(one, kafka_errors.KafkaError)), err)
        name, where = type(err).__name__, f"Kafka at {', '.join(self.settings.bootstrap)}"
        if isinstance(err, _WRONG_LOGIN):
            return Refused(
                f"{where} does not let user {self.settings.user!r} in ({name}); see kafka.user, kafka.mechanism and "
                "kafka.password_file in tingchao.toml"
            )
        if isinstance(err, kafka_errors.AuthorizationError):
            return Retry(f"{doing}: user {self.settings.user!r} lacks a right ({err}); docs/deploy.md lists them", 10)
        if isinstance(err, kafka_errors.UnknownTopicOrPartitionError):
            return Retry(f"{doing}: a topic is not there ({err}); run `tingchao setup`", 5)
        if isinstance(err, kafka_errors.MessageSizeTooLargeError | kafka_errors.RecordListTooLargeError):
            return Retry(f"{doing}: the topic takes smaller records only ({err}); run `tingchao setup`", 10)
        if isinstance(err, _MOVED):
            return Retry(f"{doing}: another process has taken over, or the member was given up ({name})", 0.1)
        # A broker may hang up on a wrong password before its answer is read.
        hint = "; if it runs, look at kafka.user and kafka.password_file" if self.settings.user else ""
        return Retry(f"{doing}: {where} does not answer as it should ({name}: {err}){hint}")


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key: the same in every process and for all time."""
    return zlib.crc32(key.encode()) % partitions


def _plain(name: str) -> str:
    """As Kafka takes it in names: letters, digits and . _ -; all else as _ and hexadecimal digits."""
    return urllib.parse.quote(name, safe=".-").replace("_", "_5F").replace("%", "_")


def _connection(settings: KafkaSettings) -> dict[str, Any]:
    given: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "client_id": settings.prefix,
        "request_timeout_ms": _WAIT_MS,
        "bootstrap_timeout_ms": _WAIT_MS,
        "reconnect_backoff_max_ms": 1000,
    }
    given["security_protocol"] = ("SASL_" if settings.mechanism else "") + ("SSL" if settings.tls else "PLAINTEXT")
    if settings.tls and settings.ca_file is not None:
        given["ssl_cafile"] = str(settings.ca_file)
    if settings.mechanism:
        given["sasl_mechanism"] = settings.mechanism
        given["sasl_plain_username"] = settings.user
        given["sasl_plain_password"] = settings.password()
    return given
