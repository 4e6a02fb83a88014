"""What an outsider sees of a topic of predictions: how many, which, and when they were appended."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import orjson
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    OffsetSpec,
)

from agents.kafka.client_settings import KafkaSettings
from benchmarks.peers.stage import SILENT, PeerEnded, Process
from benchmarks.peers.task import N_PARTITIONS

LOOK_EVERY_S: Final = 0.1
STALLED_S: Final = 30.0
"""Without progress for so long, a run is over: what is missing is lost."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Predictions, by the broker's clock."""

    n_lost: int
    n_duplicated: int
    appended_ms: list[int]
    """When each was appended, in order."""

    def per_s(self, n_warm_up: int) -> float:
        """Tell events a second after the first so many.

        >>> Seen(0, 0, [0, 5_000, 5_100, 5_200, 5_300]).per_s(2)
        15.0
        """
        times = self.appended_ms
        if len(times) <= n_warm_up:
            return 0.0
        started_ms = times[n_warm_up - 1] if n_warm_up else times[0]
        return (len(times) - n_warm_up) * 1_000 / max(times[-1] - started_ms, 1)


class Observer:
    """Looks at a topic from outside; while a peer works, only at its end offsets."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._partitions = [TopicPartition(topic, number) for number in range(N_PARTITIONS)]
        self._admin = AdminClient({"bootstrap.servers": bootstrap, **SILENT})

    def end(self) -> int:
        """Tell how far a read_committed reader could read: records, and a few markers.

        0 while the broker does not say, as just after the topic was made.
        """
        latest = {at: OffsetSpec.latest() for at in self._partitions}  # type: ignore[no-untyped-call]
        found = self._admin.list_offsets(
            latest, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=10
        )
        try:
            return sum(int(each.result().offset) for each in found.values())
        except KafkaException:
            return 0

    def wait_for(self, n: int, peer: Process, on_progress: Callable[[int], None]) -> None:
        """Wait until about n predictions are there, or no more come.

        Raises
        ------
        PeerEnded
            The peer's process is gone.
        """
        seen, moved_at = 0, time.monotonic()
        while seen < n and time.monotonic() - moved_at < STALLED_S:
            if peer.poll() is not None:
                raise PeerEnded
            time.sleep(LOOK_EVERY_S)
            end = self.end()
            if end > seen:
                seen, moved_at = end, time.monotonic()
                on_progress(seen)

    def read(self, n: int) -> Seen:
        """Read all that is committed; wait for the last of n predictions."""
        settings = KafkaSettings(bootstrap=self._bootstrap, group="observer").reader()
        ids: set[int] = set()
        appended_ms: list[int] = []
        with closing(Consumer(settings)) as reader:
            for partition in self._partitions:
                partition.offset = OFFSET_BEGINNING
            reader.assign(self._partitions)
            at_end: set[int] = set()
            deadline = time.monotonic() + STALLED_S
            while (len(at_end) < N_PARTITIONS or len(ids) < n) and time.monotonic() < deadline:
                for message in reader.consume(5_000, 0.2):
                    if message.error() is not None:  # the end of a partition, for now
                        at_end.add(message.partition() or 0)
                        continue
                    ids.add(orjson.loads(message.value() or b"")["event_id"])
                    appended_ms.append(message.timestamp()[1])
        return Seen(n - len(ids), len(appended_ms) - len(ids), sorted(appended_ms))
