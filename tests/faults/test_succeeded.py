"""Who stood still, and comes back to find its slot taken, leaves its successor alone."""

import time

import pytest

from agents.kafka.exactly_once import SUSPICIOUS_S, ExactlyOnce
from agents.kafka.in_flight import InFlight
from tests.agents.kafka.fake_transactions import Notes
from tests.faults.committer_rig import Rig
from tests.faults.proxy_rules import END_TXN
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def rig(one_broker):
    made = Rig(one_broker)
    yield made
    made.close()


def test_a_call_that_outlasts_the_takeover_of_its_slot_fences_no_successor(rig):
    """The broker's good answer arrives when the successor has begun, as after a SIGSTOP."""
    rig.commit()
    answer = rig.hold(END_TXN, direction="response")
    rig.begin()
    wait_until(lambda: answer.n_taken == 1, 30)
    held_at_s = time.monotonic()
    successor = ExactlyOnce(rig.settings, InFlight(max_records=1), rig.member, Notes())
    successor.initialise()
    wait_until(lambda: time.monotonic() - held_at_s > SUSPICIOUS_S)
    rig.proxy.remove(answer)
    wait_until(lambda: rig.fenced, 30)
    for producer in successor._producers.values():
        producer.begin_transaction()
        producer.produce(rig.out, b"%d" % rig.n_sent, partition=0)
        producer.commit_transaction(30)
        rig.n_sent += 1

    assert "another worker runs as" in str(rig.fenced)
    assert rig.anomalies == {}
