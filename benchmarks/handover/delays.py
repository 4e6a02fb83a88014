"""Reads answers as they become visible, and keeps the longest delay between two questions."""

import threading
import time
from typing import Final

import orjson
from confluent_kafka import Consumer, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from benchmarks.peers.task import N_PARTITIONS

CHUNK: Final = 1_000
POLL_S: Final = 0.05


class Delays:
    """A read_committed reader in a thread of its own."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._reader = Consumer(KafkaSettings(bootstrap=bootstrap, group="delays").reader())
        self._reader.assign([TopicPartition(topic, n, 0) for n in range(N_PARTITIONS)])
        self._lock = threading.Lock()
        self._longest_s = 0.0
        self._closing = threading.Event()
        self.seen: set[int] = set()
        self.n_doubled = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def longest_ms(self) -> float:
        """Tell the longest delay since the last question."""
        with self._lock:
            longest_s, self._longest_s = self._longest_s, 0.0
        return round(longest_s * 1_000, 1)

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
            now_ns = time.time_ns()
            for message in messages:
                if message.error() is not None:
                    continue
                answer = orjson.loads(message.value() or b"")
                self.n_doubled += answer["event_id"] in self.seen
                self.seen.add(answer["event_id"])
                delay_s = (now_ns - answer["due"]) / 1e9
                if delay_s > self._longest_s:
                    with self._lock:
                        self._longest_s = delay_s
