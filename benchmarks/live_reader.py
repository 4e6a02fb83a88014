"""Reads answers as they become visible, in a thread of its own."""

import threading
import time
from abc import ABC, abstractmethod
from typing import Any, Final

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from agents.kafka.client_settings import KafkaSettings

CHUNK: Final = 2_000
POLL_S: Final = 0.05


class LiveReader(ABC):
    """A read_committed reader of a whole topic, from its beginning on."""

    def __init__(self, bootstrap: str, topic: str, n_partitions: int) -> None:
        settings = KafkaSettings(bootstrap=bootstrap, group="live-reader").reader()
        self._reader = Consumer(settings | {"enable.partition.eof": False})
        self._reader.assign(
            [TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(n_partitions)]
        )
        self._lock = threading.Lock()
        """Held while answers are noted."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @abstractmethod
    def note(self, answer: dict[str, Any], read_ns: int) -> None:
        """Take note of an answer, and of when it was read."""

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            first = self._reader.poll(POLL_S)
            if first is None:
                continue
            # `consume(n, timeout)` would wait for all n.
            messages = (first, *self._reader.consume(CHUNK, 0))
            read_ns = time.time_ns()
            with self._lock:
                for message in messages:
                    if message.error() is None:
                        self.note(orjson.loads(message.value() or b""), read_ns)
