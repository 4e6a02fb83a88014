"""Laws of the ledger between poll and commit, whatever order things happen in."""

from typing import Any

from faust.types.tuples import TP
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from agents.kafka.batch import Batch
from agents.kafka.in_flight import InFlight

NO_RECORD: Any = None
PARTITIONS = tuple(TP(topic, partition) for topic in ("events", "labels") for partition in range(3))


class InFlightMachine(RuleBasedStateMachine):
    """Deliver, begin, finish, commit, lose partitions and get them back; the model is plain lists.

    Two topics, whose partitions of one number share a state.
    """

    unfinished = Bundle("unfinished")

    def __init__(self):
        super().__init__()
        self.ledger = InFlight(max_records=20, shares_state=True)
        self.begun: dict[int, list[Batch]] = {number: [] for number in range(3)}
        self.end = dict.fromkeys(PARTITIONS, 0)
        self.committed = dict.fromkeys(PARTITIONS, 0)
        self.outstanding: dict[TP, list[Batch]] = {tp: [] for tp in PARTITIONS}

    @rule(tp=st.sampled_from(PARTITIONS), size=st.integers(1, 5))
    def deliver(self, tp, size):
        self.end[tp] += size
        batch = Batch(tp, [NO_RECORD] * size, self.end[tp])
        self.ledger.add(batch)
        self.outstanding[tp].append(batch)

    @rule(target=unfinished, tp=st.sampled_from(PARTITIONS))
    def begin(self, tp):
        """An agent takes the next batch of its topic."""
        waiting = [batch for batch in self.outstanding[tp] if not batch.begun]
        if not waiting:
            return multiple()
        self.ledger.begin(waiting[0])
        self.begun[tp.partition].append(waiting[0])
        return waiting[0]

    @rule(batch=consumes(unfinished))
    def finish(self, batch):
        self.ledger.finish(batch)

    @rule()
    def commit(self):
        batches = self.ledger.take_finished(timeout_s=0)
        for batch in batches:
            assert self.outstanding[batch.tp].pop(0) is batch
            assert self.begun[batch.tp.partition].pop(0) is batch
            assert batch.finished
            if not batch.dropped:
                assert batch.next_offset > self.committed[batch.tp]
                self.committed[batch.tp] = batch.next_offset
        self.ledger.retire(batches)

    @invariant()
    def of_each_partition_the_oldest_that_is_not_finished_is_next(self):
        expected = {
            tp: next((batch for batch in batches if not batch.finished), batches[0])
            for tp, batches in self.outstanding.items()
            if batches
        }
        assert self.ledger.oldest() == expected

    @rule(tp=st.sampled_from(PARTITIONS))
    def lose(self, tp):
        n_dropped = self.ledger.drop([tp])
        assert n_dropped == sum(len(batch) for batch in self.outstanding[tp])
        self.end[tp] = self.committed[tp] = max(self.end[tp], self.committed[tp])

    @precondition(lambda self: all(not each for each in self.outstanding.values()))
    @rule()
    def settled(self):
        assert self.ledger.settle(PARTITIONS, timeout_s=0)

    @invariant()
    def counts_what_is_outstanding(self):
        n_records = sum(len(batch) for each in self.outstanding.values() for batch in each)
        assert self.ledger.n_records == n_records
        assert self.ledger.has_room == (n_records < 20)

    @invariant()
    def nothing_unfinished_is_committed(self):
        for tp, batches in self.outstanding.items():
            if batches and not batches[0].dropped:
                assert self.committed[tp] <= batches[0].next_offset - len(batches[0])


TestInFlight = InFlightMachine.TestCase


def test_topics_without_a_common_state_do_not_wait_for_each_other():
    ledger = InFlight(max_records=10)
    slow, quick = (Batch(TP(topic, 0), [NO_RECORD], 1) for topic in ("events", "labels"))
    for batch in (slow, quick):
        ledger.add(batch)
        ledger.begin(batch)
    ledger.finish(quick)

    assert ledger.take_finished(timeout_s=0) == [quick]


def test_what_was_given_up_before_an_agent_took_it_is_out_of_the_way():
    ledger = InFlight(max_records=10, shares_state=True)
    given_up = Batch(PARTITIONS[0], [NO_RECORD], 1)
    ledger.add(given_up)
    ledger.drop([PARTITIONS[0]])
    ledger.finish(given_up)
    ledger.retire(ledger.take_finished(timeout_s=0))

    assert ledger.settle(PARTITIONS, timeout_s=0)


def test_settle_tells_when_batches_stay_unfinished():
    ledger = InFlight(max_records=10)
    ledger.add(Batch(PARTITIONS[0], [NO_RECORD], 1))

    assert not ledger.settle(PARTITIONS, timeout_s=0.01)
    assert ledger.settle([PARTITIONS[1]], timeout_s=0.01)


def test_a_closed_ledger_keeps_nobody_waiting():
    ledger = InFlight(max_records=10)
    ledger.add(Batch(PARTITIONS[0], [NO_RECORD], 1))
    ledger.close()

    assert ledger.take_finished(timeout_s=60) == []
    assert not ledger.settle(PARTITIONS, timeout_s=60)
