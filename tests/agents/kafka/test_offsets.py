"""Committed offsets as a witness: what is not decided yet is waited for."""

import threading
from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from faust.types.tuples import TP

from agents.kafka import offsets
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.offsets import committed_offsets
from agents.kafka.takeover import _settled_offsets

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(bench) -> KafkaSettings:
    return KafkaSettings(bootstrap=bench.bootstrap, group=f"{bench.prefix}group")


@pytest.fixture
def tp(bench) -> TP:
    return TP(f"{bench.prefix}events", 0)


@pytest.fixture
def open_transaction(settings, tp):
    """A transaction that is to commit offset 7, not decided yet."""
    member = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": settings.group})
    member.commit(offsets=[TopicPartition(tp.topic, tp.partition, 3)], asynchronous=False)
    producer = Producer(settings.transactional_producer(turn=0))
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.send_offsets_to_transaction(
        [TopicPartition(tp.topic, tp.partition, 7)], member.consumer_group_metadata(), 30
    )
    yield producer
    member.close()


def test_a_partition_without_a_commit_is_missing(settings, tp):
    assert committed_offsets(settings, [tp], timeout_s=30) == {}


class Refused:
    """A group whose offsets of one partition cannot be told, as without an ACL for its topic."""

    def __init__(self, settings: object) -> None:
        """Connect to nothing."""

    def committed(self, tps: list[TopicPartition], *, timeout: float) -> list[SimpleNamespace]:
        error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        return [
            SimpleNamespace(topic=at.topic, partition=at.partition, offset=-1001, error=error)
            for at in tps
        ]

    def close(self) -> None:
        """Leave nothing behind."""


def test_an_offset_that_is_refused_is_not_taken_for_none(monkeypatch, settings, tp):
    monkeypatch.setattr(offsets, "Consumer", Refused)

    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        committed_offsets(settings, [tp], timeout_s=30)
    assert _settled_offsets(cast(Consumer, Refused(None)), [tp]) is None


@pytest.mark.parametrize(("is_committed", "offset"), [(True, 7), (False, 3)])
def test_the_offset_of_an_open_transaction_is_waited_for(
    settings, tp, open_transaction, is_committed, offset
):
    found = []
    ask = threading.Thread(
        target=lambda: found.append(committed_offsets(settings, [tp], timeout_s=30))
    )
    ask.start()
    ask.join(0.5)  # were it answered at once, it would be by now
    assert ask.is_alive()
    if is_committed:
        open_transaction.commit_transaction(30)
    else:
        open_transaction.abort_transaction(30)
    ask.join(30)

    assert found == [{tp: offset}]


def test_a_transaction_that_stays_open_leaves_the_question_without_an_answer(
    settings, tp, open_transaction
):
    with pytest.raises(KafkaException):
        committed_offsets(settings, [tp], timeout_s=0.5)
    open_transaction.abort_transaction(30)
