"""Read topics from outside of any consumer group: up to their end, or on and on.

Only committed records are seen, as by every downstream service.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from agents.settings import Settings
from schemas.errors import DeliveryFailed

CHUNK: Final = 1_000
TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.1
_WITHOUT_LEADER: Final = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)

Positions = Mapping[str, Sequence[int]]
"""Topic -> offset for each of its partitions."""


def connect(settings: Settings) -> Consumer:
    """Open a reader that never joins a group."""
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}reader"
    )
    # Silent: whoever asked is told by an error, once, and not by librdkafka twenty times a second.
    return Consumer({**kafka.reader(), "enable.partition.eof": False, "log_level": 0})


def ends(settings: Settings, topics: Iterable[str]) -> dict[str, list[int]]:
    """Tell where the partitions of topics end now.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topic.
    """
    consumer = connect(settings)
    try:
        return {topic: [end for _, end in _bounds(consumer, settings, topic)] for topic in topics}
    finally:
        consumer.close()


def offset_at(settings: Settings, topic: str, at_ms: int) -> int:
    """Tell the first offset of a topic of one partition that was published at a moment or later.

    Where nothing was it is the end.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topic.
    """
    consumer = connect(settings)
    try:
        ((_, end),) = _bounds(consumer, settings, topic)
        asked = [TopicPartition(topic, 0, max(0, at_ms))]
        (found,) = consumer.offsets_for_times(asked, timeout=TIMEOUT_S)
    except KafkaException as exception:
        raise DeliveryFailed(f"topic `{topic}`: {exception.args[0].str()}") from exception
    finally:
        consumer.close()
    return found.offset if found.offset >= 0 else end


def read_to_end(settings: Settings, topic: str, *, last: int | None = None) -> Iterator[Message]:
    """Yield what a topic holds now, partition by partition.

    Parameters
    ----------
    last
        Read about so many records of each partition, from its end.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topic.
    """
    consumer = connect(settings)
    try:
        for partition, (begin, end) in enumerate(_bounds(consumer, settings, topic)):
            position = begin if last is None else max(begin, end - last)
            consumer.assign([TopicPartition(topic, partition, position)])
            deadline = time.monotonic() + TIMEOUT_S
            # By position, not by counting: compaction and transaction markers leave gaps.
            while position < end:
                for message in _batch(consumer):
                    deadline = time.monotonic() + TIMEOUT_S
                    if (message.offset() or 0) < end:
                        yield message
                reached = consumer.position([TopicPartition(topic, partition)])[0].offset
                position = max(position, reached)
                if time.monotonic() > deadline:
                    raise DeliveryFailed(
                        f"topic `{topic}`, partition {partition}: nothing came for "
                        f"{TIMEOUT_S:.0f} s at offset {position} of {end}"
                    )
    finally:
        consumer.close()


class Follower:
    """Follows topics from given positions in a thread of its own.

    Parameters
    ----------
    positions
        Where to begin.
    handle
        Called in that thread for each record, with the wall time (s) at which its batch arrived.
    """

    def __init__(
        self, settings: Settings, positions: Positions, handle: Callable[[Message, float], None]
    ) -> None:
        self._consumer = connect(settings)
        self._consumer.assign(
            [
                TopicPartition(topic, partition, offset)
                for topic, offsets in positions.items()
                for partition, offset in enumerate(offsets)
            ]
        )
        self._handle = handle
        self._stopping = threading.Event()
        self.failure: BaseException | None = None
        """What broke the thread, if anything did."""
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what broke it, if anything did, is raised here."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                batch = _batch(self._consumer)
                arrived_at = time.time()
                for message in batch:
                    self._handle(message, arrived_at)
        except BaseException as failure:  # noqa: BLE001  # raised again by stop
            self.failure = failure


def _batch(consumer: Consumer) -> list[Message]:
    """Take what is there, after waiting a moment for the first record.

    (`consume(n, timeout)` waits for n records or the whole timeout.) Errors are left out:
    librdkafka reconnects by itself, and the next batch tells.
    """
    first = consumer.poll(_POLL_S)
    if first is None:
        return []
    return [m for m in (first, *consumer.consume(CHUNK, 0)) if m.error() is None]


def _bounds(consumer: Consumer, settings: Settings, topic: str) -> list[tuple[int, int]]:
    """Tell where each partition begins and ends, once a topic that was just made has leaders."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return _bounds_now(consumer, topic)
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() not in _WITHOUT_LEADER or time.monotonic() > deadline:
                raise DeliveryFailed(
                    f"topic `{topic}` of {settings.kafka_bootstrap}: {error.str()}"
                ) from exception
            time.sleep(_POLL_S)


def _bounds_now(consumer: Consumer, topic: str) -> list[tuple[int, int]]:
    metadata = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return [
        consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)
        for partition in sorted(metadata.partitions)
    ]
