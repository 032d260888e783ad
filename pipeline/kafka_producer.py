"""kafka-python's producer, of which no call waits for ever."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

_CLOSE = 2.0  # seconds for its thread to end


class Producer(KafkaProducer):  # type: ignore[misc]
    """Transactional; waits for the end of a transaction, and for its offsets, for `max_block_ms`.

    kafka-python 3.0.12 waits without a limit: for ever, when the answer is lost (a broker killed at that moment).
    Whether a transaction stands that got no answer, the next holder of its id finds out.
    """

    def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group_metadata: Any
    ) -> None:
        """Raises KafkaError."""
        self._await(self._transaction_manager.send_offsets_to_transaction(dict(offsets), group_metadata), "offsets")

    def commit_transaction(self) -> None:
        """Raises KafkaError."""
        self._await(self._transaction_manager.begin_commit(), "end")

    def drop(self) -> None:
        """End at once; an open transaction is left to the next holder of the id.

        `close` alone gives up while records wait that the broker does not take, and leaves its thread and its
        connections behind.
        """
        self._sender.force_close()
        with suppress(KafkaError):
            self.close(timeout=_CLOSE)

    def _await(self, result: Any, what: str) -> None:
        self._sender.wakeup()
        if not result.wait(timeout_ms=self.config["max_block_ms"]):
            raise KafkaTimeoutError(f"no answer about the {what} of a transaction")
