"""Laws of the ledger between poll and commit, whatever order things happen in."""

from typing import Any

from faust.types.tuples import TP
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from agents.kafka.batch import Batch
from agents.kafka.in_flight import InFlight

NO_RECORD: Any = None
PARTITIONS = tuple(TP("events", partition) for partition in range(3))


class InFlightMachine(RuleBasedStateMachine):
    """Deliver, finish, commit, lose partitions and get them back; the model is plain lists."""

    unfinished = Bundle("unfinished")

    def __init__(self):
        super().__init__()
        self.ledger = InFlight(max_records=20)
        self.end = dict.fromkeys(PARTITIONS, 0)
        self.committed = dict.fromkeys(PARTITIONS, 0)
        self.outstanding: dict[TP, list[Batch]] = {tp: [] for tp in PARTITIONS}

    @rule(target=unfinished, tp=st.sampled_from(PARTITIONS), size=st.integers(1, 5))
    def deliver(self, tp, size):
        self.end[tp] += size
        batch = Batch(tp, [NO_RECORD] * size, self.end[tp])
        self.ledger.add(batch)
        self.outstanding[tp].append(batch)
        return batch

    @rule(batch=consumes(unfinished))
    def finish(self, batch):
        self.ledger.finish(batch)

    @rule()
    def commit(self):
        batches = self.ledger.take_finished(timeout_s=0)
        for batch in batches:
            assert self.outstanding[batch.tp].pop(0) is batch
            assert batch.finished
            if not batch.dropped:
                assert batch.next_offset > self.committed[batch.tp]
                self.committed[batch.tp] = batch.next_offset
        self.ledger.retire(batches)

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
