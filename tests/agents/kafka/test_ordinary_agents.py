"""Plain Faust agents on this transport: one record at a time, and still exactly once."""

import json
import signal
from collections import Counter

import pytest
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.offsets import committed_offsets
from agents.kafka.stream import pause_s
from agents.testing import AppDriver
from agents.testing.app_driver import START
from tests.agents.kafka import ordinary_app
from tests.agents.kafka.conftest import PARTITIONS

START_MS = 1_000 * int(START.timestamp())


def values(bench, topic) -> Counter[bytes | None]:
    """What a reader of committed records finds, and how often."""
    settings = KafkaSettings(bootstrap=bench.bootstrap, group=bench.prefix)
    return Counter(
        value
        for partition in range(PARTITIONS)
        for _, _, value in read_to_end(settings, TP(bench.prefix + topic, partition))
    )


@pytest.fixture
def drive():
    """Run the ordinary app in memory."""
    made = []

    def make(**settings):
        made.append(AppDriver(ordinary_app.build("", bootstrap="127.0.0.1:1", **settings)))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


@pytest.fixture
def driver(drive):
    return drive()


@pytest.fixture
def ordinary(bench):
    bench.create("orders", "doubled", "totals", "cheap")
    return bench


@pytest.mark.integration
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


def test_keys_json_values_and_headers_are_what_faust_makes_of_them(driver):
    driver.publish("orders", {"price": 7, "n": 3}, key="ada", headers={"currency": b"EUR"})
    (total,) = driver.read("totals")

    assert json.loads(total.value()) == {"total": 21}
    assert total.key() == b"ada"
    assert dict(total.headers()) == {"currency": b"EUR", "by": b"total"}


def test_a_filter_passes_over_records_and_they_count_as_processed(driver):
    for price in (7, 3, 9):
        driver.append("orders", {"price": price, "n": 1}, headers={"currency": b"EUR"})
    driver.process()

    assert [json.loads(x.value()) for x in driver.read("cheap")] == [{"price": 3, "n": 1}]
    assert driver.committed("orders") == 3


@pytest.mark.parametrize("failures", [1, 4])
def test_a_batch_that_failed_is_given_to_the_agent_again_and_counts_once(drive, failures):
    driver = drive(failures=failures)
    for number in range(100):
        driver.append("events", number)
    driver.process()

    paused_s = sum(pause_s(n) for n in range(1, failures + 1))

    assert driver.now_ms - START_MS == round(1_000 * paused_s)
    assert [x.value() for x in driver.read("counted")] == [b"%d 0" % n for n in range(100)]
    assert [x.value() for x in driver.read("doubled")] == [b"%d" % (2 * n) for n in range(100)]


def test_one_agents_failure_does_not_undo_what_another_emitted(drive):
    driver = drive(failures=99)
    with pytest.raises(RuntimeError, match="no luck with 13"):
        driver.publish("events", 13)

    assert driver.committed("events") == 0
    assert driver.read("counted") == driver.read("doubled") == []


@pytest.mark.integration
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
