"""Workers and brokers fail under load: nothing is lost, doubled or reordered, and it goes on."""

import pytest

from tests.faults.conftest import tell
from tests.faults.proxy_rules import Blackhole
from tests.faults.size import SIZE, only_full

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

PARTITION_S, AWAY_S = 15, 90
BURST, BURST_S, BURST_MB = 10, 30, 100
FAILOVER_S = 30
"""Within what time there are answers again after a broker's death, which may leave calls hanging
(`agents.kafka.exactly_once.OFFSETS_TIMEOUT_S`)."""


def test_workers_that_are_killed(run):
    for _ in range(SIZE.n_faults):
        run.wait_a_while()
        run.workers.kill(run.random.choice(run.workers.slots))
    run.wait_flowing()
    run.wait_sent(SIZE.n_events)

    assert run.verdict() == {}
    assert run.workers.ends == []


@only_full
@pytest.mark.parametrize("run", [{"delivery": "at_least_once"}], indirect=True)
def test_without_transactions_killed_workers_answer_twice_and_that_is_seen(run):
    for _ in range(SIZE.n_faults // 3):
        run.wait_a_while()
        run.workers.kill(run.random.choice(run.workers.slots))
    run.wait_flowing(FAILOVER_S)
    found = run.verdict()
    tell(found)

    assert "duplicate" in found
    assert not found.keys() & {"lost write", "unseen", "aborted read"}


def test_a_worker_that_is_frozen_for_longer_than_its_session_writes_nothing_of_others(run):
    run.freeze_within_transaction(0)
    run.wait_member(0, present=False)
    run.wait_flowing()
    log = run.workers.path(0)
    run.workers.resume(0)
    run.wait_member(0, present=True)
    run.wait_flowing()

    assert run.verdict() == {}
    # It hears of the fence and ends; or a call of its own ran out of time first, so that it begins
    # anew: as a member that lost its partitions, and with a producer of a new epoch.
    text = log.read_text()
    is_fenced = "schemas.errors.Fenced" in text
    assert is_fenced or ("retried: " in text and "lost " in text)
    assert [end.slot for end in run.workers.ends] == [0] * is_fenced


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_each_broker_in_turn(run, end):
    for broker in run.cluster.brokers:
        run.wait_a_while()
        getattr(broker, end)()
        if SIZE.n_brokers > 1:
            run.wait_flowing(FAILOVER_S)
        run.cluster.heal()
        run.wait_flowing(FAILOVER_S)

    assert run.verdict() == {}
    assert run.workers.ends == []


@pytest.mark.parametrize(
    "run",
    [
        {},
        pytest.param({"rebalancing": "consumer"}, marks=only_full),
        pytest.param({"rebalancing": "cooperative-sticky", "standby": 1}, marks=only_full),
    ],
    ids=["range", "consumer", "cooperative-sticky"],
    indirect=True,
)
def test_workers_that_join_and_leave_without_end(run):
    slot = SIZE.n_workers
    for _ in range(SIZE.n_faults):
        run.workers.start(slot)
        run.workers.wait_assigned(slot)
        run.wait_a_while()
        run.workers.stop(slot)
    run.wait_flowing()

    assert run.verdict() == {}
    assert run.workers.ends == []


@only_full
@pytest.mark.parametrize("direction", ["request", "response", None])
@pytest.mark.parametrize("n_brokers", [1, 3])
def test_brokers_that_cannot_be_reached(run, direction, n_brokers):
    run.wait_a_while()
    for broker in run.random.sample(run.cluster.brokers, n_brokers):
        broker.proxy.add(Blackhole(direction=direction))
    run.wait_sent(run.generator.n_sent + PARTITION_S * SIZE.rate)
    run.cluster.heal()
    run.wait_flowing()

    assert run.verdict() == {}
    assert run.workers.ends == []


@only_full
def test_brokers_that_are_all_away_for_longer_than_any_timeout(run):
    run.wait_a_while()
    for broker in run.cluster.brokers:
        broker.kill()
    run.wait_sent(run.generator.n_sent + AWAY_S * SIZE.rate)
    run.cluster.heal()
    run.wait_flowing(FAILOVER_S)

    assert run.verdict() == {}
    assert run.workers.ends == []


@only_full
def test_a_burst_while_a_reader_stops(run):
    run.wait_a_while()
    before_mb, largest_mb = run.workers.resident_mb(), 0.0
    run.reader.pause()
    run.generator.rate = BURST * SIZE.rate
    end = run.generator.n_sent + BURST_S * run.generator.rate
    while run.generator.n_sent < end:
        largest_mb = max(largest_mb, run.workers.resident_mb())
        run.wait_sent(run.generator.n_sent + SIZE.rate)
    run.generator.rate = SIZE.rate
    run.reader.resume()
    run.wait_flowing(FAILOVER_S)
    tell(f"the largest worker had {before_mb:.0f} MB, and {largest_mb:.0f} MB in the burst")

    assert run.verdict() == {}
    assert run.workers.ends == []
    assert largest_mb < before_mb + BURST_MB
