"""Faust's stream, taught that an event may carry a whole batch.

A batch is finished when the agent asks for the next one. Faust's own iterator acknowledges in a
`finally`, that is even when the agent raised; here a failed batch is not finished, and is
given to the restarted agent again or ends the worker.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any, Final, NoReturn, cast

import faust
from confluent_kafka import Message
from faust import streams
from faust.exceptions import DecodeError, Skip
from faust.types import TP, EventT
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import maybe_async

from agents.isolation import may_heal
from agents.kafka.batch import Batch
from agents.kafka.poison import Poison
from schemas.errors import DeliveryFailed

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
YIELD_EVERY: Final = 64
"""Records of a batch that an ordinary agent handles before the event loop gets a turn."""


class BatchMessage(ConsumerMessage):
    """The Faust message of a whole batch, or of one record of it."""

    __slots__ = ("batch",)

    def __init__(self, batch: Batch, record: Message, key: Any, value: Any) -> None:
        _, timestamp_ms = record.timestamp()
        super().__init__(
            batch.tp.topic,
            batch.tp.partition,
            record.offset() or 0,
            timestamp_ms / 1000,
            0,
            cast(Any, record.headers() or []),
            key,
            value,
            None,
            0,
            0,
            batch.tp,
        )
        self.batch = batch


class BatchStream(faust.Stream[Any]):
    """Yields batches to agents of `Batch` topics, single decoded values to all others."""

    _running: EventT[Any] | None = None
    _record: Message | None = None
    """The one that an ordinary agent has in hand."""
    _poison: Poison | None = None
    """What an ordinary agent sets aside, if it may."""

    def __aiter__(self) -> AsyncIterator[Any]:
        if not isinstance(self.channel, faust.Topic):
            return super().__aiter__()  # channels in memory, lists: nothing to commit
        return self._iterate(self.channel)

    async def _iterate(self, channel: faust.Topic) -> AsyncIterator[Any]:
        self._finalized = True
        started_here = await self.maybe_start()
        whole = channel.value_type is Batch
        if self._poison is None and not whole:
            self._poison = self.app.poison()  # type: ignore[attr-defined]
        try:
            while not self.should_stop:
                event = self._running or await channel.__anext__()
                batch = event.value
                if not isinstance(batch, Batch):
                    yield batch  # put there by `agent.cast()` or `channel.put()`
                    continue
                if 0 < batch.attempts < self.app.max_attempts:  # type: ignore[attr-defined]
                    await asyncio.sleep(pause_s(batch.attempts))
                if batch.is_given_up:
                    batch.held = False
                    self._running = None
                    self.app.consumer.finish(batch)  # type: ignore[attr-defined]
                    continue
                self._begin(event, batch)
                state = self._on_stream_event_in(batch.tp, batch.next_offset - 1, self, event)
                if whole:
                    yield batch
                else:
                    async for value in self._values(channel, batch):
                        yield value
                self._on_stream_event_out(batch.tp, batch.next_offset - 1, self, event, state)
                self._end(batch)
        except StopAsyncIteration:  # thrown through the queue when the agent stops
            return
        finally:
            self._channel_stop_iteration(channel)
            if started_here:
                await self.stop()
                self.service_reset()

    def take(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what is buffered here would be committed before the agent sees it."""
        raise NotImplementedError(
            "a stream cannot `take`: records would be committed before they are processed."
            " An agent of a topic with `value_type=Batch` gets all records of a poll at once"
        )

    take_events = take_with_timestamp = noack_take = take

    def combine(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a record would be committed before the one that it is joined with is there."""
        raise NotImplementedError(
            "streams cannot be combined: a record would be committed before the one that it is"
            " joined with is there. Keep what waits in keyed state"
        )

    join = left_join = inner_join = outer_join = combine

    def noack(self) -> NoReturn:
        """Refuse: offsets are committed with what they caused, never by the agent."""
        raise NotImplementedError("a stream has no acknowledgements that could be left out")

    def _begin(self, event: EventT[Any], batch: Batch) -> None:
        self._running = event
        self._set_current(event)
        self._look_for_poison(batch)
        batch.attempts += 1
        if batch.attempts > self.app.max_attempts:  # type: ignore[attr-defined]
            failure = DeliveryFailed(
                f"{batch!r} failed {batch.attempts - 1} times in its agent, the last time with"
                f" {batch.failure!r}.{self._advice(batch.failure)}"
            )
            failure.__cause__ = batch.failure
            self.app.consumer.fail(failure)  # type: ignore[attr-defined]
            raise failure
        self.app.consumer.begin(batch)  # type: ignore[attr-defined]
        batch.held = False
        # What the failed attempt emitted is emitted again by this one.
        batch.emitted.clear()

    def _look_for_poison(self, batch: Batch) -> None:
        poison, record, self._record = self._poison, self._record, None
        if poison is None:
            return
        poison.begin(batch)
        # With state only a restore repairs what the agent may have changed half of.
        is_stateless = self.app.keyed_state is None  # type: ignore[attr-defined]
        if batch.attempts and record is not None and batch.failure is not None and is_stateless:
            batch.attempts = poison.failed(record, batch.failure)

    def _advice(self, failure: BaseException | None) -> str:
        is_ordinary = cast(faust.Topic, self.channel).value_type is not Batch
        if self._poison is None and is_ordinary and failure is not None and not may_heal(failure):
            return ' `App(..., dead_letters="topic")` would set aside what cannot be processed'
        return ""

    def _end(self, batch: Batch) -> None:
        if self._poison is not None:
            self._poison.end(batch)
        batch.end()
        self._running = None
        self.events_total += 1
        self._set_current(None)
        if not batch.held:
            self.app.consumer.finish(batch)  # type: ignore[attr-defined]

    async def _values(self, channel: faust.Topic, batch: Batch) -> AsyncIterator[Any]:
        poison = self._poison
        for index, record in enumerate(batch.records):
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if poison is not None and poison.holds(record):
                continue
            message = BatchMessage(batch, record, record.key(), record.value())
            try:
                # Else Faust would tell of what it cannot decode elsewhere, and go on without it.
                event = await channel.decode(message, propagate=True)
            except DecodeError as error:
                if poison is None:
                    raise
                poison.undecodable(record, error)
                continue
            self._record = record
            self._set_current(event)
            value = event.value
            try:
                for processor in self._processors:
                    value = await maybe_async(processor(value))
            except Skip:  # of `filter`
                continue
            yield value

    def _set_current(self, event: EventT[Any] | None) -> None:
        self.current_event = event
        streams._current_event.set(None if event is None else weakref.ref(event))


def pause_s(n_failed: int) -> float:
    """Tell how long to wait after so many attempts: what the agent needs may come back meanwhile.

    >>> [pause_s(n_failed) for n_failed in range(1, 8)]
    [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    """
    return min(FIRST_PAUSE_S * 2.0 ** (n_failed - 1), LONGEST_PAUSE_S)


def batch_event(app: faust.App, batch: Batch) -> EventT[Any]:
    """Wrap a batch as the one Faust event that carries it."""
    message = BatchMessage(batch, batch.records[-1], None, batch)
    return app.create_event(None, cast(Any, batch), {}, message)


def assigned_channels(app: faust.App, tp: TP) -> set[Any]:
    """Find the channels of all agents that subscribe to a partition."""
    return cast(set[Any], app.topics._tp_index.get(tp) or set())  # type: ignore[attr-defined]
