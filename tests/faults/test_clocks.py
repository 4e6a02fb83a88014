"""Publishers whose clocks are wrong: who is ahead is set aside, and takes nobody along."""

import time

import msgspec
import pytest

from tests.faults.size import only_full
from tests.test_end_to_end import Downstream, System

pytestmark = [pytest.mark.integration, only_full]

OFF_MS = 10 * 60_000
"""Twice what a pipeline tolerates by default, either way."""
N_EVENTS = 1_000


@pytest.fixture
def system(tmp_path, free_port):
    running = System(tmp_path / "data", free_port)
    yield running
    running.redis.close()
    running.process.terminate()
    running.process.communicate()


def test_publishers_whose_clocks_are_off(system):
    downstream, producer = Downstream(system), system.producer()
    for number in range(N_EVENTS):
        for name, off_ms in (("punctual", 0), ("ahead", OFF_MS), ("behind", -OFF_MS)):
            event = {
                "event_id": f"{name}-{number}",
                "user_id": f"user-{number % 20}",
                "action": "home",
                "ts": time.time_ns() // 1_000_000 + off_ms,
            }
            producer.produce("user-events", msgspec.json.encode(event), event["user_id"])
    assert producer.flush(30) == 0
    downstream.wait_for(2 * N_EVENTS, N_EVENTS)
    downstream.read()
    downstream.close()

    expected = {f"{name}-{n}" for name in ("punctual", "behind") for n in range(N_EVENTS)}
    assert dict(downstream.times_predicted) == dict.fromkeys(expected, 1)
    assert {reason for _, _, reason in downstream.set_aside} == {"future_ts"}
    assert len(downstream.set_aside) == N_EVENTS
