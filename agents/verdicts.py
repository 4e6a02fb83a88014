"""What predict made of each event: up to where it has decided, and what it set aside.

Nobody else can tell: whether an event is too far in the future depends on the moment at which
predict took it in.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from schemas import dead_letters

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0


class Verdicts:
    """Follows `dead-letters`, and the offsets that predict commits.

    A dead letter is committed with the offset of its event, or before it. So whatever stands on
    `dead-letters` once an offset is seen is all that there will be of the events before it.

    Parameters
    ----------
    kafka
        How to connect.
    group
        Full name of predict's consumer group.
    events, dead_letters
        Full names of the topics.
    """

    def __init__(self, kafka: KafkaSettings, *, group: str, events: str, dead_letters: str) -> None:
        self._events = events
        self._letters = TopicPartition(dead_letters, 0, OFFSET_BEGINNING)
        self._consumer = Consumer({**kafka.reader(), "group.id": group})
        self._consumer.assign([self._letters])
        self._read_to = 0
        self._decided: dict[int, int] = {}
        self._set_aside: set[tuple[int, int]] = set()

    def are_whole(self) -> bool:
        """Tell whether retention has deleted no verdict yet; raises `KafkaException`."""
        low, _ = self._consumer.get_watermark_offsets(self._letters, timeout=TIMEOUT_S)
        return low == 0

    def look(self, partitions: Sequence[int]) -> None:
        """Learn what was decided since the last look, in these partitions of the events. Blocks.

        Raises
        ------
        confluent_kafka.KafkaException
            When the brokers do not answer.
        """
        asked = [TopicPartition(self._events, partition) for partition in partitions]
        committed = self._consumer.committed(asked, timeout=TIMEOUT_S)
        _, end = self._consumer.get_watermark_offsets(self._letters, timeout=TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        while self._read_to < end and (left := deadline - time.monotonic()) > 0:
            if (message := self._consumer.poll(left)) is not None:
                self._hear(message)
        if self._read_to >= end:
            self._decided = {each.partition: each.offset for each in committed}

    def is_decided(self, partition: int, offset: int) -> bool:
        """Tell whether predict has taken an event in or set it aside, by its place."""
        return offset < self._decided.get(partition, 0)

    def was_set_aside(self, partition: int, offset: int) -> bool:
        """Tell whether an event that is decided was set aside; once, then it is forgotten."""
        place = partition, offset
        if place not in self._set_aside:
            return False
        self._set_aside.remove(place)
        return True

    def close(self) -> None:
        """End the client."""
        self._consumer.close()

    def _hear(self, message: Message) -> None:
        offset = message.offset() or 0
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
                self._read_to = offset
            return
        self._read_to = offset + 1
        # Ours last: see `DeadLetters`.
        headers = dict(message.headers() or ())
        if headers.get(dead_letters.TOPIC) == self._events.encode():
            try:
                place = headers[dead_letters.PARTITION], headers[dead_letters.OFFSET]
                partition, at = (int(number or b"") for number in place)
            except (KeyError, ValueError):
                # The topic is ours alone: whoever wrote this can write it again.
                logger.warning("a dead letter at offset %s does not say where it stood", offset)
                return
            self._set_aside.add((partition, at))
