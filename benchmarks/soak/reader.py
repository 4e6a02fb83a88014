"""Counts each event's prediction, and how long it took."""

from collections import Counter
from typing import Any

from agents.settings import Settings
from benchmarks.live_reader import LiveReader
from schemas import topics


class Reader(LiveReader):
    """Knows which of numbered events were predicted.

    Parameters
    ----------
    n
        How many events there will be: one byte of memory each.
    """

    def __init__(self, bootstrap: str, n: int) -> None:
        self._seen = bytearray(n)
        self._latencies_ms: Counter[int] = Counter()
        self.n_seen = 0
        self.n_doubled = 0
        super().__init__(bootstrap, topics.PREDICTIONS.name, Settings().partitions)

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

    def note(self, answer: dict[str, Any], read_ns: int) -> None:
        """Count a prediction."""
        number = int(answer["event_id"].removeprefix("soak-"))
        self.n_doubled += self._seen[number]
        self.n_seen += not self._seen[number]
        self._seen[number] = 1
        self._latencies_ms[read_ns // 1_000_000 - answer["published_at"]] += 1
