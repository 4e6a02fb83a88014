"""Plain Faust agents on this transport: one record at a time, and still exactly once."""

import json
import signal
from collections import Counter

import pytest
from confluent_kafka import Message
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.offsets import committed_offsets
from tests.agents.kafka.conftest import PARTITIONS

pytestmark = pytest.mark.integration


def values(bench, topic) -> Counter[bytes | None]:
    """What a reader of committed records finds, and how often."""
    settings = KafkaSettings(bootstrap=bench.bootstrap, group=bench.prefix)
    return Counter(
        value
        for partition in range(PARTITIONS)
        for _, _, value in read_to_end(settings, TP(bench.prefix + topic, partition))
    )


def committed(bench, topic) -> int:
    """How many records of a topic count as processed."""
    settings = KafkaSettings(bootstrap=bench.bootstrap, group=f"{bench.prefix}ordinary")
    tps = [TP(bench.prefix + topic, partition) for partition in range(PARTITIONS)]
    return sum(committed_offsets(settings, tps, timeout_s=10).values())


@pytest.fixture
def ordinary(bench):
    bench.create("orders", "doubled", "totals", "cheap")
    return bench


def test_agents_that_send_and_agents_that_yield_are_exact_through_a_kill(ordinary):
    counted = ordinary.reader()
    worker = ordinary.start(app="ordinary_app")
    ordinary.send(range(2_000))
    counted.wait_for(500)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    ordinary.send(range(2_000, 3_000))
    worker = ordinary.start(app="ordinary_app")
    counted.wait_for(3_000)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    counted.poll()

    assert counted.lost(range(3_000)) == []
    assert counted.duplicated == {}
    # Two agents read the topic, and neither disturbs the other.
    assert values(ordinary, "doubled") == Counter(b"%d" % (2 * n) for n in range(3_000))


def test_keys_json_values_and_headers_are_what_faust_makes_of_them(ordinary):
    ordinary.producer.produce(
        f"{ordinary.prefix}orders", b'{"price": 7, "n": 3}', b"ada", headers={"currency": b"EUR"}
    )
    assert ordinary.producer.flush(30) == 0
    ordinary.start(app="ordinary_app")
    total: Message | None = ordinary.consumer("totals").poll(30)
    assert total is not None

    assert json.loads(total.value() or b"") == {"total": 21}
    assert total.key() == b"ada"
    assert dict(total.headers() or ()) == {"currency": b"EUR", "by": b"total"}


def test_a_filter_passes_over_records_and_they_count_as_processed(ordinary):
    for price in (7, 3, 9):
        ordinary.producer.produce(
            f"{ordinary.prefix}orders",
            b'{"price": %d, "n": 1}' % price,
            b"ada",
            headers={"currency": b"EUR"},
        )
    assert ordinary.producer.flush(30) == 0
    worker = ordinary.start(app="ordinary_app")
    found: Message | None = ordinary.consumer("cheap").poll(30)
    assert found is not None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0

    assert json.loads(found.value() or b"") == {"price": 3, "n": 1}
    assert committed(ordinary, "orders") == 3
    assert values(ordinary, "cheap").total() == 1


@pytest.mark.parametrize("failures", [1, 4])
def test_a_batch_that_failed_is_given_to_the_agent_again_and_counts_once(ordinary, failures):
    counted = ordinary.reader()
    ordinary.start(app="ordinary_app", failures=failures)
    ordinary.send(range(100), n_keys=1)
    counted.wait_for(100)
    counted.poll()

    assert ordinary.logs().count("RuntimeError: no luck with 13") == failures
    assert counted.duplicated == {}
    assert values(ordinary, "doubled") == Counter(b"%d" % (2 * n) for n in range(100))


@pytest.mark.parametrize(
    ("topic", "value", "why", "max_attempts"),
    [
        ("events", b"13", "RuntimeError: no luck with 13", 2),
        ("orders", b'{"price": 7, "n"', "JSONDecodeError", 1),
    ],
)
def test_a_batch_that_always_fails_ends_the_worker_and_stays_uncommitted(
    ordinary, topic, value, why, max_attempts
):
    worker = ordinary.start(app="ordinary_app", failures=99, max_attempts=max_attempts)
    ordinary.producer.produce(ordinary.prefix + topic, value, b"key", 0)
    assert ordinary.producer.flush(30) == 0

    assert worker.wait(60) != 0
    assert f"failed {max_attempts} times in its agent" in ordinary.logs()
    assert why in ordinary.logs()
    member = KafkaSettings(bootstrap=ordinary.bootstrap, group=f"{ordinary.prefix}ordinary")
    assert committed_offsets(member, [TP(ordinary.prefix + topic, 0)], timeout_s=30) == {}
    assert values(ordinary, "counted") == values(ordinary, "totals") == Counter()
