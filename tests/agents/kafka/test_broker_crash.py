"""A broker that dies without a word, under load: workers go on by themselves or by a successor."""

import pytest

from agents.embedded.kafka import EmbeddedKafka
from tests.agents.kafka.conftest import Bench
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def own_broker(tmp_path, free_port):
    with EmbeddedKafka(tmp_path / "kafka", free_port()) as broker:
        yield broker


@pytest.fixture
def bench(own_broker, tmp_path):
    made = Bench(own_broker.bootstrap, tmp_path)
    made.create("events", "counted")
    made.create("counting-state", **{"cleanup.policy": "compact"})
    yield made
    made.close()


def test_nothing_is_lost_or_doubled_when_the_broker_is_killed(own_broker, bench):
    counted = bench.reader()
    worker = bench.start()
    bench.send(range(3_000))
    counted.wait_for(1_000)
    own_broker.kill()
    own_broker.start()
    bench.send(range(3_000, 5_000))

    def supervised():
        nonlocal worker
        if worker.poll() is not None:  # as `thalweg up` would
            worker = bench.start()
        return len(counted.poll().times_seen) >= 5_000

    wait_until(supervised, 120, every_s=0)

    assert counted.lost(range(5_000)) == []
    assert counted.duplicated == {}
    assert counted.keys_with_wrong_counts == {}
