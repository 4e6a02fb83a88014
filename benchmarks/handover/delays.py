"""Keeps the longest delay of an answer between two questions."""

from typing import Any

from benchmarks.live_reader import LiveReader
from benchmarks.peers.task import N_PARTITIONS


class Delays(LiveReader):
    """Knows which events were answered, and how long after they were due."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._longest_ns = 0
        self.seen: set[int] = set()
        self.n_doubled = 0
        super().__init__(bootstrap, topic, N_PARTITIONS)

    def longest_ms(self) -> float:
        """Tell the longest delay since the last question."""
        with self._lock:
            longest_ns, self._longest_ns = self._longest_ns, 0
        return round(longest_ns / 1e6, 1)

    def note(self, answer: dict[str, Any], read_ns: int) -> None:
        """Count an answer."""
        self.n_doubled += answer["event_id"] in self.seen
        self.seen.add(answer["event_id"])
        self._longest_ns = max(self._longest_ns, read_ns - answer["due"])
