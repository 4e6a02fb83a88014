"""Reads predictions as they become visible: counts each event, and how long it took."""

import threading
import time
from collections import Counter
from typing import Final

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from agents.settings import Settings
from schemas import topics

CHUNK: Final = 2_000
POLL_S: Final = 0.05


class Reader:
    """A read_committed reader in a thread of its own.

    Parameters
    ----------
    n
        How many events there will be: numbered, with one byte of memory each.
    """

    def __init__(self, bootstrap: str, n: int) -> None:
        self._seen = bytearray(n)
        self._latencies_ms: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.n_seen = 0
        self.n_doubled = 0
        settings = KafkaSettings(bootstrap=bootstrap, group="soak-reader").reader()
        self._reader = Consumer(settings | {"enable.partition.eof": False})
        self._reader.assign(
            [
                TopicPartition(topics.PREDICTIONS.name, partition, OFFSET_BEGINNING)
                for partition in range(Settings().partitions)
            ]
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def p99_ms(self) -> int | None:
        """Tell the 99th percentile of the latencies since the last question, to the millisecond."""
        with self._lock:
            latencies, self._latencies_ms = self._latencies_ms, Counter()
        left = latencies.total() // 100
        for latency_ms in sorted(latencies, reverse=True):
            left -= latencies[latency_ms]
            if left < 0:
                return latency_ms
        return None

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
            now_ms = time.time() * 1_000
            with self._lock:
                for message in messages:
                    if message.error() is None:
                        self._count(orjson.loads(message.value() or b""), now_ms)

    def _count(self, prediction: dict[str, object], now_ms: float) -> None:
        number = int(str(prediction["event_id"]).removeprefix("soak-"))
        self.n_doubled += self._seen[number]
        self.n_seen += not self._seen[number]
        self._seen[number] = 1
        self._latencies_ms[int(now_ms - float(str(prediction["published_at"])))] += 1
