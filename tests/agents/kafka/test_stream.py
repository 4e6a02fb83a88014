"""What an agent may ask of its stream, and what is refused."""

import weakref

import pytest
from faust import streams
from faust.types.tuples import TP

from agents.kafka.app import App, KafkaSettings
from agents.kafka.batch import Batch
from agents.kafka.producer import current_batch
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
        batch.ended = True
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
