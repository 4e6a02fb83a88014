"""Partitions of one number that share state are a unit, however assignments move them."""

import time
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import patch

import pytest
from confluent_kafka import Consumer, TopicPartition
from faust.types.tuples import TP
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agents.kafka import poller
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.in_flight import InFlight
from agents.kafka.poller import Poller
from agents.kafka.rebalance import SPLIT_TIMEOUT_S, Rebalance
from agents.kafka.restorer import Restoration
from schemas.errors import DeliveryFailed
from tests.agents.kafka.conftest import PARTITIONS
from tests.agents.kafka.worker_model import InputRecord
from tests.histories import run_histories
from tests.waiting import wait_until

NUMBERS = range(2)
N_KEYS = 50
TOPICS = ("events", "labels")
INPUTS = tuple(TP(topic, number) for number in NUMBERS for topic in TOPICS)


class IncrementalConsumer:
    """Which partitions it has, and which of them are paused."""

    def __init__(self, next_offset: Callable[[TP], int]):
        self._next_offset = next_offset
        self.assigned: set[TP] = set()
        self.paused: set[TP] = set()
        self.next_record: InputRecord | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while more is fetched than the next record."""

    def subscribe(self, topics, **callbacks):
        self.callbacks = callbacks

    def incremental_assign(self, partitions):
        self.assigned |= tps(partitions)

    def pause(self, partitions):
        assert tps(partitions) <= self.assigned
        self.paused |= tps(partitions)

    def resume(self, partitions):
        self.paused -= tps(partitions)

    def seek(self, at):
        assert tps([at]) <= self.assigned - self.paused
        assert at.offset == self._next_offset(TP(at.topic, at.partition))

    def consumer_group_metadata(self):
        return "known"

    def poll(self, _):
        return self.next_record

    def consume(self, *_):
        self.meanwhile()
        return []


def tps(partitions) -> set[TP]:
    return {TP(each.topic, each.partition) for each in partitions}


class UnitMachine(RuleBasedStateMachine):
    """Single partitions come, go and get lost; batches are in flight or not; state comes back."""

    def __init__(self):
        super().__init__()
        self.consumer = IncrementalConsumer(self._next_offset)
        self.ledger = InFlight(max_records=100, shares_state=True)
        self.offsets = dict.fromkeys(INPUTS, 0)
        """Committed in the group."""
        self.n_changes = dict.fromkeys(NUMBERS, 0)
        """How often the state of a number was changed, by anybody."""
        self.stored = dict.fromkeys(NUMBERS, 0)
        """The same, as its changelog has it."""
        self.state: dict[int, int] = {}
        """The same, as the worker knows it."""
        self.current: dict[int, Restoration] = {}
        self.may_settle = True
        self.must_renew = False
        self.poller = Poller(
            KafkaSettings(bootstrap="nowhere:1", group="test", gather_s=0),
            self.ledger,
            deliver=self._deliver,
            on_consumer_error=lambda error: None,
        )
        self.rebalance = Rebalance(
            self._settle,
            self.ledger,
            cast(Any, self),
            on_change=self._forget,
            before_revoke=lambda: None,
            take_over=lambda _, tps, __: {tp: self.offsets[tp] for tp in tps},
            incremental=True,
            renew=self._renew,
        )
        self.poller.subscribe(TOPICS, self.rebalance)
        self.poller._subscribe(cast(Consumer, self.consumer))

    # ---- what the rebalance asks for -----------------------------------------------------------

    def begin(self, partition):
        """Restore: nothing may change the state from now on."""
        oldest = self.ledger.oldest().items()
        assert all(each.dropped for tp, each in oldest if tp.partition == partition)
        assert {TP(topic, partition) for topic in TOPICS} <= self.consumer.assigned
        self.cancel(partition)
        self.current[partition] = Restoration(partition)

    def cancel(self, partition):
        if (restoration := self.current.pop(partition, None)) is not None:
            restoration.cancelled.set()

    def _forget(self, assigned, forgotten):
        for number in forgotten:
            oldest = self.ledger.oldest().items()
            assert all(each.dropped for tp, each in oldest if tp.partition == number), "in use"
            self.state.pop(number, None)

    def _settle(self, _, tps):
        if self.may_settle:
            self.commit()
        return not any(self.ledger.n_records_of(tp) for tp in tps)

    def _renew(self, _):
        self.must_renew = True

    @property
    def flowing(self) -> set[TP]:
        return self.consumer.assigned - self.consumer.paused

    # ---- what happens --------------------------------------------------------------------------

    @initialize(given=st.just(INPUTS) | st.just(()))
    def start(self, given):
        self.assign(set(given))
        self.turn()
        for number in list(self.current):
            self._restored(number)
        self.turn()

    @rule(given=st.sets(st.sampled_from(INPUTS), min_size=1))
    def assign(self, given):
        if given := sorted(given - self.consumer.assigned):
            partitions = [TopicPartition(*tp) for tp in given]
            self.consumer.callbacks["on_assign"](self.consumer, partitions)

    @precondition(lambda self: self.consumer.assigned)
    @rule(data=st.data(), how=st.sampled_from(["on_revoke", "on_lost"]), may_settle=st.booleans())
    def take_away(self, data, how, may_settle):
        inputs = st.sampled_from(sorted(self.consumer.assigned))
        self.may_settle = may_settle
        self._let_go(data.draw(st.sets(inputs, min_size=1)), how)
        self._renew_if_asked()

    @precondition(lambda self: self.flowing)
    @rule(data=st.data(), how=st.sampled_from(["on_revoke", "on_lost"]), may_settle=st.booleans())
    def take_away_with_a_record_in_hand(self, data, how, may_settle):
        tp = data.draw(st.sampled_from(sorted(self.flowing)))
        gone = data.draw(st.sets(st.sampled_from(sorted(self.consumer.assigned)), min_size=1))
        self.may_settle = may_settle
        self.consumer.meanwhile = lambda: self._let_go(gone, how)
        self._process(tp)
        self.consumer.meanwhile = lambda: None
        self._renew_if_asked()

    def _renew_if_asked(self):
        self.may_settle = True
        if self.must_renew:
            self.must_renew = False
            self._let_go(self.consumer.assigned, "on_revoke")

    def _let_go(self, gone, how):
        self.consumer.callbacks[how](self.consumer, [TopicPartition(*tp) for tp in sorted(gone)])
        self.consumer.assigned = self.consumer.assigned - gone

    @precondition(lambda self: not self.ledger.n_records)
    @rule(number=st.sampled_from(NUMBERS))
    def another_worker_changes_the_state(self, number):
        """It may, while it has one of the partitions; and then its offset has moved."""
        unit = {TP(topic, number) for topic in TOPICS}
        if others := sorted(unit - self.consumer.assigned):
            self.n_changes[number] += 1
            self.stored[number] = self.n_changes[number]
            self.offsets[others[0]] += 1

    @precondition(lambda self: self.flowing)
    @rule(data=st.data())
    def records_come(self, data):
        for tp in data.draw(st.lists(st.sampled_from(sorted(self.flowing)), max_size=4)):
            self._process(tp)

    def _next_offset(self, tp):
        batches = self.ledger._batches.get(tp, ())
        before = [batch.next_offset for batch in batches if not batch.dropped]
        return max(before, default=self.offsets[tp])

    def _process(self, tp):
        self.consumer.next_record = InputRecord(tp, self._next_offset(tp))
        self.poller._poll(cast(Consumer, self.consumer))

    def _deliver(self, batches):
        for batch in batches:
            self.ledger.begin(batch)
            self.state[batch.tp.partition] += 1  # it is there
            batch.emit("state", b"%d" % self.state[batch.tp.partition])
            self.ledger.finish(batch)

    @rule()
    def commit(self):
        batches = self.ledger.take_finished(timeout_s=0)
        for batch in batches:
            if not batch.dropped:
                assert batch.next_offset == self.offsets[batch.tp] + 1, "passed over, or repeated"
                self.offsets[batch.tp] = batch.next_offset
                self.n_changes[batch.tp.partition] += 1
                self.stored[batch.tp.partition] = int(batch.outputs[0].value or b"")
        self.ledger.retire(batches)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def state_is_back(self, data):
        self._restored(data.draw(st.sampled_from(sorted(self.current))))

    def _restored(self, number):
        if number in self.rebalance.restoring:
            self.state[number] = self.stored[number]
            self.poller.resume_restored(self.current[number])

    @rule()
    def turn(self):
        """What the poller's thread does before each poll."""
        with patch.object(poller, "PATIENCE_S", 0):
            self.poller._answer(cast(Consumer, self.consumer))
        whole = {n for n in NUMBERS if {TP(t, n) for t in TOPICS} <= self.consumer.assigned}
        settled = whole - {tp.partition for tp in self.ledger.oldest()}  # or begun at once
        assert settled <= self.current.keys() | {tp.partition for tp in self.flowing}

    @invariant()
    def what_flows_is_whole_and_has_the_state_that_everybody_left(self):
        for number in {tp.partition for tp in self.flowing}:
            assert {TP(topic, number) for topic in TOPICS} <= self.flowing
            lines = [self.ledger._batches.get(TP(topic, number), ()) for topic in TOPICS]
            # What was given up was computed on a state that is no more.
            n_in_flight = sum(len(batch) for line in lines for batch in line if not batch.dropped)
            assert self.state[number] == self.stored[number] + n_in_flight

    @invariant()
    def each_change_that_is_committed_is_in_the_state_and_no_other(self):
        assert self.stored == self.n_changes


def test_however_single_partitions_move_their_state_follows():
    run_histories(UnitMachine, n=600)


def begin_at_once(self: Rebalance) -> None:
    for number in list(self._not_begun):
        del self._not_begun[number]
        self._restorer.begin(number)  # type: ignore[union-attr]


def drop_alone(self: Rebalance, tps: frozenset[TP]) -> int:
    return self._in_flight.drop(tps)


def restore_at_once(self: Rebalance, number: int) -> None:
    self._restoring.discard(number)


PLANTED: dict[str, tuple[str, Callable[..., object]]] = {
    "what is in flight is not waited for": ("begin_restoring", begin_at_once),
    "what was computed on lost state is committed": ("_drop", drop_alone),
    "what is split flows on": ("_hold_back", restore_at_once),
}


@pytest.mark.parametrize("fault", ["what is in flight is not waited for", "what is split flows on"])
def test_a_planted_fault_is_found(fault):
    name, planted = PLANTED[fault]
    with patch.object(Rebalance, name, planted), pytest.raises((AssertionError, KeyError)):
        run_histories(UnitMachine, n=600, settled=False)


def lose_labels_while_events_are_in_flight() -> None:
    """The history of a fault that random ones meet once in a thousand."""
    events, labels = (TP(topic, 0) for topic in TOPICS)
    machine = UnitMachine()
    machine.start(INPUTS)
    machine._process(labels)
    machine._process(events)
    machine.may_settle = False
    machine._let_go({labels}, "on_lost")
    machine.commit()
    machine.each_change_that_is_committed_is_in_the_state_and_no_other()
    machine.turn()
    machine.what_flows_is_whole_and_has_the_state_that_everybody_left()


def test_what_was_computed_on_lost_state_is_not_committed():
    lose_labels_while_events_are_in_flight()


def test_what_was_computed_on_lost_state_would_be_seen_if_it_were_committed():
    name, planted = PLANTED["what was computed on lost state is committed"]
    with patch.object(Rebalance, name, planted), pytest.raises(AssertionError):
        lose_labels_while_events_are_in_flight()


def test_a_number_that_stays_split_ends_the_worker(monkeypatch):
    machine = UnitMachine()
    machine.assign({INPUTS[0]})
    machine.turn()
    began_at_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began_at_s + SPLIT_TIMEOUT_S + 1)

    with pytest.raises(DeliveryFailed, match="events:0 and labels:0 share their state"):
        machine.turn()


def test_what_is_given_up_says_how_long_it_was_waited_for(caplog):
    """A worker that ends waits for nothing."""
    machine = UnitMachine()
    machine.start(INPUTS)
    machine._process(INPUTS[0])
    machine.may_settle = False
    machine._let_go(set(INPUTS), "on_revoke")

    assert "1 records of" in caplog.text
    assert "did not commit within 0.0 s" in caplog.text


@pytest.mark.parametrize("n_in_flight", [0, 1])
def test_a_record_in_hand_waits_with_its_partition_and_comes_again(n_in_flight):
    """Else its offset would pass over what was given up, or its state be what nobody has."""
    events, labels = (TP(topic, 0) for topic in TOPICS)
    machine = UnitMachine()
    machine.start(INPUTS)
    for tp in (events, labels)[:n_in_flight]:
        machine._process(tp)
    machine.may_settle = False
    machine.consumer.meanwhile = lambda: machine._let_go({labels}, "on_lost")
    machine._process(events)

    assert machine.ledger.n_records == n_in_flight
    assert machine.poller._next_offset[events] == n_in_flight


def test_what_stays_may_commit_while_it_is_looked_after_what_came():
    def take_over(_, tps, __):
        known.append(machine.poller.group_metadata(timeout_s=0))
        return dict.fromkeys(tps, 0)

    known: list[object | None] = []
    machine = UnitMachine()
    with patch.object(machine.rebalance, "_take_over", take_over):
        machine.assign({TP(topic, 0) for topic in TOPICS})
        machine.assign({TP(topic, 1) for topic in TOPICS})

    assert known == [None, "known"]


class OtherWorker:
    """A member that reads labels alone, and counts them as the counting app does."""

    def __init__(self, bench):
        self._bench = bench
        group = f"{bench.prefix}counting"
        settings = KafkaSettings(
            bootstrap=bench.bootstrap, group=group, slot=1, rebalancing="consumer"
        )
        self._consumer = Consumer(settings.consumer())
        self._consumer.subscribe([f"{bench.prefix}labels"])
        wait_until(lambda: self._consumer.poll(0.1) is None and self._consumer.assignment(), 60)
        self.numbers = {each.partition for each in self._consumer.assignment()}

    def process(self, n, counts):
        """Go on from the last counts of keys."""
        for _ in range(n):
            message = self._consumer.poll(30)
            assert message is not None
            assert message.error() is None
            key, partition = message.key(), message.partition()
            counts[key] = counts.get(key, 0) + 1
            for topic, value in (
                ("counted", b"%s %d" % (message.value(), counts[key])),
                ("counting-state", b"%d" % counts[key]),
            ):
                self._bench.producer.produce(self._bench.prefix + topic, value, key, partition)
        assert self._bench.producer.flush(30) == 0
        self._consumer.commit(
            offsets=self._consumer.position(self._consumer.assignment()), asynchronous=False
        )

    def leave(self):
        self._consumer.close()


def numbers_of_keys(bench):
    """Tell the partition of each key that was sent to `labels`."""
    reader, found = bench.consumer("labels"), {}

    def have_all():
        found.update({each.key(): each.partition() for each in reader.consume(500, 0.2)})
        return len(found) == N_KEYS

    wait_until(have_all, 30)
    return found


@pytest.mark.integration
def test_a_partition_whose_sibling_is_elsewhere_waits_for_it_and_its_changes(bench):
    bench.create("labels")
    counted = bench.reader()
    bench.start(rebalancing="consumer", topics=["events", "labels"])
    bench.send(range(500), n_keys=N_KEYS)
    bench.send(range(500, 1_000), topic="labels", n_keys=N_KEYS)
    counted.wait_for(1_000)
    number_of = numbers_of_keys(bench)

    other = OtherWorker(bench)
    split = {n for n in range(2_500) if number_of[b"key-%d" % (n % N_KEYS)] in other.numbers}
    bench.send(range(1_000, 1_500), n_keys=N_KEYS)
    whole = set(range(1_500)) - split
    wait_until(lambda: whole <= counted.poll().times_seen.keys(), 60)
    seen_meanwhile = split & counted.times_seen.keys() & set(range(1_000, 1_500))
    bench.send(range(1_500, 2_000), topic="labels", n_keys=N_KEYS)
    counts = {key: seen[-1] for key, seen in counted.counts_by_key.items()}
    other.process(len(split & set(range(1_500, 2_000))), counts)
    other.leave()
    bench.send(range(2_000, 2_500), n_keys=N_KEYS)
    counted.wait_for(2_500)
    counted.poll()

    assert 0 < len(other.numbers) < PARTITIONS
    assert seen_meanwhile == set()
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}
