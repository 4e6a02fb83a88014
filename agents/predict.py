"""The predict role: events in, predictions out."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import faust

from agents.kafka.app import App, Batch
from agents.kafka.keyed_state import Restoring
from agents.prediction.partition import Partition
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import ServedModels
from agents.prediction.spilled_states import SpillCounts


class Partitions:
    """The partitions of this worker: keyed state of the role (`agents.kafka.keyed_state`)."""

    def __init__(self, changelog: str, plan: PredictPlan, served: ServedModels) -> None:
        self.changelog: Final = changelog
        self._plan = plan
        self._served = served
        self._by_number: dict[int, Partition] = {}
        self._spill_told: dict[int, SpillCounts] = {}

    def begin_restore(self, partition: int) -> Partition:
        """Make an empty partition."""
        return Partition(partition, self._plan)

    def install(self, partition: int, restored: Restoring) -> None:
        """Take a partition into use."""
        if isinstance(restored, Partition):
            self._by_number[partition] = restored
            self._spill_told.pop(partition, None)

    def discard(self, partition: int) -> None:
        """Forget a partition."""
        gone = self._by_number.pop(partition, None)
        if gone is not None:
            self._plan.metrics.no_drift(partition)
            self._spill_told.pop(partition, None)

    def process_events(self, batch: Batch) -> None:
        """Predict every event of a batch."""
        started_at = time.perf_counter()
        now_ms = time.time_ns() // 1_000_000
        self._by_number[batch.partition].process_events(batch, self._served.by_name, now_ms)
        self._plan.metrics.processing(time.perf_counter() - started_at)

    def process_labels(self, batch: Batch) -> None:
        """Join a batch of labels."""
        now_ms = time.time_ns() // 1_000_000
        self._by_number[batch.partition].process_labels(batch, now_ms)

    def tell(self) -> None:
        """Set the metrics of all partitions; once a second."""
        counts: Counter[str] = Counter()
        for number, partition in self._by_number.items():
            if partition.watches_scores:
                self._plan.metrics.drift(number, partition.drift.detector)
            else:
                self._plan.metrics.no_drift(number)
            counts.update(partition.entries())
        self._plan.metrics.entries(counts)
        self._tell_spill()

    def _tell_spill(self) -> None:
        if not self._plan.spills:
            return
        now, before = SpillCounts(), SpillCounts()
        for number, partition in self._by_number.items():
            if (counts := partition.spilled()) is not None:
                before += self._spill_told.get(number, SpillCounts())
                now += counts
                self._spill_told[number] = counts
        self._plan.metrics.spill(
            now, n_reads=now.reads - before.reads, n_writes=now.writes - before.writes
        )


def build(
    app: App,
    partitions: Partitions,
    user_events: str,
    labels: str,
    *,
    verdicts: str | None = None,
) -> None:
    """Register the role's agents on an app.

    Parameters
    ----------
    verdicts
        Name of the topic of what people judged, if they are asked at all.
    """

    @app.agent(app.batches(user_events))
    async def predict(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            partitions.process_events(batch)
            yield len(batch)

    @app.agent(app.batches(labels))
    async def join_labels(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            partitions.process_labels(batch)
            yield len(batch)

    if verdicts is not None:

        @app.agent(app.batches(verdicts))
        async def join_verdicts(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
            async for batch in batches:
                partitions.process_labels(batch)
                yield len(batch)
