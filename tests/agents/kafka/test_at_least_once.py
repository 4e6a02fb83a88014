"""At least once: what was published goes before what is remembered, and both before the offset."""

from typing import Any, cast

import pytest
from confluent_kafka import KafkaError
from faust.types.tuples import TP

from agents.kafka.at_least_once import AtLeastOnce
from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.in_flight import InFlight
from schemas.errors import DeliveryFailed
from tests.agents.kafka.fake_transactions import Notes


class Bench:
    """A committer whose producer and offset keeper write down what they are asked for, in order."""

    def __init__(self, *, changelog: str | None) -> None:
        self.log: list[str] = []
        self.notes = Notes()
        self.fails = False
        self.ledger = InFlight(max_records=100)
        self.ledger.close()
        self.committer = AtLeastOnce(
            KafkaSettings(bootstrap="nowhere:1", group="test"),
            self.ledger,
            self,
            self.notes,
            changelog=changelog,
            producer=cast(Any, self.made_producer),
        )

    def made_producer(self, settings: dict[str, Any]) -> "Bench":
        self.report = settings["on_delivery"]
        return self

    def produce(self, topic: str, *_: object, **__: object) -> None:
        self.log.append(topic)

    def flush(self, _: float) -> int:
        self.log.append("flushed")
        if self.fails:
            self.report(KafkaError(KafkaError._MSG_TIMED_OUT), None)
        return 0

    def store_offset(self, batch: Batch) -> None:
        self.log.append(f"offset {batch.next_offset}")

    def finished(self, *topics: str, end: int = 1) -> None:
        batch = Batch(TP("events", 0), cast(Any, [None]), end)
        for topic in topics:
            batch.emit(topic, b"")
        self.ledger.add(batch)
        self.ledger.finish(batch)


def test_changes_of_state_follow_the_delivery_of_everything_else() -> None:
    bench = Bench(changelog="state")
    bench.finished("state", "predictions")
    bench.finished("predictions", "state", end=2)
    bench.committer.run()

    published = ["predictions", "predictions", "flushed"]
    assert bench.log == [*published, "state", "state", "flushed", "offset 1", "offset 2"]


def test_without_state_one_flush_is_enough() -> None:
    bench = Bench(changelog=None)
    bench.finished("counted")
    bench.committer.run()

    assert bench.log == ["counted", "flushed", "offset 1"]
    assert bench.notes.committed == [1]


def test_what_is_not_delivered_leaves_no_trace_in_the_state() -> None:
    bench = Bench(changelog="state")
    bench.fails = True
    bench.finished("state", "predictions")

    with pytest.raises(DeliveryFailed):
        bench.committer.run()
    assert bench.log == ["predictions", "flushed"]
