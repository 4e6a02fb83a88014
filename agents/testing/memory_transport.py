"""The transport of an app that is driven in memory: production's, without threads and librdkafka.

Of `agents.kafka` only the poller, the committer and the restorer are replaced; the driver does
their work between two turns of the event loop.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, MutableSet
from typing import Any

from faust.transport import base
from faust.transport.conductor import Conductor
from faust.types.tuples import TP, RecordMetadata
from mode import Service

from agents.kafka.batch import Batch, Output
from agents.kafka.consumer import BatchConsumer
from agents.kafka.producer import BatchProducer, current_batch
from agents.testing.memory_topics import MemoryTopics


class MemoryConsumer(BatchConsumer):
    """Gets what the driver delivers; all partitions are its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._memory: MemoryTransport = self.transport  # type: ignore[assignment]
        self.assigned: frozenset[TP] = frozenset()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Take all partitions over, with their state."""
        numbers = range(self._memory.topics.n_partitions)
        if self._state is not None and not self.assigned:
            for number in numbers:
                restored = self._state.begin_restore(number)
                for key, value in self._memory.topics.compacted(TP(self._state.changelog, number)):
                    restored.restore(key, value)
                restored.complete()
                self._state.install(number, restored)
        self.assigned = frozenset(TP(topic, number) for topic in topics for number in numbers)
        self._apply_change(self.assigned, frozenset())

    def assignment(self) -> set[TP]:
        """Tell the partitions that are ours."""
        return set(self.assigned)

    def deliver(self, tp: TP, start: int) -> Batch:
        """Give agents what a partition holds from an offset on."""
        batch = self._memory.topics.batch(tp, start, max_records=self._kafka.max_batch)
        self.in_flight.add(batch)
        self._deliver([batch])
        return batch

    def is_through(self, batch: Batch) -> bool:
        """Tell whether all agents are through with a batch, or hold it until later."""
        return batch.finished or batch.is_put_off

    def fail(self, failure: BaseException) -> None:
        """Note what ends the worker; the driver ends it."""
        if self._failure is None:
            self._failure = failure

    async def on_task_error(self, exc: BaseException) -> None:
        """Let no failure pass of an agent that was not in a batch, and so gets nothing again."""
        if current_batch() is None:
            self.fail(exc)

    def not_ready(self) -> str | None:
        """Tell why records cannot flow; `None`: they can."""
        return None if self.assigned else "no partitions are assigned"

    def not_live(self) -> str | None:
        """Tell nothing: no thread can die."""
        return None

    async def drain(self) -> None:
        """Do nothing: the driver has committed what it wants to be committed."""

    @Service.task
    async def _beat(self) -> None:
        """Give no sign of life: there is no watchdog."""


class MemoryProducer(BatchProducer):
    """Appends to topics in memory."""

    async def on_start(self) -> None:
        """Connect to nothing."""
        await super(BatchProducer, self).on_start()

    async def on_stop(self) -> None:
        """Have nothing left to deliver."""
        await super(BatchProducer, self).on_stop()

    def publish(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        *,
        partition: int = -1,
        headers: list[tuple[str, bytes]] | None = None,
        sent: asyncio.Future[RecordMetadata] | None = None,
    ) -> None:
        """Append a record at once, outside of any transaction."""
        memory: MemoryTransport = self.transport  # type: ignore[assignment]
        if memory.is_dead:
            return
        output = Output(topic, value, key, partition, headers)
        (record,) = memory.topics.append(output, at_ms=memory.now_ms())
        if sent is not None:
            tp = TP(topic, record.partition())
            sent.set_result(RecordMetadata(topic, tp.partition, tp, record.offset()))

    async def flush(self) -> None:
        """Do nothing: everything is there."""

    async def create_topic(self, *_: Any, **__: Any) -> None:
        """Do nothing: topics are there when something is in them."""


class _OrderedSet(MutableSet[Any]):
    """Iterates in the order of insertion: agents get their batches in one order, always."""

    def __init__(self) -> None:
        self._members: dict[Any, None] = {}

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[Any]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, value: Any) -> None:
        self._members[value] = None

    def discard(self, value: Any) -> None:
        self._members.pop(value, None)


class OrderedConductor(Conductor):
    """Faust's conductor, which serves agents in the order in which they were declared."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._topics = _OrderedSet()
        self._tp_index = defaultdict(_OrderedSet)


class MemoryTransport(base.Transport):
    """Agents on topics in memory.

    Parameters
    ----------
    now_ms
        Tells what the driver's clock shows.
    """

    Consumer = MemoryConsumer
    Producer = MemoryProducer
    Conductor = OrderedConductor
    driver_version = "memory"

    def __init__(
        self,
        app: Any,
        loop: asyncio.AbstractEventLoop,
        topics: MemoryTopics,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__([], app, loop)
        self.topics = topics
        self.now_ms = now_ms
        self.is_dead = False
        """Whether its process was killed: what agents still do while they unwind never happened."""
