"""Whose a transactional id is, as a real broker tells it."""

import pytest
from confluent_kafka import Producer

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.ownership import transaction_owner
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


class Slot:
    """A transactional id, and a partition that its transactions write to."""

    def __init__(self, bench):
        self.settings = KafkaSettings(bootstrap=bench.bootstrap, group=f"{bench.prefix}slot")
        self._topic = f"{bench.prefix}events"

    def begin(self, **settings):
        """Initialise a producer, with a transaction open."""
        producer = Producer(self.settings.transactional_producer(0) | settings)
        producer.init_transactions(30)
        self.write(producer)
        return producer

    def write(self, producer):
        producer.begin_transaction()
        producer.produce(self._topic, b"record", partition=0)
        assert producer.flush(30) == 0

    def owner(self):
        return transaction_owner(self.settings, 0, timeout_s=30)


@pytest.fixture
def slot(bench):
    return Slot(bench)


def test_an_id_that_nobody_initialised_is_nobodys(slot):
    assert slot.owner() is None


def test_transactions_that_end_leave_the_owner_as_it_is(slot):
    producer = slot.begin()
    ours = slot.owner()
    assert ours.state == "Ongoing"
    producer.commit_transaction(30)
    slot.write(producer)
    producer.abort_transaction(30)

    assert slot.owner().state in {"PrepareAbort", "CompleteAbort"}
    assert slot.owner().epoch == ours.epoch
    assert ours.is_continued_by(slot.owner(), had_open=False)


@pytest.mark.parametrize("had_open", [False, True])
def test_whoever_initialises_an_id_is_another_owner(slot, had_open):
    producer = slot.begin()
    ours = slot.owner()
    if not had_open:
        producer.commit_transaction(30)
    successor = slot.begin()
    assert not ours.is_continued_by(slot.owner(), had_open=had_open)
    successor.abort_transaction(30)

    assert slot.owner().state in {"PrepareAbort", "CompleteAbort"}
    assert not ours.is_continued_by(slot.owner(), had_open=had_open)


def test_a_transaction_that_the_broker_gave_up_is_nobody_elses(slot):
    producer = slot.begin(**{"transaction.timeout.ms": 1_000})
    ours = slot.owner()
    wait_until(lambda: slot.owner().state == "CompleteAbort", 60)

    assert slot.owner().epoch != ours.epoch
    assert ours.is_continued_by(slot.owner(), had_open=True)
    with pytest.raises(Exception, match=r"fenced|epoch"):
        producer.commit_transaction(30)
