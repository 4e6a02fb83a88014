"""Signs of life: only what a process says from now on counts."""

import time
import uuid

import orjson
import pytest
from confluent_kafka import Producer

from agents.admin import topic_admin
from agents.local.vital_signs import VitalSigns
from agents.settings import Settings
from schemas import topics
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka):
    here = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
    topic_admin.create(here, [topics.TELEMETRY])
    return here


@pytest.fixture
def say(settings):
    """Publish a telemetry record, some time ahead of now."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})

    def say(process: str, *, pid: int = 1, ready: float = 1.0, ahead_ms: int = 0) -> None:
        at = time.time_ns() // 1_000_000 + ahead_ms
        record = {"process": process, "pid": pid, "at": at, "samples": {"thalweg_ready": ready}}
        producer.produce(topics.TELEMETRY.named(settings.topic_prefix), orjson.dumps(record))
        producer.flush(10)

    return say


@pytest.fixture
def signs(settings):
    signs = VitalSigns(settings)
    signs.start()
    yield signs
    signs.stop()


def test_a_process_is_ready_once_it_says_so_itself(signs, say):
    pids = {"predict-0": 7, "learn-0": 8, "store-0": 9}

    say("predict-0", pid=7)
    say("learn-0", pid=8, ready=0.0)
    say("store-0", pid=1)  # its predecessor's
    wait_until(lambda: len(signs.newest) == 3)

    assert signs.unready(pids) == ["learn-0", "store-0"]


def test_what_was_said_before_the_start_is_not_heard(settings, say):
    say("predict-0")
    signs = VitalSigns(settings)
    signs.start()
    say("learn-0")
    wait_until(lambda: "learn-0" in signs.newest)
    signs.stop()

    assert "predict-0" not in signs.newest


def test_waiting_to_hear_ends_with_a_record_from_now_on_or_with_the_time(signs, say):
    say("learn-0", ahead_ms=-60_000)
    wait_until(lambda: "learn-0" in signs.newest)
    started = time.monotonic()
    signs.wait_until_heard("learn-0", timeout_s=0.3)
    assert time.monotonic() - started >= 0.3

    say("learn-0", ahead_ms=60_000)
    wait_until(lambda: signs.newest["learn-0"].at > time.time() * 1_000)
    started = time.monotonic()
    signs.wait_until_heard("learn-0", timeout_s=30)
    assert time.monotonic() - started < 15
