"""The connection to Elasticsearch, and its errors under names of ours."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    ConnectionTimeout,
    Elasticsearch,
    NotFoundError,
    SSLError,
    TransportError,
    UnsupportedProductError,
)

from tingchao.config.elastic import ElasticSettings
from tingchao.pipeline.errors import Refused, Retry

# What answers like that is not ready, or has too much to do: too many requests, and all faults of the server.
_BUSY = frozenset({429, 500, 502, 503, 504})
_GONE = frozenset({"search_context_missing_exception", "index_not_found_exception"})
_WAIT = 2.0  # seconds before the next try where an operator or a restart must help


def connect(settings: ElasticSettings) -> Elasticsearch:
    """A client; nothing is sent yet. Raises ConfigError when a secret cannot be read, Refused for a wrong CA."""
    # The transport tells of each failed attempt; the one error that comes of them tells enough.
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)
    options = settings.log_in()
    if settings.ca_file is not None:
        try:
            options["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file)
        except OSError as err:
            raise Refused(f"elasticsearch.ca_file {settings.ca_file}: {err}; expected a PEM file") from err
    return Elasticsearch(settings.urls, request_timeout=settings.timeout.total_seconds(), **options)


@contextmanager
def named() -> Iterator[None]:
    """Errors of the cluster and of the way to it become Retry with a reason; a wrong request of ours stays as it is."""
    try:
        yield
    except ConnectionTimeout as err:
        raise _retry("timeout", f"no answer in time ({err.message}); look at the load of the cluster") from err
    except SSLError as err:
        raise _retry("tls", f"{err.message}; look at urls and ca_file in [elasticsearch]") from err
    except TransportError as err:
        raise _retry("unreachable", f"{err.message}; look at urls in [elasticsearch] and whether it runs") from err
    except AuthenticationException as err:
        raise _retry("login", "log-in refused; look at user, password_file, api_key_file in [elasticsearch]") from err
    except AuthorizationException as err:
        raise forbidden(*cause(err.body)) from err
    except UnsupportedProductError as err:
        raise _retry("product", f"{err.message}; expected Elasticsearch 9") from err
    except NotFoundError as err:
        kind, reason = cause(err.body)
        if kind not in _GONE:
            raise
        raise missing(f"what was being read has been replaced or has aged out ({reason}); try again") from err
    except ApiError as err:
        if err.status_code not in _BUSY:
            raise
        raise busy(*cause(err.body)) from err


def cause(body: Any) -> tuple[str, str]:
    """Type and reason of an error in an answer, without the values that were sent."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        return "error", str(error)
    inner = (error.get("root_cause") or error.get("failed_shards") or [error])[0]
    inner = inner.get("reason", inner) if isinstance(inner.get("reason"), dict) else inner
    reason = str(inner.get("reason", "")).partition("Preview of field's value")[0]
    return str(inner.get("type", "error")), reason[:300].strip()


def forbidden(kind: str, reason: str) -> Retry:
    """What a 403 means: a block on an index, or a right that is missing."""
    if kind == "cluster_block_exception":
        return busy(kind, reason)
    return _retry("rights", f"{reason or 'it answers 403'}; docs/deploy.md lists the rights that each role needs")


def busy(kind: str, reason: str) -> Retry:
    """What a 429 or 5xx means."""
    if kind == "cluster_block_exception":
        return _retry(
            "blocked", f"{reason} Free disk space if it is full; after a replay that was killed run `tingchao setup`"
        )
    return _retry("busy", f"{kind}: {reason}")


def mapping(message: str) -> Retry:
    """The cluster's mapping is not the one that this program writes for."""
    return _retry("mapping", f"{message}; run `tingchao setup` of this version, then all goes on")


def missing(message: str) -> Retry:
    """An index, or the template that indices are made of, is not there."""
    return _retry("missing", message)


def _retry(name: str, message: str) -> Retry:
    return Retry(f"elasticsearch.{name}: {message}", _WAIT, f"elasticsearch.{name}")
