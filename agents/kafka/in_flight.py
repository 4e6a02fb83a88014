"""The ledger of batches between poll and commit; the one thing the three threads share.

A batch is added by the poller, begun and finished by the event loop and retired by the committer.
Batches that share state retire in the order they were begun, so that changes of state are published
in the order they were made, and a committed offset never runs ahead of an unfinished record. No I/O
here: the protocol is testable without a broker.
"""

import threading
from collections import deque
from collections.abc import Collection, Iterable
from itertools import takewhile

from faust.types.tuples import TP

from agents.kafka.batch import Batch
from schemas.errors import DeliveryFailed


class InFlight:
    """Batches that were delivered and are not yet committed.

    Parameters
    ----------
    max_records
        When this many records are in flight, the poller should not fetch more.
    shares_state
        Whether partitions of one number, of whatever topic, share one state.

    Examples
    --------
    >>> ledger = InFlight(max_records=100)
    >>> first, second = Batch(TP("t", 0), [], 10), Batch(TP("t", 0), [], 20)
    >>> for batch in (first, second):
    ...     ledger.add(batch)
    ...     ledger.begin(batch)
    >>> ledger.finish(second)
    >>> ledger.take_finished(timeout_s=0)  # `second` waits for `first`
    []
    >>> ledger.finish(first)
    >>> [batch.next_offset for batch in ledger.take_finished(timeout_s=0)]
    [10, 20]
    """

    def __init__(self, max_records: int, *, shares_state: bool = False) -> None:
        self.max_records = max_records
        self._shares_state = shares_state
        self._batches: dict[TP, deque[Batch]] = {}
        """All of a partition, in the order they came."""
        self._begun: dict[TP | int, deque[Batch]] = {}
        """Those of one state, in the order agents took them."""
        self._n_records = 0
        self._n_retired = 0
        self._n_of: dict[TP, int] = {}
        self._through: dict[TP, int] = {}
        self._touched: set[TP | int] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._something_finished = threading.Condition(self._lock)
        self._something_retired = threading.Condition(self._lock)

    @property
    def n_records(self) -> int:
        """Records delivered and not yet committed."""
        return self._n_records

    @property
    def n_retired(self) -> int:
        """Batches that were retired since the start: it stands still when nothing gets through."""
        return self._n_retired

    @property
    def has_room(self) -> bool:
        """Whether the poller may deliver more."""
        return self._n_records < self.max_records

    def n_records_of(self, tp: TP) -> int:
        """Count the records of a partition that are delivered and not yet committed."""
        return self._n_of.get(tp, 0)

    def through(self, tp: TP) -> int | None:
        """Tell the offset up to which a partition is committed; `None`: nothing of it was."""
        return self._through.get(tp)

    def oldest(self) -> dict[TP, Batch]:
        """Tell of each partition with something in flight which batch somebody is to move next.

        Held ones are not among them: their agent has moved on, and says when.
        """
        with self._lock:
            next_ones = {tp: _next(line) for tp, line in self._batches.items()}
            return {tp: batch for tp, batch in next_ones.items() if batch is not None}

    def add(self, batch: Batch) -> None:
        """Note that a batch is about to be delivered."""
        with self._lock:
            self._batches.setdefault(batch.tp, deque()).append(batch)
            self._n_records += len(batch)
            self._n_of[batch.tp] = self._n_of.get(batch.tp, 0) + len(batch)

    def begin(self, batch: Batch) -> None:
        """Note that an agent takes a batch, for the first time or again."""
        if not batch.begun:
            with self._lock:
                self._note_begun(batch)

    def finish(self, batch: Batch) -> None:
        """Note that every agent is through with a batch."""
        with self._lock:
            if not batch.begun:  # given up before an agent saw it
                self._note_begun(batch)
            batch.finished = True
            self._touched.add(self._state_of(batch))
            self._something_finished.notify()

    def take_finished(self, *, timeout_s: float) -> list[Batch]:
        """Wait for batches that may be committed, in the order they were begun on one state.

        They stay in flight until they are retired. An empty list means that there was nothing
        in time, or that the ledger was closed.
        """
        with self._lock:
            if not self._touched and not self._closed:
                self._something_finished.wait(timeout_s)
            touched, self._touched = self._touched, set()
            return [
                batch
                for state in touched
                for batch in takewhile(lambda b: b.finished, self._begun.get(state, ()))
            ]

    def retire(self, batches: Iterable[Batch]) -> None:
        """Note that batches, as taken, are committed or given up."""
        with self._lock:
            for batch in batches:
                for line in (self._begun[self._state_of(batch)], self._batches[batch.tp]):
                    oldest = line.popleft()
                    if oldest is not batch:
                        raise AssertionError(f"{batch!r} overtook {oldest!r}")
                self._n_records -= len(batch)
                self._n_of[batch.tp] -= len(batch)
                self._n_retired += 1
                if not batch.dropped:
                    self._through[batch.tp] = batch.next_offset
            self._something_retired.notify_all()

    def drop(self, tps: Collection[TP]) -> int:
        """Give up all batches of partitions that are no longer ours; count their records."""
        with self._lock:
            batches = [batch for tp in tps for batch in self._batches.get(tp, ())]
            for batch in batches:
                batch.dropped = True
                if not batch.begun:  # else what comes when the partition is back would overtake it
                    self._note_begun(batch)
            return sum(len(batch) for batch in batches)

    def is_still_used(self, state: TP | int) -> bool:
        """Tell whether an agent may still be in a batch of a state that was given up."""
        with self._lock:
            return any(batch.dropped and not batch.finished for batch in self._begun.get(state, ()))

    def forget(self, tps: Iterable[TP]) -> None:
        """Note that partitions are no longer ours, nor what we know to be committed of them."""
        with self._lock:
            for tp in tps:
                self._through.pop(tp, None)

    def settle(self, tps: Collection[TP], *, timeout_s: float) -> bool:
        """Wait until nothing of these partitions is in flight; tell whether that came true."""
        with self._lock:
            return self._something_retired.wait_for(
                lambda: self._closed or not any(self._batches.get(tp) for tp in tps), timeout_s
            ) and not any(self._batches.get(tp) for tp in tps)

    def wait_for_room(self, *, timeout_s: float) -> bool:
        """Wait until the poller may deliver more; tell whether it may."""
        with self._lock:
            return self._something_retired.wait_for(lambda: self.has_room, timeout_s)

    def wait_until_empty(self, *, timeout_s: float) -> None:
        """Wait until everything delivered is committed, or for so long."""
        with self._lock:
            self._something_retired.wait_for(
                lambda: self._closed or self._n_records == 0, timeout_s
            )

    def close(self) -> None:
        """Wake up everyone who waits; the committer is to end."""
        with self._lock:
            self._closed = True
            self._something_finished.notify_all()
            self._something_retired.notify_all()

    def _note_begun(self, batch: Batch) -> None:
        # Before anything of it can be committed: its offset would cover what it overtook.
        next_one = next((each for each in self._batches[batch.tp] if not each.begun), None)
        if next_one is not batch:
            raise DeliveryFailed(f"{batch!r} is begun before {next_one!r}")
        batch.begun = True
        self._begun.setdefault(self._state_of(batch), deque()).append(batch)

    def _state_of(self, batch: Batch) -> TP | int:
        return batch.tp.partition if self._shares_state else batch.tp

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed


def _next(line: Iterable[Batch]) -> Batch | None:
    """Find the first that an agent is not through with; if there is none, one to be committed."""
    first_finished = None
    for batch in line:
        if batch.finished:
            first_finished = batch if first_finished is None else first_finished
        elif not batch.is_put_off:
            return batch
    return first_finished
