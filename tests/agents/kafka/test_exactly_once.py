"""Laws of the committer: whatever becomes of its transactions, each batch is published once."""

import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Never, cast, get_args
from unittest.mock import patch

import pytest
from confluent_kafka import KafkaError
from faust.types.tuples import TP
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from agents.kafka import abandonable, calls, claim, exactly_once
from agents.kafka.batch import Batch
from agents.kafka.client_settings import TURNS, KafkaSettings
from agents.kafka.exactly_once import ATTEMPTS, BROKER_GONE_S, HANGS, SUSPICIOUS_S, ExactlyOnce
from agents.kafka.in_flight import InFlight
from schemas.errors import DeliveryFailed, Fenced
from tests.agents.kafka.fake_transactions import (
    FakeBroker,
    FakeMember,
    FakeProducer,
    Fate,
    Notes,
    failure,
)
from tests.waiting import wait_until

EVENTS = TP("events", 0)
PARTITIONS = tuple(TP("events", partition) for partition in range(3))
SETTINGS = KafkaSettings(bootstrap="nowhere:1", group="test", slot=3)
UNKNOWN: tuple[Fate, ...] = (
    "unknown, committed",
    "unknown, committed late",
    "slow",
    "error meanwhile",
)
HANGING: tuple[Fate, ...] = ("hangs", "hangs, committed")
UNCERTAIN_ABORTS: tuple[Fate, ...] = ("aborted", "abort fails", "abort is slow")


class Bench:
    """A committer over a broker in memory.

    Its ledger is closed, so that `run` commits what is finished and returns.
    """

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.notes = Notes()
        self.ledger = InFlight(max_records=1_000)
        self.ledger.close()
        self._patches = ExitStack()
        for module, name, fake in (
            (calls, "time", self.broker.clock),
            (exactly_once, "time", self.broker.clock),
            (exactly_once, "LOOK_EVERY_S", 0.001),
            (exactly_once, "committed_offsets", self.broker.committed_offsets),
            (claim, "transaction_owner", self.broker.transaction_owner),
        ):
            self._patches.enter_context(patch.object(module, name, fake))
        self.member = FakeMember(self.broker)
        self.committer = ExactlyOnce(
            SETTINGS,
            self.ledger,
            self.member,
            self.notes,
            producer=cast(Any, self.broker.producer),
        )
        self.committer.initialise()

    def close(self) -> None:
        self.broker.released.set()
        self._patches.close()

    def deliver(self, tp: TP, first: int, end: int) -> Batch:
        """Add a batch whose outputs are the numbers of its records."""
        batch = Batch(tp, cast(Any, [None] * (end - first)), end)
        for number in range(first, end):
            batch.emit("out", b"%d" % number, partition=tp.partition)
        self.ledger.add(batch)
        self.ledger.begin(batch)
        return batch

    def finished(self, tp: TP, first: int, end: int) -> Batch:
        batch = self.deliver(tp, first, end)
        self.ledger.finish(batch)
        return batch

    def published(self, tp: TP) -> list[int]:
        return [
            int(value)
            for _, value, _, partition, _ in self.broker.outputs
            if partition == tp.partition
        ]


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.close()


def test_all_finished_batches_go_into_one_transaction_with_their_offsets(bench):
    bench.finished(PARTITIONS[0], 0, 3)
    bench.finished(PARTITIONS[0], 3, 5)
    bench.finished(PARTITIONS[1], 0, 2)
    bench.committer.run()

    assert bench.published(PARTITIONS[0]) == [0, 1, 2, 3, 4]
    assert bench.broker.committed == {PARTITIONS[0]: 5, PARTITIONS[1]: 2}
    assert bench.notes.committed == [7]
    assert bench.notes.retried == []
    assert bench.ledger.n_records == 0
    assert bench.broker.epochs == {"test-3-0": 1, "test-3-1": 1}
    assert bench.committer._producers[0].identities == {"test-3"}


def test_outputs_go_out_with_their_keys_headers_and_partitions(bench):
    batch = bench.deliver(EVENTS, 0, 0)
    batch.next_offset = 1
    headers = [("ce_id", b"1")]
    batch.emit("out", None, b"key", partition=2, headers=headers)
    bench.ledger.finish(batch)
    bench.committer.run()

    assert bench.broker.outputs == [("out", None, b"key", 2, headers)]


def test_a_transaction_that_the_group_refuses_is_tried_again_with_the_same_outputs(bench):
    bench.broker.fates.extend(["stale"])
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]
    assert bench.broker.n_replaced == 0  # the same producer
    assert bench.broker.n_witnessed == 0
    assert len(bench.notes.retried) == 1
    assert bench.notes.committed == [3]


def test_a_stale_generation_is_refreshed(bench):
    bench.finished(EVENTS, 0, 1)
    bench.committer.run()
    bench.broker.generation += 1
    bench.finished(EVENTS, 1, 2)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1]
    assert len(bench.notes.retried) == 1


@pytest.mark.parametrize("fate", UNKNOWN)
def test_an_unknown_outcome_replaces_the_producer_and_believes_the_committed_offsets(bench, fate):
    bench.broker.fates.append(fate)
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]
    assert bench.broker.n_replaced == 1
    assert bench.ledger.n_records == 0
    assert bench.notes.committed == [3]


def test_what_is_lost_while_the_identity_is_awaited_is_not_committed_under_the_new_one(bench):
    """The batches are another's, or ours anew from the committed offset: nobody may see them."""

    def lose_and_join_again() -> None:
        bench.ledger.drop([PARTITIONS[0]])
        bench.broker.generation += 1

    bench.finished(PARTITIONS[0], 0, 3)
    bench.finished(PARTITIONS[1], 0, 3)
    bench.member.meanwhile = lose_and_join_again
    bench.committer.run()

    assert bench.published(PARTITIONS[0]) == []
    assert bench.published(PARTITIONS[1]) == [0, 1, 2]
    assert bench.broker.committed[PARTITIONS[0]] == 0


def test_who_lost_everything_does_not_wait_for_an_identity(bench):
    class Nobody(FakeMember):
        def group_metadata(self, *, timeout_s: float) -> object | None:
            bench.ledger.drop([EVENTS])
            return None

    bench.finished(EVENTS, 0, 3)
    bench.member.__class__ = Nobody
    bench.committer.run()

    assert bench.published(EVENTS) == []
    assert bench.ledger.n_records == 0


def test_who_is_never_told_its_place_ends(bench):
    class Unknown(FakeMember):
        def group_metadata(self, *, timeout_s: float) -> object | None:
            bench.broker.clock.now += timeout_s
            return None

    bench.finished(EVENTS, 0, 3)
    bench.member.__class__ = Unknown
    with pytest.raises(DeliveryFailed, match="not told its place"):
        bench.committer.run()


def test_an_abort_for_another_reason_keeps_the_identity(bench):
    """The poller, which alone can tell it anew, may be waiting for us."""
    bench.finished(EVENTS, 0, 1)
    bench.committer.run()
    bench.member.refresh_group_metadata = lambda: pytest.fail("asked again")
    bench.broker.fates.append("aborted")
    bench.finished(EVENTS, 1, 2)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1]


def test_an_unknown_outcome_that_was_none_is_published_after_all(bench):
    bench.broker.fates.extend(["unknown, aborted", "unknown, aborted"])
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]
    assert bench.broker.n_replaced == 2


@pytest.mark.parametrize("fate", UNCERTAIN_ABORTS)
def test_the_producer_of_an_abort_that_may_still_be_under_way_is_replaced(bench, fate):
    """Its EndTxn, arriving late, would end the next transaction of the same producer."""
    bench.broker.fates.append(fate)
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]
    assert bench.broker.n_replaced == 1


def test_an_error_of_the_time_between_two_transactions_says_nothing_of_either(bench):
    bench.committer._producers[0]._unheard.append(KafkaError(KafkaError._TRANSPORT, "idle"))
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]
    assert bench.broker.n_replaced == 0


class WaitsForLeaders(FakeProducer):
    def flush(self, timeout_s: float) -> int:
        self._broker.clock.now += BROKER_GONE_S + 1
        return super().flush(timeout_s)


def test_who_waited_for_a_broker_that_is_gone_sends_no_offsets_and_trusts_no_producer(bench):
    """The group's coordinator may have gone, too; producers that knew it may wait for ever."""

    class Knows(WaitsForLeaders):
        def send_offsets_to_transaction(self, *args: Any) -> None:
            pytest.fail("would wait for ever")

    bench.committer._producers[0].__class__ = Knows
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]
    assert bench.broker.epochs == {"test-3-0": 2, "test-3-1": 2}
    assert bench.notes.retried == ["outputs took 3.0 s"]


def test_brokers_that_are_always_slow_do_not_keep_a_transaction_from_ending(bench):
    def make(settings: dict[str, object]) -> FakeProducer:
        made: FakeProducer = bench.broker.producer(settings)
        made.__class__ = WaitsForLeaders
        return made

    bench.committer._make_producer = make
    bench.committer._producers[0].__class__ = WaitsForLeaders
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]


def test_a_producer_is_gone_before_its_successor_is_made(bench):
    replaced = weakref.ref(bench.committer._producers[0])
    make, alive = bench.committer._make_producer, []

    def note_and_make(settings: dict[str, object]) -> FakeProducer:
        alive.append(replaced())
        return cast(FakeProducer, make(settings))

    bench.committer._make_producer = note_and_make
    bench.broker.fates.append("unknown, aborted")
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert alive == [None]


def test_a_request_sent_twice_takes_longer_than_any_that_is_trusted():
    """librdkafka rests before it repeats, for its setting less a fifth of jitter at most."""
    settings = SETTINGS.transactional_producer(0)

    assert settings["retry.backoff.ms"] * 0.8 / 1_000 > SUSPICIOUS_S
    assert settings.get("retry.backoff.max.ms", 1_000) / 1_000 > SUSPICIOUS_S


@pytest.mark.parametrize(("away_s", "is_waited_for"), [(100, True), (400, False)])
def test_while_nobody_tells_what_is_committed_the_worker_waits_but_not_for_ever(
    bench, monkeypatch, away_s, is_waited_for
):
    def ask(settings: object, tps: set[TP], *, timeout_s: float) -> dict[TP, int]:
        if bench.broker.clock.now > away_s:
            return told(settings, tps, timeout_s=timeout_s)
        bench.broker.clock.now += timeout_s
        waiting.append(bench.committer.calls.awaits_broker)
        raise failure(KafkaError._TIMED_OUT)

    waiting: list[bool] = []
    told: Callable[..., dict[TP, int]] = bench.broker.committed_offsets
    monkeypatch.setattr(exactly_once, "committed_offsets", ask)
    bench.broker.fates.append("unknown, committed")
    bench.finished(EVENTS, 0, 3)
    if is_waited_for:
        bench.committer.run()
    else:
        with pytest.raises(DeliveryFailed):
            bench.committer.run()

    assert waiting == [False, *[True] * (len(waiting) - 1)]
    assert not bench.committer.calls.awaits_broker
    assert bench.published(EVENTS) == [0, 1, 2]


def test_who_is_fenced_ends_and_keeps_what_it_did_to_itself(bench):
    bench.broker.fates.append("fenced")
    bench.finished(EVENTS, 0, 3)

    with pytest.raises(Fenced, match="another worker runs as test-3"):
        bench.committer.run()
    assert bench.published(EVENTS) == []
    assert bench.ledger.n_records == 3


def test_who_learns_between_transactions_that_it_is_fenced_ends(bench):
    bench.finished(EVENTS, 0, 3)
    bench.committer._producers[0]._fatal = failure(KafkaError._FENCED, fatal=True)

    with pytest.raises(Fenced, match="another worker runs as test-3"):
        bench.committer.run()
    assert bench.published(EVENTS) == []


@pytest.mark.parametrize("fate", UNKNOWN)
def test_who_is_in_doubt_after_a_successor_began_ends_and_leaves_it_its_id(bench, fate):
    """It stood still: what it takes for a doubtful call was its own pause."""

    class IsSucceeded(FakeProducer):
        def commit_transaction(self, timeout_s: float) -> None:
            try:
                super().commit_transaction(timeout_s)
            finally:
                bench.broker.producer(self._broker.settings).init_transactions(timeout_s)
                begun.update(bench.broker.epochs)

    begun: dict[object, int] = {}
    bench.broker.settings = SETTINGS.transactional_producer(0) | {"error_cb": None}
    bench.committer._producers[0].__class__ = IsSucceeded
    bench.broker.fates.append(fate)
    bench.finished(EVENTS, 0, 3)

    with pytest.raises(Fenced, match="another worker runs as test-3: the broker knows test-3-0"):
        bench.committer.run()
    assert bench.broker.epochs == begun


@pytest.mark.parametrize("fate", HANGING)
def test_a_call_that_hangs_is_left_behind_and_what_it_held_goes_on(bench, fate):
    bench.broker.fates.append(fate)
    bench.finished(EVENTS, 0, 3)
    bench.finished(EVENTS, 3, 5)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2, 3, 4]
    assert bench.broker.n_replaced == TURNS
    assert [reason for reason in bench.notes.retried if "hangs" in reason] == bench.notes.retried


def test_a_call_that_comes_back_after_it_was_left_behind_changes_nothing(bench):
    bench.broker.fates.append("hangs")
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()
    began = {thread for thread in threading.enumerate() if thread.name == "transactions"}
    bench.broker.released.set()
    for thread in began:
        thread.join(10)
        assert not thread.is_alive()
    bench.finished(EVENTS, 3, 5)
    bench.committer.run()

    assert began
    assert bench.published(EVENTS) == [0, 1, 2, 3, 4]


def test_who_hangs_again_and_again_is_stuck(bench):
    bench.broker.fates.extend(["hangs"] * (HANGS + 1))
    bench.finished(EVENTS, 0, 3)
    assert not bench.committer.is_stuck
    run = abandonable.start(bench.committer.run, name="run")
    wait_until(lambda: bench.committer.is_stuck, 10)
    bench.broker.released.set()
    run.result(10)

    assert bench.published(EVENTS) == [0, 1, 2]


@pytest.mark.parametrize(("takes_s", "is_hung"), [(10.0, False), (60.0, True)])
def test_an_initialisation_that_never_returns_is_seen_to_hang(takes_s, is_hung):
    class Hangs(FakeProducer):
        def init_transactions(self, timeout_s: float) -> None:
            broker.clock.now += takes_s
            seen.append(committer.is_stuck)
            super().init_transactions(timeout_s)

    broker, seen = FakeBroker(), cast(list[bool], [])
    committer = ExactlyOnce(
        SETTINGS,
        InFlight(max_records=1),
        FakeMember(broker),
        Notes(),
        producer=cast(Any, lambda own: Hangs(broker, own["transactional.id"])),
    )
    with (
        patch.object(calls, "time", broker.clock),
        patch.object(claim, "transaction_owner", broker.transaction_owner),
    ):
        committer.initialise()

    assert seen == [is_hung, is_hung]


def test_who_asks_from_another_thread_is_told_of_a_successor_only(bench):
    bench.committer.end_if_succeeded()
    with bench.committer._claims[0]._staking:  # by the committer itself, at this moment
        bench.broker.epochs["test-3-0"] += 1
        bench.committer.end_if_succeeded()

    with pytest.raises(Fenced, match="another worker runs as test-3"):
        bench.committer.end_if_succeeded()


def test_who_asks_while_a_call_is_left_behind_does_not_take_its_own_worker_for_a_successor(
    bench, monkeypatch
):
    def ask(*asked: Any, timeout_s: float) -> object:
        if meanwhile:
            bench.broker.fates.append(meanwhile.pop())
            bench.finished(EVENTS, 0, 3)
            bench.committer.run()
        return bench.broker.transaction_owner(*asked, timeout_s=timeout_s)

    meanwhile: list[Fate] = ["hangs"]
    monkeypatch.setattr(claim, "transaction_owner", ask)
    bench.committer.end_if_succeeded()
    assert bench.published(EVENTS) == [0, 1, 2]

    bench.broker.epochs["test-3-0"] += 1
    with pytest.raises(Fenced, match="another worker runs as test-3"):
        bench.committer.end_if_succeeded()


def test_who_cannot_ask_takes_nobody_for_a_successor(bench, monkeypatch):
    def ask(*_: object, timeout_s: float) -> Never:
        raise failure(KafkaError._TIMED_OUT)

    monkeypatch.setattr(claim, "transaction_owner", ask)
    bench.committer.end_if_succeeded()
    bench.committer.initialise()
    bench.broker.fates.append("slow")
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]


def test_who_may_not_use_its_transactional_id_is_told_of_the_acl_and_not_of_a_rival(bench):
    class MayNot(FakeProducer):
        def send_offsets_to_transaction(self, *_: Any) -> None:
            raise failure(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True)

    bench.committer._producers[0].__class__ = MayNot
    bench.finished(EVENTS, 0, 3)

    with pytest.raises(DeliveryFailed, match=r"no ACL lets this worker write as test-3-\*"):
        bench.committer.run()


def test_a_broker_that_cannot_tell_whose_an_id_is_keeps_nobody_from_going_on(bench, monkeypatch):
    monkeypatch.setattr(claim, "transaction_owner", lambda *_, timeout_s: None)
    bench.broker.fates.append("slow")
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]
    assert bench.broker.n_replaced == 1


def test_a_transaction_that_never_succeeds_ends_the_worker(bench):
    bench.broker.fates.extend(["aborted"] * ATTEMPTS)
    bench.finished(EVENTS, 0, 3)

    with pytest.raises(DeliveryFailed, match="test-3 failed 20 times"):
        bench.committer.run()


def test_batches_of_a_lost_partition_are_never_published(bench):
    bench.finished(PARTITIONS[0], 0, 3)
    bench.finished(PARTITIONS[1], 0, 3)
    bench.ledger.drop([PARTITIONS[0]])
    bench.committer.run()

    assert bench.published(PARTITIONS[0]) == []
    assert bench.published(PARTITIONS[1]) == [0, 1, 2]
    assert bench.ledger.n_records == 0


def test_a_partition_lost_between_two_attempts_is_left_out_of_the_second(bench):
    class LosesMeanwhile(FakeProducer):
        def abort_transaction(self, timeout_s: float) -> None:
            super().abort_transaction(timeout_s)
            bench.ledger.drop([PARTITIONS[0]])

    bench.committer._producers[0].__class__ = LosesMeanwhile
    bench.broker.fates.append("stale")
    bench.finished(PARTITIONS[0], 0, 3)
    bench.finished(PARTITIONS[1], 0, 3)
    bench.committer.run()

    assert bench.published(PARTITIONS[0]) == []
    assert bench.published(PARTITIONS[1]) == [0, 1, 2]


def test_a_full_buffer_is_flushed_and_the_record_handed_over_again(bench):
    class IsFull(FakeProducer):
        n_calls = 0

        def produce(self, *args: Any, **kwargs: Any) -> None:
            self.n_calls += 1
            if self.n_calls == 2:
                raise BufferError
            super().produce(*args, **kwargs)

    bench.committer._producers[0].__class__ = IsFull
    bench.finished(EVENTS, 0, 3)
    bench.committer.run()

    assert bench.published(EVENTS) == [0, 1, 2]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([failure(KafkaError._TIMED_OUT, retriable=True)], None),
        ([failure(KafkaError._TIMED_OUT)], DeliveryFailed),
        ([failure(KafkaError._FENCED, fatal=True)], Fenced),
        ([failure(KafkaError.CONCURRENT_TRANSACTIONS, retriable=True)] * 100, None),
        ([failure(KafkaError._TIMED_OUT, retriable=True)] * 400, DeliveryFailed),
    ],
)
def test_a_producer_that_cannot_start_is_tried_as_long_as_that_may_help(errors, expected):
    class Hesitates(FakeProducer):
        def init_transactions(self, timeout_s: float) -> None:
            broker.clock.now += 1
            if errors:
                raise errors.pop(0)
            super().init_transactions(timeout_s)

    broker, errors = FakeBroker(), list(errors)

    def start() -> None:
        ExactlyOnce(
            SETTINGS,
            InFlight(max_records=1),
            FakeMember(broker),
            Notes(),
            producer=cast(Any, lambda own: Hesitates(broker, own["transactional.id"])),
        ).initialise()

    with (
        patch.object(calls, "time", broker.clock),
        patch.object(claim, "transaction_owner", broker.transaction_owner),
    ):
        if expected is None:
            start()
            assert set(broker.epochs.values()) == {1}
        else:
            with pytest.raises(expected):
                start()


class ExactlyOnceMachine(RuleBasedStateMachine):
    """Records are numbers, each record's output is its number: the log must be 0, 1, 2, ..."""

    unfinished = Bundle("unfinished")

    @initialize()
    def start(self) -> None:
        self.bench = Bench()
        self.position = dict.fromkeys(PARTITIONS, 0)

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.close()

    @rule(target=unfinished, tp=st.sampled_from(PARTITIONS), size=st.integers(1, 4))
    def deliver(self, tp: TP, size: int) -> Batch:
        first = self.position[tp]
        self.position[tp] += size
        return self.bench.deliver(tp, first, first + size)

    @rule(batch=consumes(unfinished))
    def finish(self, batch: Batch) -> None:
        self.bench.ledger.finish(batch)

    @rule(
        fates=st.lists(
            st.sampled_from([fate for fate in get_args(Fate) if fate != "fenced"]), max_size=4
        ).filter(lambda fates: sum(fate in HANGING for fate in fates) <= HANGS),
        lost_meanwhile=st.none() | st.sampled_from(PARTITIONS),
    )
    def commit(self, fates: list[Fate], lost_meanwhile: TP | None) -> None:
        self.bench.broker.fates.extend(fates)
        if lost_meanwhile is not None:
            self.bench.member.meanwhile = lambda: self.lose_and_get_back(lost_meanwhile)
        self.bench.committer.run()
        self.bench.broker.fates.clear()
        self.bench.member.meanwhile = None

    @rule(tp=st.sampled_from(PARTITIONS))
    def lose_and_get_back(self, tp: TP) -> None:
        """What was in flight is computed again, from the committed offset."""
        self.bench.ledger.drop([tp])
        self.bench.broker.generation += 1
        self.position[tp] = self.bench.broker.committed[tp]

    @invariant()
    def each_record_is_published_once_and_in_order_as_far_as_is_committed(self) -> None:
        if hasattr(self, "bench"):
            for tp in PARTITIONS:
                committed = self.bench.broker.committed[tp]
                assert self.bench.published(tp) == list(range(committed))

    @invariant()
    def no_transaction_is_left_open(self) -> None:
        if hasattr(self, "bench"):
            assert self.bench.broker.pending is None


TestExactlyOnce = ExactlyOnceMachine.TestCase
