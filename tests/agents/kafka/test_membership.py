"""Workers come and go: what moves, what stays, and how soon others take over."""

import re
import signal

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.takeover import take_over
from tests.agents.kafka.conftest import PARTITIONS
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def group(bench):
    """Tell the slots of a group's members, and what each has restored so far."""
    admin = AdminClient({"bootstrap.servers": bench.bootstrap})
    name = f"{bench.prefix}counting"

    class Group:
        def slots(self):
            described = admin.describe_consumer_groups([name])[name].result(30)
            return {int(m.group_instance_id.rpartition("-")[2]) for m in described.members}

        def restored_by(self, slot):
            log = bench.each_log().get(slot, "")
            return [int(number) for number in re.findall(r"^restoring (\d+)", log, re.MULTILINE)]

        def warm_on(self, slot):
            *_, told = [
                "",
                *re.findall(r"^warm \[(.*)\]", bench.each_log().get(slot, ""), re.MULTILINE),
            ]
            return [int(number) for number in told.split(", ") if number]

    return Group()


def test_partitions_that_stay_are_not_restored_and_a_leaver_hands_over_at_once(bench, group):
    counted = bench.reader()
    bench.start(slot=0)
    bench.send(range(1_000))
    counted.wait_for(1_000)
    assert sorted(group.restored_by(0)) == [0, 1, 2, 3]

    second = bench.start(slot=1)
    bench.send(range(1_000, 2_000))
    wait_until(lambda: sorted(group.restored_by(1)) == [2, 3], 30)
    counted.wait_for(2_000)
    assert len(group.restored_by(0)) == PARTITIONS

    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    assert group.slots() == {0}  # at once, not when its session is over
    bench.send(range(2_000, 3_000))
    counted.wait_for(3_000)
    wait_until(lambda: sorted(group.restored_by(0)) == [0, 1, 2, 2, 3, 3])
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_a_worker_whose_place_was_taken_for_a_moment_goes_on_by_itself(bench):
    counted = bench.reader()
    worker = bench.start()
    bench.send(range(500))
    counted.wait_for(500)
    group = f"{bench.prefix}counting"
    rival = Consumer(KafkaSettings(bootstrap=bench.bootstrap, group=group).consumer())
    rival.subscribe([f"{bench.prefix}events"])
    wait_until(lambda: rival.poll(0.1) is None and rival.assignment())
    rival.close()
    wait_until(lambda: bench.logs().count("assigned ") == 2, 30)
    bench.send(range(500, 1_500))
    counted.wait_for(1_500)

    assert worker.poll() is None
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_who_stood_still_and_finds_its_slot_taken_leaves_its_successor_alone(bench):
    counted = bench.reader()
    frozen = bench.start()
    bench.send(range(500))
    counted.wait_for(500)
    frozen.send_signal(signal.SIGSTOP)
    successor = bench.start()
    wait_until(lambda: bench.logs().count("assigned ") == 2, 30)
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(60) != 0
    bench.send(range(500, 1_000))
    counted.wait_for(1_000)

    assert "schemas.errors.Fenced: another worker runs as" in bench.logs()
    assert successor.poll() is None
    assert bench.logs().count("assigned ") == 2
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


class Predecessor:
    """A worker of slot 7, with one transaction through and another one open."""

    def __init__(self, bench):
        group = f"{bench.prefix}counting"
        self.settings = KafkaSettings(bootstrap=bench.bootstrap, group=group, slot=7)
        self.successor = KafkaSettings(bootstrap=bench.bootstrap, group=group, slot=0)
        self.events = TP(f"{bench.prefix}events", 0)
        self.changelog = TP(f"{bench.prefix}counting-state", 0)
        self.producer = Producer(self.settings.transactional_producer(turn=1))
        self.producer.init_transactions(30)
        self._member = Consumer(self.settings.reader())
        self._begin(b"1", offset=10)
        self.producer.commit_transaction(30)

    def begin(self, *, with_offsets):
        self._begin(b"2", offset=20 if with_offsets else None)

    def take_over(self):
        return take_over(
            self.successor, self._member, [self.events], new=[0], changelog=self.changelog.topic
        )

    def state(self):
        return [value for _, _, value in read_to_end(self.successor, self.changelog)]

    def _begin(self, value, *, offset):
        self.producer.begin_transaction()
        self.producer.produce(self.changelog.topic, value, b"key", 0)
        assert self.producer.flush(30) == 0
        if offset is not None:
            at = TopicPartition(*self.events, offset, metadata=self.settings.identity)
            identity = self._member.consumer_group_metadata()
            self.producer.send_offsets_to_transaction([at], identity, 30)


@pytest.fixture
def predecessor(bench):
    return Predecessor(bench)


@pytest.mark.parametrize("with_offsets", [True, False])
def test_what_a_dead_predecessor_left_open_is_ended_at_once(predecessor, with_offsets, monkeypatch):
    monkeypatch.setattr("agents.kafka.log_reader.QUIET_TIMEOUT_S", 3.0)  # sooner than it times out
    predecessor.begin(with_offsets=with_offsets)

    assert predecessor.take_over() == {predecessor.events: 10}
    assert predecessor.state() == [b"1"]
    with pytest.raises(Exception, match=r"fenced|epoch"):
        predecessor.producer.commit_transaction(30)


def test_a_predecessor_that_lives_is_not_fenced(predecessor):
    """It gave the partition away, and has a transaction open of another one."""
    living = Consumer(predecessor.settings.consumer())
    living.subscribe([predecessor.events.topic])
    wait_until(lambda: living.poll(0.1) is None and living.assignment())
    predecessor.begin(with_offsets=False)

    assert predecessor.take_over() == {predecessor.events: 10}
    predecessor.producer.commit_transaction(30)
    assert predecessor.state() == [b"1", b"2"]
    living.close()


def test_a_dead_predecessor_that_left_nothing_open_is_left_alone(predecessor):
    assert predecessor.state() == [b"1"]
    assert predecessor.take_over() == {predecessor.events: 10}
    predecessor.begin(with_offsets=True)
    predecessor.producer.commit_transaction(30)
    assert predecessor.state() == [b"1", b"2"]


@pytest.mark.parametrize("rebalancing", ["cooperative-sticky", "consumer"])
def test_other_ways_to_share_out_partitions_lose_and_double_nothing(bench, rebalancing):
    counted = bench.reader()
    first = bench.start(slot=0, rebalancing=rebalancing)
    bench.send(range(1_000))
    counted.wait_for(1_000)
    second = bench.start(slot=1, rebalancing=rebalancing)
    wait_until(lambda: "assigned " in bench.each_log().get(1, ""), 60)
    bench.send(range(1_000, 2_000))
    counted.wait_for(2_000)
    first.send_signal(signal.SIGKILL)
    bench.send(range(2_000, 3_000))
    bench.start(slot=0, rebalancing=rebalancing)
    counted.wait_for(3_000)
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0
    bench.send(range(3_000, 4_000))
    counted.wait_for(4_000)
    counted.poll()

    assert counted.lost(range(4_000)) == []
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


TOGETHER = ("events", "labels")
UNLIKE_BEFORE = r"counting-state \(4 partitions\) and .* share state"
UNEQUAL = r"events \(4 partitions\) and \S+labels \(5 partitions\) share state"


def test_topics_that_share_state_and_have_other_numbers_of_partitions_are_refused(bench):
    bench.create("labels", partitions=PARTITIONS + 1)
    bench.send(range(100))
    worker = bench.start(topics=TOGETHER)

    assert worker.wait(60) != 0
    assert re.search(UNEQUAL, bench.logs())
    assert "assigned " not in bench.logs()


@pytest.mark.parametrize(
    ("rebalancing", "raised"),
    [("range", ["labels"]), ("consumer", ["labels"]), ("range", TOGETHER)],
)
def test_topics_that_are_given_more_partitions_than_those_they_share_state_with_end_workers(
    bench, rebalancing, raised
):
    """Be that the changelog alone: keys would leave their state where it was."""
    bench.create("labels")
    counted = bench.reader()
    worker = bench.start(topics=TOGETHER, rebalancing=rebalancing)
    bench.send(range(100))
    counted.wait_for(100)
    admin = AdminClient({"bootstrap.servers": bench.bootstrap})
    more = [NewPartitions(f"{bench.prefix}{topic}", PARTITIONS + 1) for topic in raised]
    for each in admin.create_partitions(more).values():
        each.result(30)

    assert worker.wait(60) != 0
    assert re.search(UNEQUAL if raised != TOGETHER else UNLIKE_BEFORE, bench.logs())


def test_a_standby_takes_over_without_reading_a_whole_changelog(bench, group):
    counted = bench.reader()
    workers = [bench.start(slot=slot, standby=1) for slot in range(2)]
    bench.send(range(1_000))
    counted.wait_for(1_000)
    wait_until(lambda: set(group.warm_on(0) + group.warm_on(1)) == {0, 1, 2, 3}, 60)
    n_begun = len(group.restored_by(1))

    workers[0].send_signal(signal.SIGTERM)
    assert workers[0].wait(20) == 0
    bench.send(range(1_000, 2_000))
    counted.wait_for(2_000)

    # Everything that is needed was begun before anybody went.
    assert set(group.restored_by(1)[:n_begun]) == {0, 1, 2, 3}
    assert counted.lost(range(2_000)) == []
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_standbys_of_the_newer_protocol_have_whatever_the_broker_gives_them(bench, group):
    """Three members: with two, whoever is left gets everything anyway."""
    counted = bench.reader()
    slots = range(3)
    workers = [bench.start(slot=slot, standby=1, rebalancing="consumer") for slot in slots]
    bench.send(range(1_000))
    counted.wait_for(1_000)
    n_copies = (len(workers) - 1) * PARTITIONS  # each has what is not its own

    def is_shared_out():
        warm = [len(group.warm_on(slot)) for slot in slots]
        return sum(warm) == n_copies and max(warm) < PARTITIONS  # and not all with the first

    wait_until(is_shared_out, 60)
    begun = [group.restored_by(slot) for slot in slots]

    workers[0].send_signal(signal.SIGTERM)
    assert workers[0].wait(20) == 0
    bench.send(range(1_000, 2_000))
    counted.wait_for(2_000)

    left = slots[1:]
    wait_until(lambda: sum(len(group.warm_on(slot)) for slot in left) == PARTITIONS, 60)
    for slot in left:
        # Copies of what went elsewhere are begun meanwhile; what it was given it had.
        own = set(range(PARTITIONS)) - set(group.warm_on(slot))
        assert not own & set(group.restored_by(slot)[len(begun[slot]) :])
    assert counted.lost(range(2_000)) == []
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_a_newcomer_has_a_copy_before_it_joins(bench, group):
    counted = bench.reader()
    bench.start(slot=0)
    bench.send(range(1_000))
    counted.wait_for(1_000)
    bench.start(slot=1, standby=1)
    wait_until(lambda: "assigned " in bench.each_log().get(1, ""), 60)
    before_joining = bench.each_log()[1].partition("assigned ")[0]
    assert {2, 3} <= {int(n) for n in re.findall(r"^restoring (\d+)", before_joining, re.MULTILINE)}
    bench.send(range(1_000, 2_000))
    counted.wait_for(2_000)
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}
