"""What an agent may ask of its stream, and what is refused."""

import asyncio
import weakref
from typing import Any, cast

import pytest
from faust import streams
from faust.types.tuples import TP

from agents.kafka.app import App, KafkaSettings
from agents.kafka.batch import Batch
from agents.kafka.keyed_state import Restoring
from agents.kafka.producer import current_batch
from agents.kafka.restorer import Restoration
from agents.kafka.stream import batch_event
from tests.agents.record import Record


@pytest.fixture
def app() -> App:
    return App("test", KafkaSettings(bootstrap="127.0.0.1:1", group="test"))


def test_what_would_commit_before_it_is_processed_is_refused(app):
    stream = app.topic("events").stream()

    for take in (stream.take, stream.take_events, stream.noack_take):
        with pytest.raises(NotImplementedError, match="would be committed before"):
            take(10, within=1)
    with pytest.raises(NotImplementedError, match="no acknowledgements"):
        stream.noack()


def test_a_task_that_outlives_its_batch_sends_outside_of_it(app):
    batch = Batch(TP("events", 0), [Record(b"1")], 1)  # type: ignore[list-item]
    event = batch_event(app, batch)
    token = streams._current_event.set(weakref.ref(event))
    try:
        assert current_batch() is batch
        batch.end()
        assert current_batch() is None
    finally:
        streams._current_event.reset(token)


async def test_what_waits_for_its_agent_stays_through_a_change_of_other_partitions(app):
    kept, other = TP("events", 0), TP("events", 1)
    topic = app.topic("events", value_type=Batch)
    app.topics.add(topic)
    app.topics._topic_name_index = {"events": {topic}}
    app.consumer._apply_change(frozenset({kept, other}), frozenset())
    topic.queue.put_nowait("a batch of the one that stays")
    app.consumer._apply_change(frozenset({kept}), frozenset())

    assert topic.queue.qsize() == 1


class Installed:
    """Keyed state that only notes what is taken into use."""

    changelog = "state"

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.happened = asyncio.Event()

    def begin_restore(self, partition: int) -> Restoring:
        raise NotImplementedError

    def install(self, partition: int, restored: Restoring) -> None:
        self.numbers.append(partition)
        self.happened.set()

    def discard(self, partition: int) -> None:
        """Have nothing to forget."""


async def test_state_is_not_taken_into_use_before_agents_are_through_with_what_was_lost():
    state = Installed()
    kafka = KafkaSettings(bootstrap="127.0.0.1:1", group="test")
    consumer: Any = App("test", kafka, keyed_state=state).consumer
    consumer.loop = asyncio.get_running_loop()
    lost = Batch(TP("events", 0), [Record(b"1")], 1)  # type: ignore[list-item]
    consumer.in_flight.add(lost)
    consumer.in_flight.begin(lost)
    consumer.in_flight.drop([lost.tp])
    restoration = Restoration(0)
    restoration.state = cast(Any, object())
    consumer._install(restoration)
    await asyncio.sleep(0)
    assert state.numbers == []

    consumer.in_flight.finish(lost)
    async with asyncio.timeout(10):
        await state.happened.wait()
    assert state.numbers == [0]


async def test_a_held_batch_is_in_flight_until_it_is_released(app):
    """Its agent goes on; its offset waits."""
    tp = TP("events", 0)
    topic = app.topic("events", value_type=Batch)
    stream = topic.stream()
    first, second = (Batch(tp, cast(Any, [Record(b"1", offset=n)]), n + 1) for n in range(2))
    ledger = app.consumer.in_flight
    for batch in (first, second):
        batch.awaited = 1
        ledger.add(batch)
        stream.channel.queue.put_nowait(batch_event(app, batch))
    taken = stream.__aiter__()
    (await anext(taken)).hold()
    await anext(taken)

    assert ledger.take_finished(timeout_s=0) == []
    app._consumer.finish(second)
    assert ledger.take_finished(timeout_s=0) == []
    app.release(first)
    assert ledger.take_finished(timeout_s=0) == [first, second]
    await stream.stop()
