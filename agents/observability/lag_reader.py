"""Read the lag of consumer groups from Kafka, without joining them."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, TopicPartition

from agents.observability.lag import Lag, PartitionLag

TIMEOUT_S: Final = 5.0
LOOK_TIMEOUT_S: Final = 1.0
END: Final = KafkaError._PARTITION_EOF  # noqa: SLF001  # how the client spells it


class GroupLag:
    """Reads one group's lag, topic by topic. Blocks: keep it off the event loop.

    A consumer that never subscribes does it all. (librdkafka's admin client would ask for all
    groups at once, but crashes when a group's coordinator is still loading.)

    Parameters
    ----------
    client
        librdkafka settings: brokers, TLS, SASL.
    group
        Full name of the consumer group.
    topics
        Full names of the topics it reads; topics that do not exist yet have no lag.
    is_optional
        Where nobody has to run it: then a group that never committed has none either.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        group: str,
        topics: Sequence[str],
        *,
        is_optional: bool = False,
    ) -> None:
        self._topics = topics
        self._is_optional = is_optional
        self._partitions: defaultdict[tuple[str, int], PartitionLag] = defaultdict(PartitionLag)
        self._consumer = Consumer(
            {
                **client,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )

    def read(self, at_ms: int) -> dict[str, Lag]:
        """Tell each topic's lag: records over all partitions, seconds of the worst.

        Raises
        ------
        confluent_kafka.KafkaException
            When the brokers do not answer.
        """
        lags: dict[str, Lag] = {}
        suspicious: list[TopicPartition] = []
        positions = self._consumer.committed(self._existing(), TIMEOUT_S)
        if self._is_optional and all(each.offset < 0 for each in positions):
            return lags
        for committed in positions:
            low, end = self._consumer.get_watermark_offsets(committed, TIMEOUT_S)
            partition = self._partitions[committed.topic, committed.partition]
            # Without a committed offset (negative), or with an expired one, a group starts at low.
            position = max(committed.offset, low)
            lag = partition.observe(at_ms, position, end)
            if partition.wants_look:
                suspicious.append(TopicPartition(committed.topic, committed.partition, position))
            records, seconds = lags.get(committed.topic, Lag(0, 0.0))
            lags[committed.topic] = Lag(records + lag.records, max(seconds, lag.seconds))
        if suspicious:
            self._look(suspicious)
        return lags

    def close(self) -> None:
        """End the client."""
        self._consumer.close()

    def _existing(self) -> list[TopicPartition]:
        known = self._consumer.list_topics(timeout=TIMEOUT_S).topics
        return [
            TopicPartition(topic, partition)
            for topic in self._topics
            if topic in known
            for partition in known[topic].partitions
        ]

    def _look(self, suspicious: list[TopicPartition]) -> None:
        """Read on where the group stands, to a first record or to the end without one."""
        self._consumer.assign(suspicious)
        unanswered = {(tp.topic, tp.partition) for tp in suspicious}
        deadline = time.monotonic() + LOOK_TIMEOUT_S
        while unanswered and (left := deadline - time.monotonic()) > 0:
            message = self._consumer.poll(left)
            if message is None:
                break
            tp = (message.topic() or "", message.partition() or 0)
            error = message.error()
            if tp not in unanswered or (error and error.code() != END):
                continue
            unanswered.remove(tp)
            kind, published_ms = message.timestamp()
            if error:
                self._partitions[tp].found_nothing_before(message.offset() or 0)
            elif kind != TIMESTAMP_NOT_AVAILABLE:
                self._partitions[tp].found(published_ms)
        self._consumer.unassign()
