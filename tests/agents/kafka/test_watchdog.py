"""The watchdog: heals what stands still, ends what hangs, and leaves everything else alone."""

import os
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, Producer
from faust.types.tuples import TP
from hypothesis import given
from hypothesis import strategies as st

from agents.kafka import watchdog
from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.in_flight import InFlight
from agents.kafka.stalls import Position, Stalls
from agents.kafka.watchdog import Watchdog
from tests.markers import marker_written
from tests.waiting import wait_until

END_AFTER_S = 120.0
EVENTS = TP("events", 0)


def batch():
    return Batch(EVENTS, [], 1)


class Worker:
    """What a worker tells, set by hand."""

    def __init__(self):
        self.beats = {"event loop": 0.0, "poller": 0.0}
        self.hangs = None
        self.waits = False
        self.oldest = {}
        self.positions = {}
        self.healed = []
        self.ended = []

    def signs_of_life(self):
        return self.beats

    def hang(self):
        return self.hangs

    def awaits_broker(self):
        return self.waits

    def oldest_in_flight(self):
        return self.oldest

    def flowing(self):
        return self.positions

    def heal(self, reason):
        self.healed.append(reason)

    def end(self, reason):
        self.ended.append(reason)


@pytest.fixture
def watch():
    """Make a worker, a clock, and a watchdog on both."""

    def make(bootstrap="127.0.0.1:1"):
        worker, clock = Worker(), SimpleNamespace(s=0.0)
        dog = Watchdog(
            KafkaSettings(bootstrap=bootstrap, group="watched"),
            worker,
            end_after_s=END_AFTER_S,
            clock=lambda: clock.s,
        )
        onlooker = Consumer(KafkaSettings(bootstrap=bootstrap, group="watched").reader())

        def after(seconds, *, alive=True):
            clock.s += seconds
            if alive:
                worker.beats = dict.fromkeys(worker.beats, clock.s)
            dog.check(onlooker)

        return worker, after

    return make


def test_a_thread_without_a_sign_of_life_ends_the_worker(watch):
    worker, after = watch()
    after(END_AFTER_S, alive=False)
    assert worker.ended == []
    worker.beats["event loop"] = END_AFTER_S + 1
    after(1, alive=False)
    assert worker.ended == ["the poller gave no sign of life for 121 s"]


def test_records_in_flight_that_never_get_through_end_the_worker(watch):
    worker, after = watch()
    worker.oldest = {EVENTS: batch()}
    after(1)
    worker.oldest = {EVENTS: batch()}  # slow, but alive
    after(END_AFTER_S)
    after(END_AFTER_S)
    assert worker.ended == []
    after(1)
    assert worker.ended == ["nothing of events:0 got through for 121 s"]


@pytest.mark.parametrize("n_agents", [1, 2])
def test_a_batch_that_is_held_is_no_reason_to_end_once_its_agents_have_moved_on(watch, n_agents):
    worker, after = watch()
    ledger, held = InFlight(max_records=10), batch()
    ledger.add(held)
    ledger.begin(held)
    shares = held.shared_by(n_agents)
    shares[0].hold()
    worker.oldest_in_flight = ledger.oldest
    for share in shares:
        share.end()
        after(1)
    after(END_AFTER_S + 1)
    assert worker.ended == []

    ledger.finish(held)  # released: now the committer has to move it
    after(1)
    after(END_AFTER_S + 1)
    assert worker.ended == ["nothing of events:0 got through for 121 s"]


@pytest.mark.parametrize("n_agents", [1, 2])
def test_a_batch_that_an_agent_holds_and_has_in_hand_ends_the_worker(watch, n_agents):
    worker, after = watch()
    ledger, held = InFlight(max_records=10), batch()
    ledger.add(held)
    ledger.begin(held)
    *others, last = held.shared_by(n_agents)
    last.hold()
    for share in others:
        share.hold()
        share.end()
    worker.oldest_in_flight = ledger.oldest
    after(1)
    after(END_AFTER_S + 1)
    assert worker.ended == ["nothing of events:0 got through for 121 s"]


def test_a_partition_that_hangs_while_another_one_flows_ends_the_worker(watch):
    worker, after = watch()
    hangs = batch()
    for _ in range(4):
        worker.oldest = {EVENTS: hangs, TP("events", 1): batch()}
        after(END_AFTER_S / 3)
    assert worker.ended == []
    worker.oldest = {EVENTS: hangs, TP("events", 1): batch()}
    after(1)
    assert worker.ended == ["nothing of events:0 got through for 121 s"]


def test_a_partition_that_had_nothing_in_flight_for_a_while_begins_anew(watch):
    worker, after = watch()
    oldest = {EVENTS: batch()}
    for worker.oldest in (oldest, {}, oldest, {}):
        after(END_AFTER_S)
        after(1)
    assert worker.ended == []


def test_a_broker_that_is_waited_for_is_no_reason_to_end(watch):
    worker, after = watch()
    worker.oldest, worker.waits = {EVENTS: batch()}, True
    after(3 * END_AFTER_S)
    worker.waits = False
    after(1)
    after(END_AFTER_S)
    assert worker.ended == []
    after(1)
    assert worker.ended == ["nothing of events:0 got through for 121 s"]


def test_nothing_in_flight_is_no_reason_to_end(watch):
    worker, after = watch()
    for _ in range(10):
        after(END_AFTER_S)
    assert worker.ended == []


def test_what_is_seen_to_hang_twice_in_a_row_ends_the_worker(watch):
    worker, after = watch()
    for hangs in ("once", None, "once more", None):
        worker.hangs = hangs
        after(1)
    worker.hangs = "a transaction hangs in librdkafka"
    after(1)
    assert worker.ended == []
    after(1)
    assert worker.ended == ["a transaction hangs in librdkafka"]


def test_a_broker_that_is_away_is_no_reason_to_heal(watch, monkeypatch):
    monkeypatch.setattr(watchdog, "BROKER_TIMEOUT_S", 0.05)
    worker, after = watch()
    worker.positions = {EVENTS: 0}
    for _ in range(10):
        after(watchdog.HEAL_AFTER_S)
    assert (worker.healed, worker.ended) == ([], [])


@pytest.mark.integration
def test_a_partition_that_stands_still_is_healed_once_and_then_ends_the_worker(watch, bench):
    bench.send(range(10), n_keys=1)
    worker, after = watch(bench.bootstrap)
    worker.positions = {TP(f"{bench.prefix}events", number): 0 for number in range(4)}
    after(watchdog.HEAL_AFTER_S)
    assert worker.healed == []
    after(watchdog.HEAL_AFTER_S)
    assert len(worker.healed) == 1  # of the one partition with records
    assert worker.healed[0].startswith(f"{bench.prefix}events:")
    after(watchdog.HEAL_AFTER_S)
    assert worker.ended == []
    after(watchdog.HEAL_AFTER_S)
    assert worker.ended == [f"{worker.healed[0]}, though with a new consumer"]


@pytest.mark.integration
def test_a_partition_that_moves_after_it_was_healed_may_be_healed_again(watch, bench):
    bench.send(range(10), n_keys=1)
    worker, after = watch(bench.bootstrap)
    worker.positions = {TP(f"{bench.prefix}events", number): 0 for number in range(4)}
    for n_healed in (1, 2):
        after(watchdog.HEAL_AFTER_S)
        after(watchdog.HEAL_AFTER_S)
        assert len(worker.healed) == n_healed
        worker.positions = {tp: at + 1 for tp, at in worker.positions.items()}
        after(watchdog.HEAL_AFTER_S)
    assert worker.ended == []


@pytest.mark.integration
def test_markers_behind_the_last_record_are_nothing_to_read(watch, bench):
    topic = f"{bench.prefix}events"
    settings = KafkaSettings(bootstrap=bench.bootstrap, group=topic)
    producer = Producer(settings.transactional_producer(turn=0))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"record", partition=0)
    assert producer.flush(30) == 0
    with marker_written(bench.bootstrap, topic, 0):
        producer.commit_transaction(30)
    worker, after = watch(bench.bootstrap)
    worker.positions = {TP(topic, 0): 1}
    for _ in range(4):
        after(watchdog.HEAL_AFTER_S)
    assert worker.healed == []

    worker, after = watch(bench.bootstrap)
    worker.positions = {TP(topic, 0): 0}
    after(watchdog.HEAL_AFTER_S)
    after(watchdog.HEAL_AFTER_S)
    assert len(worker.healed) == 1


@pytest.mark.integration
def test_a_worker_that_went_deaf_is_healed_in_process(bench):
    counted = bench.reader()
    worker = bench.start(app="deaf_app")
    bench.send(range(1_000))
    counted.wait_for(1_000)
    wait_until(lambda: "deaf now" in bench.logs())
    bench.send(range(1_000, 2_000))
    counted.wait_for(2_000)

    assert "stood still with records to read; making the consumer anew" in bench.logs()
    assert worker.poll() is None
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


@pytest.mark.integration
def test_a_worker_that_hangs_while_its_producers_begin_is_ended(bench):
    worker = bench.start(app="stuck_app")

    assert worker.wait(60) == os.EX_SOFTWARE
    assert "a transaction hangs in librdkafka (make); ending this worker" in bench.logs()


@given(
    st.lists(
        st.tuples(st.floats(0, 60), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20
    )
)
def test_a_stall_is_lag_without_a_move_for_the_whole_patience(steps):
    stalls, now_s, history = Stalls(patience_s=30.0), 0.0, []
    for passed_s, at, end in steps:
        now_s += passed_s
        found = stalls.look(now_s, {EVENTS: Position(at, end)})
        history.append((now_s, at, end))
        still = []
        for seen_s, seen_at, seen_end in reversed(history):
            if seen_at != at or seen_end <= seen_at:
                break
            still.append(seen_s)
        assert found == ({EVENTS} if still and now_s - still[-1] >= 30.0 else set())
