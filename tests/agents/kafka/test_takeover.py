"""Two workers that take each other's partitions over, killed, expelled and held up at any moment.

What is real and what is model: `worker_model`, `broker_model`.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from unittest.mock import patch

import pytest
from faust.types.tuples import TP
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agents.kafka import exactly_once
from agents.kafka.claim import Claim
from agents.kafka.exactly_once import ExactlyOnce
from agents.kafka.in_flight import InFlight
from tests.agents.kafka.broker_model import FATES, POINTS, BrokerModel, Fate, Point
from tests.agents.kafka.worker_model import (
    CHANGELOG,
    DONE,
    INPUTS,
    NUMBERS,
    OUT,
    TOPICS,
    Fold,
    Killed,
    Worker,
    on_model,
    step,
)
from tests.histories import run_histories

SLOTS = (0, 1)
Script = list[tuple[Point, str]]

slots = st.sampled_from(SLOTS)
owners = st.tuples(*(slots for _ in NUMBERS))
sizes = st.tuples(*(st.integers(0, 3) for _ in INPUTS))
fates = st.lists(st.sampled_from(FATES), max_size=2)
scripts = st.lists(
    st.tuples(
        st.sampled_from(POINTS),
        st.sampled_from(
            [
                *("killed", "timed out", "succeeded"),
                *("taken over", "taken over, unheard", "moved"),
            ]
        ),
    ),
    max_size=1,
)
"""What happens to a worker while it is within which call."""
late_at = st.sampled_from([None, "offsets", "commit"])
"""Within which call an EndTxn arrives that was long on its way, if there is one."""


class TakeoverMachine(RuleBasedStateMachine):
    """Input records are numbers; each gives one output and one change of a fold."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = BrokerModel()
        self.broker.happens = self._happens
        self.patches = on_model(self.broker)
        self.ends = dict.fromkeys(INPUTS, 0)
        self.n_incarnations = 0
        self.workers: dict[int, Worker] = {}
        self.zombies: list[Worker] = []
        self.owners: dict[int, int] = {}
        self.script: dict[Point, str] = {}
        self.late_at: Point | None = None
        self.busy: list[Worker] = []

    @initialize(owners=owners)
    def start(self, owners: tuple[int, ...]) -> None:
        for slot in SLOTS:
            self._start(slot)
        self._rebalance(owners, "settles")

    # ---- what workers do -----------------------------------------------------------------------

    @rule(
        slot=slots,
        sizes=sizes,
        turns=st.permutations(TOPICS).flatmap(
            lambda order: st.tuples(
                *(st.tuples(st.just(each), st.integers(0, 3)) for each in order)
            )
        ),
        heard=st.integers(0, 4),
        fates=fates,
        script=scripts,
        late_at=late_at,
    )
    def work(  # noqa: PLR0917  # all that is drawn
        self,
        slot: int,
        sizes: tuple[int, ...],
        turns: tuple[tuple[str, int], ...],
        heard: int,
        fates: list[Fate],
        script: Script,
        late_at: Point | None,
    ) -> None:
        """Records arrive and are polled; loop, agents and committer may stop half-way."""

        def act(worker: Worker) -> None:
            worker.poll(sizes)
            worker.turn_loop(heard)
            for topic, n in turns:
                worker.let_agent_run(topic, n)
            worker.commit()

        self._arrive(sizes)
        self._with(script, fates, late_at)
        self._let(slot, act)

    @rule(slot=slots, sizes=sizes, fates=fates, script=scripts, late_at=late_at)
    def progress(
        self,
        slot: int,
        sizes: tuple[int, ...],
        fates: list[Fate],
        script: Script,
        late_at: Point | None,
    ) -> None:
        """Records arrive, and everything is done that can be."""
        self._arrive(sizes)
        self._with(script, fates, late_at)
        self._let(slot, Worker.progress)

    @rule(slot=slots, script=scripts, heard=st.integers(0, 3))
    def restore(self, slot: int, script: Script, heard: int) -> None:
        def act(worker: Worker) -> None:
            worker.restore()
            worker.turn_loop(heard)

        self._with(script)
        self._let(slot, act)

    # ---- what happens to them ------------------------------------------------------------------

    @rule(
        owners=owners,
        how=st.sampled_from(["settles", "too slow", "expelled"]),
        fates=fates,
        script=scripts,
    )
    def rebalance(
        self, owners: tuple[int, ...], how: str, fates: list[Fate], script: Script
    ) -> None:
        self._with(script, fates)
        self._rebalance(owners, how)

    @rule(slot=slots, owners=owners, is_frozen=st.booleans())
    def restart(self, slot: int, owners: tuple[int, ...], is_frozen: bool) -> None:
        """A successor, while its predecessor is dead, or frozen and will wake up."""
        self._with([])
        before = self.workers[slot]
        if is_frozen and before.is_alive:
            self.zombies.append(before)
        before.is_alive = is_frozen and before.is_alive
        if not self._succeed(slot):
            self._rebalance(owners, "settles")

    @precondition(lambda self: self.zombies)
    @rule()
    def wake_up(self) -> None:
        """The world went on without it."""
        self._with([])
        self.zombies.pop(0).progress()

    @precondition(lambda self: self.broker.late)
    @rule()
    def late_ends_arrive(self) -> None:
        self.broker.deliver_late()

    @rule(slot=slots)
    def transactions_of_the_dead_time_out(self, slot: int) -> None:
        if not self.workers[slot].is_alive:
            self._time_out(self.workers[slot])

    @precondition(lambda self: any(each.is_expelled for each in self.workers.values()))
    @rule(owners=owners)
    def learn_of_loss(self, owners: tuple[int, ...]) -> None:
        """Who was expelled hears of it, and joins again."""
        self._with([])
        for worker in self.workers.values():
            if worker.is_alive and worker.is_expelled:
                worker.learn_of_loss()
        self._rebalance(owners, "settles")

    # ---- laws ----------------------------------------------------------------------------------

    @invariant()
    def what_is_committed_is_what_one_thread_would_have_done(self) -> None:
        """Outputs of the committed prefix, each once, in order; changes of state in that order."""
        for number in NUMBERS:
            self._fold(number)

    @invariant()
    def only_who_is_in_a_call_or_dead_has_a_transaction_open(self) -> None:
        living = [worker for worker in self.workers.values() if worker.is_alive]
        assert not any(id_ in self.broker.open for each in living for id_ in each.transactional_ids)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None and self.workers:
                self._drain()
        finally:
            self.patches.close()

    def _drain(self) -> None:
        """Once the faults are over, everything that was delivered is committed."""
        while self.zombies:
            self.wake_up()
        self.broker.deliver_late()
        self._with([])
        for _ in range(3):
            for slot in SLOTS:
                if not self.workers[slot].is_alive:
                    self._succeed(slot)
            self.learn_of_loss(SLOTS)
            for _ in range(1 + max(self.ends.values()) // 9):
                for worker in self.workers.values():
                    if worker.is_alive:
                        worker.progress(at_once=3)
            if all(worker.is_alive for worker in self.workers.values()):
                break
        self.what_is_committed_is_what_one_thread_would_have_done()

        assert {tp: self.broker.committed[tp] for tp in INPUTS} == self.ends
        assert self.broker.open == {}
        assert all(worker.is_alive for worker in self.workers.values())
        assert all(worker.ledger.n_records == 0 for worker in self.workers.values())

    def _fold(self, number: int) -> Fold:
        """Compute a partition's state anew from what is visible, and compare all on the way."""
        fold: Fold = {}
        offsets = dict.fromkeys(TOPICS, 0)
        changes = []
        for entry in self.broker.visible(TP(OUT, number)):
            topic, offset, told = (entry.value or b"").decode().split(":")
            assert int(offset) == offsets[topic], "an output is missing, doubled or out of order"
            offsets[topic] += 1
            changes.append(step(fold, topic, int(offset)))
            assert int(told) == fold[changes[-1][0]], "computed on state that was not committed"
        assert offsets == {topic: self.broker.committed[TP(topic, number)] for topic in TOPICS}
        for topic in TOPICS:
            done = [entry.value for entry in self.broker.visible(TP(f"{DONE}-{topic}", number))]
            assert [int(value or b"") for value in done][-1:] == [offsets[topic]][: len(done)]
            assert bool(done) == bool(offsets[topic]), "committed before its agent was through"
        found = self.broker.visible(TP(CHANGELOG, number))
        assert [(each.key, int(each.value or b"")) for each in found] == changes
        return fold

    # ---- how it is done ------------------------------------------------------------------------

    def _start(self, slot: int) -> None:
        self.n_incarnations += 1
        worker = Worker(self.broker, slot, self.n_incarnations, self.ends)
        self.workers[slot] = worker

        def check_installed(number: int, fold: Fold) -> None:
            if self._is_in_charge(worker, number):
                assert fold == self._fold(number), "restored what is not committed"

        def check_in_charge() -> None:
            assert self.workers[worker.slot] is worker, "fences its own successor"

        worker.check_installed = check_installed
        worker.check_in_charge = check_in_charge

    def _is_in_charge(self, worker: Worker, number: int) -> bool:
        return (
            self.workers[worker.slot] is worker
            and not worker.is_expelled
            and self.owners[number] == worker.slot
        )

    def _succeed(self, slot: int) -> bool:
        """Start a successor. As a static member it takes its predecessor's place, unnoticed."""
        before = self.workers[slot]
        self._start(slot)
        if self.broker.members.get(slot) != before.incarnation:
            return False
        self.broker.members[slot] = self.workers[slot].incarnation
        self.workers[slot].join([number for number in NUMBERS if self.owners[number] == slot])
        return True

    def _arrive(self, sizes: tuple[int, ...]) -> None:
        for tp, size in zip(INPUTS, sizes, strict=True):
            self.ends[tp] += size

    def _with(
        self, script: Script, fates: list[Fate] | None = None, late_at: Point | None = None
    ) -> None:
        self.script = dict(script)
        self.broker.fates = list(fates or ())
        self.late_at = late_at

    def _let(self, slot: int, act: Callable[[Worker], None]) -> None:
        worker = self.workers[slot]
        if not worker.is_alive:
            self._succeed(slot)
        elif worker not in self.busy:
            self.busy.append(worker)
            act(worker)
            self.busy.pop()

    def _rebalance(self, owners: tuple[int, ...], how: str, held_up: Worker | None = None) -> None:
        """Let the group agree on new owners; the dead are left out.

        `how` is the way in which the worker that is held up, or else the first one, lets go.
        """
        broker = self.broker
        present = [each for each in self.workers.values() if each.is_alive and not each.is_expelled]
        unwilling = held_up or (present[0] if present else None)
        for worker in present:
            if worker is not unwilling:
                worker.leave(settles=worker not in self.busy)
            elif how == "expelled":
                worker.is_expelled = True
            else:
                worker.leave(settles=how == "settles")
        broker.generation += 1
        members = [each for each in present if each.is_alive and not each.is_expelled]
        broker.members = {each.slot: each.incarnation for each in members}
        self.owners = {
            number: slot if slot in broker.members or not members else members[0].slot
            for number, slot in zip(NUMBERS, owners, strict=True)
        }
        for worker in members:
            worker.join([n for n in NUMBERS if self.owners[n] == worker.slot])

    def _happens(self, point: Point) -> None:
        """Something happens to the worker that is within a call."""
        if point == self.late_at:
            self.broker.deliver_late(harmful=True)
        event = self.script.pop(point, None)
        if event is None or not self.busy:
            return
        worker = self.busy[-1]
        other = self.workers[1 - worker.slot]
        match event:
            case "killed":
                worker.is_alive = False
                raise Killed
            case "timed out":
                self._time_out(worker)
            case "succeeded":
                self._succeed(worker.slot)
                self._let(worker.slot, Worker.progress)
            case "taken over" | "taken over, unheard" | "moved":
                unheard = event == "taken over, unheard"
                new_owner = worker.slot if event == "moved" else other.slot
                if not worker.is_expelled:
                    how = "expelled" if unheard else "too slow"
                    self._rebalance((new_owner,) * len(NUMBERS), how, worker)
                self._let(other.slot, Worker.progress)
                if worker.is_expelled and not unheard:
                    worker.learn_of_loss()

    def _time_out(self, worker: Worker) -> None:
        for transactional_id in worker.transactional_ids:
            self.broker.time_out(transactional_id)


def test_nothing_that_happens_to_two_workers_loses_doubles_or_reorders_anything():
    run_histories(TakeoverMachine, n=1_200)


def test_a_record_in_hand_is_not_delivered_if_its_partition_was_given_back_meanwhile():
    """It comes again, since the partition goes on where it is committed."""
    machine = TakeoverMachine()
    try:
        machine.start((0, 0))
        machine.progress(0, (3,) * len(INPUTS), [], [("consume", "moved")], None)
        machine.what_is_committed_is_what_one_thread_would_have_done()
        assert machine.script == {}
    finally:
        machine.teardown()


PLANTED: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "a dropped batch is committed": lambda: patch.object(InFlight, "drop", lambda self, tps: 0),
    "partitions of one number do not share their order": lambda: patch.object(
        InFlight, "_state_of", lambda self, batch: batch.tp
    ),
    "a batch is finished when it is begun": lambda: patch.object(
        InFlight, "begin", InFlight.finish
    ),
    "state is not restored": lambda: patch.object(
        BrokerModel, "read_to_end", lambda *args, **kwargs: iter(())
    ),
    "a producer in doubt goes on": lambda: patch.object(
        ExactlyOnce, "_replace_producers", lambda self, turns, reason: None
    ),
    "what is through is not asked": lambda: patch.object(
        ExactlyOnce, "_without_committed", lambda self, batches: list(batches)
    ),
    "a slow call is believed": lambda: patch.object(exactly_once, "SUSPICIOUS_S", 1e9),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault):
    with PLANTED[fault](), pytest.raises((AssertionError, KeyError)):
        run_histories(TakeoverMachine, n=6_000, settled=False)


@dataclass(frozen=True)
class Rare:
    """A fault that shows in few histories, and what is drawn for a worker in one of them."""

    fault: Callable[[], AbstractContextManager[object]]
    fates: tuple[Fate, ...]
    script: Script


RARE: dict[str, Rare] = {
    "a producer is made anew whoever has its id": Rare(
        lambda: patch.object(Claim, "end_if_lost", lambda self: None),
        fates=("slow",),
        script=[("ended", "succeeded")],
    ),
    "a successor that aborted is taken for a time-out": Rare(
        lambda: patch.object(
            Claim, "has_open", property(lambda self: True, lambda self, is_open: None), create=True
        ),
        fates=("slow", "rebalancing"),
        script=[("ended", "succeeded"), ("abort", "taken over")],
    ),
}


def run_history(rare: Rare) -> None:
    machine = TakeoverMachine()
    try:
        machine.start((0, 0))
        machine.progress(0, (3,) * len(INPUTS), list(rare.fates), rare.script, None)
    finally:
        machine.teardown()


@pytest.mark.parametrize("name", RARE)
def test_a_rare_fault_is_found_by_the_history_that_shows_it(name):
    run_history(RARE[name])
    with RARE[name].fault(), pytest.raises(AssertionError, match="fences its own successor"):
        run_history(RARE[name])
