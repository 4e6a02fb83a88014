"""Publish events in order, at a rate, and know which of them the broker has.

Each record's timestamp is the moment at which it was due. A stall, be it ours or the broker's,
therefore counts as latency instead of vanishing from the figures (coordinated omission).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from agents.history.event_file import FileEvent
from agents.history.pacing import Schedule
from agents.kafka.client_settings import KafkaSettings
from agents.settings import Settings
from schemas.errors import DeliveryFailed

CHUNK: Final = 500
"""Events handed to librdkafka between two looks at its delivery reports."""
YIELD_S: Final = 0.1
"""How often `publish` tells how far it is."""


class AcknowledgedPrefix:
    """How many events from the beginning the broker has.

    Partitions answer in their own time, so an event may be acknowledged before one that was sent
    earlier; only an unbroken beginning is safe to skip the next time.

    Examples
    --------
    >>> prefix = AcknowledgedPrefix()
    >>> prefix.add(1)
    >>> prefix.length
    0
    >>> prefix.add(0)
    >>> prefix.length
    2
    """

    def __init__(self) -> None:
        self.length = 0
        self._beyond: set[int] = set()

    def add(self, index: int) -> None:
        """Count an event in."""
        self._beyond.add(index)
        while self.length in self._beyond:
            self._beyond.remove(self.length)
            self.length += 1


def publish(
    events: Sequence[FileEvent],
    rate: float,
    settings: Settings,
    topic: str,
    on_acknowledged: Callable[[str], None],
) -> Iterator[int]:
    """Publish events; yield how many of the first the broker has, several times a second.

    It ends when the broker has them all.

    Raises
    ------
    DeliveryFailed
        The broker did not take an event.
    """
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}replay"
    )
    # Silent: a broker that is away for a moment is no news, and one that stays away is an error.
    producer = Producer({**kafka.producer(), "log_level": 0})
    schedule = Schedule(rate, len(events))
    prefix = AcknowledgedPrefix()
    failures: list[KafkaError] = []

    def delivered(index: int, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)
            return
        prefix.add(index)
        on_acknowledged(events[index].event_id)

    n_sent = 0
    started_at_s, started = time.time(), time.monotonic()
    yielded = started
    while prefix.length < len(events):
        now = time.monotonic()
        for index in range(n_sent, min(schedule.due(now - started), n_sent + CHUNK)):
            event = events[index]
            due_at_s = started_at_s + schedule.due_at_s(index) if rate else time.time()
            try:
                producer.produce(
                    topic,
                    event.value,
                    event.key,
                    on_delivery=partial(delivered, index),
                    timestamp=int(due_at_s * 1_000),
                )
            except BufferError:  # librdkafka's queue is full: let it send, try again
                break
            n_sent = index + 1
        if n_sent < len(events):
            idle_s = started + schedule.due_at_s(n_sent) - time.monotonic()
        else:
            idle_s = YIELD_S
        # Up to whole milliseconds: librdkafka cuts fractions off, and would not wait at all.
        producer.poll(min(max(math.ceil(idle_s * 1_000) / 1_000, 0.0), YIELD_S))
        if failures:
            raise DeliveryFailed(f"cannot publish to `{topic}`: {failures[0].str()}")
        if now - yielded >= YIELD_S:
            yielded = now
            yield prefix.length
    yield prefix.length
