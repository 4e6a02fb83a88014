"""Workers and brokers fail under load: nothing is lost, doubled or reordered, and it goes on."""

import pytest

pytestmark = pytest.mark.integration


def test_killed_workers(workload):
    run = workload(rate=1_000)
    run.begin(n_workers=2)
    for _ in range(4):
        run.wait_answered(run.random.randrange(1_500))
        run.workers.kill(run.random.choice(run.workers.slots))
    run.wait_flowing()

    assert run.finish().anomalies() == []
    assert run.workers.ends == []


def test_a_worker_that_is_frozen_for_longer_than_its_session_writes_nothing_of_others(workload):
    run = workload(rate=1_000)
    run.begin(n_workers=2)
    run.freeze_within_transaction(0)
    run.wait_member(0, present=False)
    run.wait_flowing()
    log = run.workers.path(0)
    run.workers.resume(0)
    run.wait_member(0, present=True)
    run.wait_flowing()

    assert run.finish().anomalies() == []
    assert "schemas.errors.Fenced" in log.read_text()
    assert [end.slot for end in run.workers.ends] == [0]


def test_a_broker_that_is_killed(workload):
    run = workload(rate=1_000)
    run.begin(n_workers=2)
    for _ in range(2):
        run.wait_answered(run.random.randrange(1_500))
        run.cluster.brokers[0].kill()
        run.cluster.heal()
        run.wait_flowing()

    assert run.finish().anomalies() == []
    assert run.workers.ends == []


def test_workers_that_join_and_leave_without_end(workload):
    run = workload(rate=1_000)
    run.begin(n_workers=1)
    for _ in range(4):
        run.workers.start(1)
        run.workers.wait_assigned(1)
        run.wait_answered(run.random.randrange(1_500))
        run.workers.stop(1)
    run.wait_flowing()

    assert run.finish().anomalies() == []
    assert run.workers.ends == []
