"""The aggregate role: features of entities whose events come from all users' partitions.

`predict` hands each accepted event on, keyed by what it is about, in the transaction of its
prediction; here it is folded in the transaction of its own offset. So every event counts once in
every entity's features, whoever crashes.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import faust

from agents.entities.aggregate_partition import AggregatePartition
from agents.entities.aggregate_plan import AggregatePlan
from agents.kafka.app import App, Batch
from agents.kafka.keyed_state import Restoring


class Partitions:
    """The partitions of this worker: keyed state of the role (`agents.kafka.keyed_state`)."""

    def __init__(self, plan: AggregatePlan) -> None:
        self.changelog: Final = plan.topics.state
        self._plan = plan
        self._by_number: dict[int, AggregatePartition] = {}

    def begin_restore(self, partition: int) -> AggregatePartition:
        """Make an empty partition."""
        return AggregatePartition(partition, self._plan)

    def install(self, partition: int, restored: Restoring) -> None:
        """Take a partition into use."""
        if isinstance(restored, AggregatePartition):
            self._by_number[partition] = restored

    def discard(self, partition: int) -> None:
        """Forget a partition."""
        self._by_number.pop(partition, None)

    def process(self, batch: Batch) -> None:
        """Take every event of a batch in."""
        started_at = time.perf_counter()
        now_ms = time.time_ns() // 1_000_000
        self._by_number[batch.partition].process(batch, now_ms)
        self._plan.metrics.processing(time.perf_counter() - started_at)

    def tell(self) -> None:
        """Set the metrics of all partitions; once a second."""
        counts: Counter[str] = Counter()
        for partition in self._by_number.values():
            counts.update(partition.entries())
        self._plan.metrics.entries(counts)


def build(app: App, partitions: Partitions, entity_events: str) -> None:
    """Register the role's agent on an app."""

    @app.agent(app.batches(entity_events))
    async def aggregate(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            partitions.process(batch)
            yield len(batch)
