"""Delivery on a real broker: through kills, rebalances and stops."""

import os
import signal
import time

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def test_exactly_once_survives_two_kills_with_its_state(bench):
    counted = bench.reader()
    worker = bench.start()
    sent = range(6_000)
    for start in range(0, 6_000, 2_000):
        bench.send(range(start, start + 2_000))
        counted.wait_for(start + 500)
        if start < 4_000:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = bench.start()
    counted.wait_for(len(sent))
    counted.poll()

    assert counted.lost(sent) == []
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_at_least_once_loses_nothing_through_a_kill(bench):
    counted = bench.reader()
    worker = bench.start(delivery="at_least_once")
    bench.send(range(2_000))
    counted.wait_for(500)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    bench.start(delivery="at_least_once")
    bench.send(range(2_000, 4_000))
    counted.wait_for(4_000)

    assert counted.lost(range(4_000)) == []


def test_a_second_worker_takes_its_share_with_state_and_gives_it_back(bench):
    counted = bench.reader()
    bench.start(slot=0)
    bench.send(range(2_000))
    counted.wait_for(2_000)
    second = bench.start(slot=1)
    wait_until(lambda: bench.logs().count("assigned ") >= 2, 30)
    bench.send(range(2_000, 4_000))
    counted.wait_for(4_000)
    second.send_signal(signal.SIGTERM)
    assert second.wait(10) == 0
    bench.send(range(4_000, 6_000))
    counted.wait_for(6_000)
    counted.poll()

    assert counted.lost(range(6_000)) == []
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_a_member_that_was_expelled_under_load_commits_nothing_twice(bench):
    """What it lost while it waited for its new identity must not go out under that identity."""
    counted = bench.reader()
    worker = bench.start()
    sent = 0

    def publish_until(predicate):
        nonlocal sent
        deadline = time.monotonic() + 60
        while not predicate():
            assert time.monotonic() < deadline
            bench.send(range(sent, sent + 20))
            sent += 20
            counted.poll()

    for n_lost in range(3):
        publish_until(lambda n=n_lost: bench.logs().count("assigned ") > n)
        n_seen = len(counted.times_seen)
        publish_until(lambda n=n_seen: len(counted.times_seen) > n)
        bench.expel("counting")
        publish_until(lambda n=n_lost: bench.logs().count("lost ") > n)
    counted.wait_for(sent)
    counted.poll()

    assert worker.poll() is None
    assert counted.lost(range(sent)) == []
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_a_batch_that_takes_longer_than_a_member_may_not_poll_keeps_its_place(bench):
    """The poll thread goes on, with all paused that has enough in flight."""
    counted = bench.reader()
    bench.start(app="slow_app", max_in_flight=100)
    bench.send(range(1_000))
    counted.wait_for(1_000)
    counted.poll()

    assert "slow no more" in bench.logs()
    assert bench.logs().count("assigned ") == 1
    assert "revoked" not in bench.logs()
    assert (counted.lost(range(1_000)), counted.duplicated) == ([], {})


def test_sigterm_ends_a_worker_cleanly_and_commits_what_it_did(bench):
    counted = bench.reader()
    worker = bench.start()
    bench.send(range(3_000))
    counted.wait_for(100)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    bench.start()
    counted.wait_for(3_000)
    counted.poll()

    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_a_worker_ends_when_another_takes_its_slot(bench):
    counted = bench.reader()
    zombie = bench.start(slot=0)
    bench.send(range(500))
    counted.wait_for(500)
    os.kill(zombie.pid, signal.SIGSTOP)
    bench.start(slot=0)
    bench.send(range(500, 1_000))
    counted.wait_for(1_000)
    os.kill(zombie.pid, signal.SIGCONT)
    assert zombie.wait(30) != 0
    counted.poll()

    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}


def test_keys_headers_and_timestamps_of_records_reach_the_agent(bench):
    bench.producer.produce(
        f"{bench.prefix}events", b"1", b"key", timestamp=1_700_000_000_000, headers={"a": b"b"}
    )
    bench.send(range(2, 3), n_keys=1)
    bench.start()
    counted = bench.reader()
    counted.wait_for(2)

    assert set(counted.counts_by_key) == {b"key", b"key-0"}
