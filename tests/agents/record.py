"""Records without a broker: as much of `confluent_kafka.Message` as the roles read."""

from collections.abc import Sequence
from typing import Any, cast

from faust.types.tuples import TP

from agents.kafka.batch import Batch, Headers

PUBLISHED_MS = 1_767_225_600_000
"""2026-01-01: later than every event of the shop's history."""


class Record:
    """One record as it comes from a poll."""

    def __init__(
        self,
        value: bytes | None,
        key: bytes | None = b"u",
        *,
        offset: int = 0,
        published_ms: int = PUBLISHED_MS,
        headers: Headers | None = None,
    ) -> None:
        self._value = value
        self._key = key
        self._offset = offset
        self._timestamp = (1, published_ms)
        self._headers = headers

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> bytes | None:
        return self._key

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return self._timestamp

    def headers(self) -> Headers | None:
        return self._headers


def batch(records: Sequence[Record], *, topic: str = "user-events", partition: int = 0) -> Batch:
    """Put records together as the poller does."""
    next_offset = records[-1].offset() + 1 if records else 0
    return Batch(TP(topic, partition), cast(Any, records), next_offset)
