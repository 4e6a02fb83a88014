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
