"""The end of a transaction, as it stands in a partition."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    OffsetSpec,
)

from tests.waiting import wait_until


def end_offset(bootstrap: str, topic: str, partition: int) -> int:
    """Tell the offset behind the last record or marker of a partition."""
    at = TopicPartition(topic, partition)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return int(admin.list_offsets({at: OffsetSpec.latest()})[at].result(30).offset)


@contextmanager
def marker_written(bootstrap: str, topic: str, partition: int) -> Iterator[None]:
    """Return from the block that ends a transaction only when its marker is in the partition.

    The broker says that a transaction has ended as soon as that is decided; it writes the markers
    a moment later.
    """
    before = end_offset(bootstrap, topic, partition)
    yield
    wait_until(lambda: end_offset(bootstrap, topic, partition) == before + 1)
