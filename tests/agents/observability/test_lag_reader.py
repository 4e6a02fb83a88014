"""Lag of real groups on a real broker."""

import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from agents.embedded.kafka import EmbeddedKafka
from agents.observability.lag import Lag
from agents.observability.lag_reader import GroupLag
from tests.markers import marker_written

Act = Callable[[int], None]

pytestmark = pytest.mark.integration


@pytest.fixture
def topic(kafka: EmbeddedKafka) -> str:
    name = f"lag-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, 2)])[name].result(30)
    return name


@pytest.fixture
def commit_transaction(kafka: EmbeddedKafka, topic: str) -> Act:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)

    def commit(n_records: int) -> None:
        producer.begin_transaction()
        for _ in range(n_records):
            producer.produce(topic, b"record", partition=1)
        producer.flush(30)
        with marker_written(kafka.bootstrap, topic, 1):
            producer.commit_transaction(30)

    return commit


@pytest.fixture
def commit_offset(kafka: EmbeddedKafka, topic: str) -> Act:
    member = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic})

    def commit(offset: int) -> None:
        member.commit(offsets=[TopicPartition(topic, 1, offset)], asynchronous=False)

    return commit


def test_a_marker_behind_the_last_record_is_no_lag(
    kafka: EmbeddedKafka, topic: str, commit_transaction: Act, commit_offset: Act
) -> None:
    commit_transaction(3)
    commit_offset(3)  # everything: only the marker of the transaction stands behind it
    lag = GroupLag({"bootstrap.servers": kafka.bootstrap}, topic, [topic])
    told = [lag.read(at_ms)[topic] for at_ms in (0, 1_000, 2_000)]
    lag.close()

    assert told == [Lag(1, 0.0), Lag(1, 1.0), Lag(0, 0.0)]


def test_a_record_that_nobody_reads_waits_from_its_publication_on(
    kafka: EmbeddedKafka, topic: str, commit_transaction: Act, commit_offset: Act
) -> None:
    commit_transaction(3)
    commit_offset(2)
    lag = GroupLag({"bootstrap.servers": kafka.bootstrap}, topic, [topic])
    far_future_ms = 1 << 42
    told = [lag.read(far_future_ms + at_ms)[topic] for at_ms in (0, 1_000, 2_000)]
    lag.close()

    assert [lag.records for lag in told] == [2, 2, 2]
    assert [lag.seconds for lag in told[:2]] == [0.0, 1.0]
    assert told[2].seconds > 1_000_000


def test_a_group_that_never_committed_lags_by_the_whole_topic(
    kafka: EmbeddedKafka, topic: str, commit_transaction: Act
) -> None:
    commit_transaction(3)
    lag = GroupLag({"bootstrap.servers": kafka.bootstrap}, topic, [topic, "not-made-yet"])
    told = lag.read(0)
    lag.close()

    assert told == {topic: Lag(4, 0.0)}


def test_a_group_that_nobody_has_to_run_lags_once_it_has_committed(
    kafka: EmbeddedKafka, topic: str, commit_transaction: Act, commit_offset: Act
) -> None:
    commit_transaction(3)
    lag = GroupLag({"bootstrap.servers": kafka.bootstrap}, topic, [topic], is_optional=True)
    before = lag.read(0)
    commit_offset(1)
    after = lag.read(1_000)
    lag.close()

    assert (before, after) == ({}, {topic: Lag(3, 0.0)})
