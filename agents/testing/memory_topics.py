"""Topics in memory: append-only partitions of records, as much of Kafka as a pipeline sees."""

from collections import defaultdict
from collections.abc import Iterator
from typing import cast
from zlib import crc32

from confluent_kafka import TIMESTAMP_CREATE_TIME, Message
from faust.types.tuples import TP

from agents.kafka.batch import Batch, Output


class MemoryRecord:
    """One record, read like a `confluent_kafka.Message`."""

    __slots__ = ("_at_ms", "_offset", "_output", "_tp")

    def __init__(self, tp: TP, offset: int, output: Output, at_ms: int) -> None:
        self._tp = tp
        self._offset = offset
        self._output = output
        self._at_ms = at_ms

    def __repr__(self) -> str:
        return f"<{self._tp.topic}:{self._tp.partition}@{self._offset} {self._output.key!r}>"

    def topic(self) -> str:
        """Name its topic."""
        return self._tp.topic

    def partition(self) -> int:
        """Tell its partition."""
        return self._tp.partition

    def offset(self) -> int:
        """Tell its place in the partition."""
        return self._offset

    def key(self) -> bytes | None:
        """Tell its key."""
        return self._output.key

    def value(self) -> bytes | None:
        """Tell its value; `None` is a tombstone."""
        return self._output.value

    def headers(self) -> list[tuple[str, bytes]] | None:
        """Tell its headers, `None` when there are none."""
        return list(self._output.headers) if self._output.headers else None

    def timestamp(self) -> tuple[int, int]:
        """Tell the kind of its timestamp and, in ms, when it was published."""
        return TIMESTAMP_CREATE_TIME, self._at_ms


class MemoryTopics:
    """All topics of one run.

    Parameters
    ----------
    partitions
        How many partitions records are spread over by their key. Which key goes where is stable,
        but not Kafka's murmur2.

    Examples
    --------
    >>> topics = MemoryTopics(partitions=1)
    >>> topics.append(Output("labels", b"value", b"key", -1, None), at_ms=0)
    [<labels:0@0 b'key'>]
    >>> [record.value() for record in topics.read("labels")]
    [b'value']
    """

    def __init__(self, partitions: int) -> None:
        self.n_partitions = partitions
        self._logs: defaultdict[TP, list[MemoryRecord]] = defaultdict(list)

    def append(self, *outputs: Output, at_ms: int) -> list[MemoryRecord]:
        """Append records where they belong: a partition of -1 is that of the key."""
        appended = []
        for output in outputs:
            partition = output.partition
            if partition < 0:
                partition = 0 if output.key is None else crc32(output.key) % self.n_partitions
            if partition >= self.n_partitions:
                raise ValueError(
                    f"{output.topic} has {self.n_partitions} partitions, no {partition}"
                )
            tp = TP(output.topic, partition)
            log = self._logs[tp]
            log.append(MemoryRecord(tp, len(log), output, at_ms))
            appended.append(log[-1])
        return appended

    def read(self, topic: str) -> list[MemoryRecord]:
        """Read a topic, partition after partition."""
        tps = sorted(tp for tp in self._logs if tp.topic == topic)
        return [record for tp in tps for record in self._logs[tp]]

    def compacted(self, tp: TP) -> Iterator[tuple[bytes, bytes | None]]:
        """Read key and newest value of a partition, in the order that compaction leaves."""
        newest = {record.key(): record for record in self._logs[tp]}
        for record in sorted(newest.values(), key=MemoryRecord.offset):
            yield record.key() or b"", record.value()

    def end(self, tp: TP) -> int:
        """Tell the offset that the next record of a partition will have."""
        return len(self._logs[tp]) if tp in self._logs else 0

    def batch(self, tp: TP, start: int, *, max_records: int | None = None) -> Batch:
        """Deliver what a partition holds from an offset on."""
        end = None if max_records is None else start + max_records
        records = self._logs[tp][start:end]
        return Batch(tp, cast("list[Message]", records), start + len(records))
