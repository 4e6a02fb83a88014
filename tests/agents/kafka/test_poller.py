"""When partitions flow: never into a full ledger, never before their state is back, else always."""

import math
import time
from typing import Never
from unittest.mock import patch

import pytest
from confluent_kafka import TopicPartition
from faust.types.tuples import TP
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agents.kafka import poller
from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.in_flight import InFlight
from agents.kafka.poller import Poller
from agents.kafka.rebalance import Rebalance
from agents.kafka.restorer import Restoration

NUMBERS = range(3)
TOPICS = ("events", "labels")
CROWDED = TP("events", 0)
"""The one partition that ever has something in flight."""
COMMITTED = 7
"""Where each partition goes on: nothing is polled here."""


class FakeConsumer:
    """Which partitions it has, and which of them are paused, or resumed and not noticed to be."""

    def __init__(self):
        self.assigned: set[TP] = set()
        self.paused: set[TP] = set()
        self.begun: set[TP] = set()
        """Which of them are fetched or paused by now; what is assigned begins later."""
        self.unnoticed: set[TP] = set()

    def subscribe(self, topics, **callbacks):
        self.callbacks = callbacks

    def assign(self, partitions):
        self.assigned = set(tps(partitions))  # what was paused stays so, as in librdkafka
        self.begun, self.unnoticed = set(), set()

    def pause(self, partitions):
        self.paused |= tps(partitions)
        self.unnoticed -= self.paused

    def resume(self, partitions):
        self.unnoticed |= self.paused & self.begun & tps(partitions)
        self.paused -= tps(partitions)

    def seek(self, at):
        assert at.offset == COMMITTED
        self.unnoticed -= tps([at])


class FakeRestorer:
    """Nothing comes back by itself."""

    def __init__(self):
        self.current: dict[int, Restoration] = {}
        self.cancelled: list[Restoration] = []

    def begin(self, partition):
        self.cancel(partition)
        self.current[partition] = Restoration(partition)

    def cancel(self, partition):
        if (restoration := self.current.pop(partition, None)) is not None:
            restoration.cancelled.set()
            self.cancelled.append(restoration)


def tps(partitions) -> set[TP]:
    return {TP(each.topic, each.partition) for each in partitions}


def topic_partitions(numbers):
    return [TopicPartition(topic, number) for topic in TOPICS for number in numbers]


class FlowMachine(RuleBasedStateMachine):
    """Partitions come and go, their state comes back, and the ledger fills and empties."""

    def __init__(self):
        super().__init__()
        self.consumer = FakeConsumer()
        self.ledger = InFlight(max_records=2)
        self.restorer = self.made_restorer()
        self.batches: list[Batch] = []
        self.poller = Poller(
            KafkaSettings(bootstrap="nowhere:1", group="test"),
            self.ledger,
            deliver=lambda batches: None,
            on_consumer_error=lambda error: None,
        )
        self.rebalance = Rebalance(
            self.poller.settle,
            self.ledger,
            self.restorer,  # type: ignore[arg-type]
            on_change=lambda assigned, given_up: None,
            before_revoke=lambda: None,
            take_over=lambda consumer, tps, new: dict.fromkeys(tps, COMMITTED),
        )
        self.poller.subscribe(TOPICS, self.rebalance)
        self.poller._subscribe(self.consumer)  # type: ignore[arg-type]
        self.turn()

    def made_restorer(self) -> FakeRestorer | None:
        return FakeRestorer()

    @rule(numbers=st.sets(st.sampled_from(NUMBERS)))
    def rebalance_to(self, numbers):
        # What the stalled agents hold is given up: this takes no time here.
        with patch.multiple(poller, SETTLE_TIMEOUT_S=0, SETTLE_SLICE_S=0):
            had = [TopicPartition(*tp) for tp in self.rebalance.assigned]
            self.consumer.callbacks["on_revoke"](self.consumer, had)
        self.consumer.callbacks["on_assign"](self.consumer, topic_partitions(numbers))

    @precondition(lambda self: self.rebalance.restoring)
    @rule(data=st.data())
    def state_is_back(self, data):
        partition = data.draw(st.sampled_from(sorted(self.rebalance.restoring)))
        assert self.restorer is not None
        self.poller.resume_restored(self.restorer.current[partition])

    @precondition(lambda self: self.restorer and self.restorer.cancelled)
    @rule(data=st.data())
    def state_is_back_too_late(self, data):
        assert self.restorer is not None
        self.poller.resume_restored(data.draw(st.sampled_from(self.restorer.cancelled)))

    @rule()
    def fill(self):
        batch = Batch(CROWDED, [None, None], 2)  # type: ignore[list-item]
        self.ledger.add(batch)
        self.ledger.begin(batch)
        self.batches.append(batch)

    @precondition(lambda self: self.batches)
    @rule()
    def commit_everything(self):
        self.ledger.retire(self.batches)
        self.batches.clear()

    @rule()
    def turn(self):
        """What the poller's thread does before each poll."""
        self.consumer.begun = set(self.consumer.assigned)
        with patch.object(poller, "PATIENCE_S", 0):
            self.poller._answer(self.consumer)  # type: ignore[arg-type]
            self.poller._wait_for_room(self.consumer)  # type: ignore[arg-type]

        assigned = self.consumer.assigned
        restoring = {tp for tp in assigned if tp.partition in self.rebalance.restoring}
        is_full = not self.ledger.has_room
        crowded = {CROWDED} & assigned if is_full else set()
        assert self.consumer.paused & assigned == restoring | crowded
        assert not self.consumer.unnoticed


class StatelessFlowMachine(FlowMachine):
    """The same without state: nothing is ever restored."""

    def made_restorer(self) -> FakeRestorer | None:
        return None


TestFlow = FlowMachine.TestCase
TestStatelessFlow = StatelessFlowMachine.TestCase


def test_a_poller_that_hangs_before_its_first_turn_gives_no_sign_of_life_any_more():
    def make(_: object) -> Never:
        began_at_s.append(made.turn_at_s)
        raise LookupError("hangs")

    began_at_s: list[float] = []
    made = Poller(
        KafkaSettings(bootstrap="nowhere:1", group="test"),
        InFlight(max_records=1),
        deliver=lambda batches: None,
        on_consumer_error=lambda error: None,
        consumer=make,
    )
    assert made.turn_at_s == math.inf  # its time has not come
    with pytest.raises(LookupError):
        made.run()

    assert began_at_s[0] <= time.monotonic()


def test_whoever_has_worked_off_its_share_flows_again_though_another_fills_the_ledger():
    machine = StatelessFlowMachine()
    machine.ledger.max_records = 4 * len(TOPICS)
    machine.rebalance_to({0})
    slow, fast = (TP(topic, 0) for topic in TOPICS)
    for tp in (slow, fast, slow, fast):
        batch = Batch(tp, [None, None], 2)  # type: ignore[list-item]
        machine.ledger.add(batch)
        machine.ledger.begin(batch)
        machine.batches.append(batch)

    def turn() -> set[TP]:
        with patch.object(poller, "PATIENCE_S", 0):
            machine.poller._wait_for_room(machine.consumer)  # type: ignore[arg-type]
        return machine.consumer.paused

    assert turn() == {slow, fast}
    machine.ledger.add(Batch(slow, [None] * 4, 6))  # type: ignore[list-item]
    machine.ledger.retire([batch for batch in machine.batches if batch.tp == fast])
    assert turn() == {slow}
