"""Copies of others' state: who waits for them, and when they are as good as new."""

import threading

import pytest
from confluent_kafka import Consumer

from agents.kafka import standby
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.standby import Standby
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


class State:
    """Each copy counts its records; reading them waits while it must."""

    def __init__(self, changelog):
        self.changelog = changelog
        self.may_read = threading.Event()
        self.may_read.set()
        self.is_reading = threading.Event()
        self.n_read = 0

    def begin_restore(self, partition):
        return self

    def restore(self, key, value):
        self.is_reading.set()
        self.may_read.wait(60)
        self.n_read += 1


class Group:
    """Members of a group of the `events` topic, and the standby of a worker of it."""

    def __init__(self, bench):
        self._bench = bench
        self._members = []
        self._standbys = []
        self.state = State(f"{bench.prefix}counting-state")
        self.told = []

    def settings(self, slot):
        group = f"{self._bench.prefix}counting"
        return KafkaSettings(bootstrap=self._bench.bootstrap, group=group, slot=slot, standby=1)

    def join(self, *slots):
        members = [Consumer(self.settings(slot).consumer()) for slot in slots]
        for member in members:
            member.subscribe([f"{self._bench.prefix}events"])

        def have_joined():
            polled = [member.poll(0.1) for member in members]  # all of them, or nobody gets in
            return not any(polled) and all(member.assignment() for member in members)

        wait_until(have_joined, 60)
        self._members += members
        return members

    def follow(self, slot):
        made = Standby(self.settings(slot), self.state, self.told.append)  # type: ignore[arg-type]
        thread = threading.Thread(target=made.run)
        thread.start()
        self._standbys.append((made, thread))
        return made

    def close(self):
        self.state.may_read.set()
        for made, thread in self._standbys:
            made.close()
            thread.join(30)
        for member in self._members:
            member.close()


@pytest.fixture
def group(bench):
    made = Group(bench)
    yield made
    made.close()


def test_who_comes_anew_waits_for_its_copies(bench, group):
    bench.send(range(100), topic="counting-state")
    group.join(0)
    group.state.may_read.clear()
    newcomer = group.follow(1)
    assert group.state.is_reading.wait(30)

    assert not newcomer.warm_up(timeout_s=0)
    group.state.may_read.set()
    assert newcomer.warm_up(timeout_s=30)


def test_who_is_back_within_its_session_waits_for_no_copies(bench, group):
    """A static member that is closed keeps its place, as one that was killed."""
    bench.send(range(100), topic="counting-state")
    group.join(0, 1)[0].close()
    group.state.may_read.clear()
    back = group.follow(0)

    assert back.warm_up(timeout_s=30)
    assert group.state.n_read == 0


def test_a_copy_that_falls_behind_is_not_warm_until_it_has_caught_up(bench, group, monkeypatch):
    monkeypatch.setattr(standby, "BEHIND", 100)
    monkeypatch.setattr(standby, "CHUNK", 10)
    group.join(0)
    newcomer = group.follow(1)
    assert newcomer.warm_up(timeout_s=30)
    wait_until(lambda: group.told and group.told[-1] == newcomer._copies.keys(), 30)
    warm = group.told.pop()
    group.state.may_read.clear()
    for number in range(20_000):
        bench.producer.produce(group.state.changelog, b"", b"%d" % number, min(warm))
    assert bench.producer.flush(30) == 0
    group.state.may_read.set()
    wait_until(lambda: group.told[-1:] == [warm], 30)

    assert warm - {min(warm)} in group.told
