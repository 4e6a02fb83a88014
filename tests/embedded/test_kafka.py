"""The broker keeps its data and its name over a crash, and is ready when it says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from agents.embedded import kafka_fencing
from agents.embedded.kafka import EmbeddedKafka

pytestmark = pytest.mark.integration


def write(broker: EmbeddedKafka, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": topic})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.flush(10)
    producer.commit_transaction(10)


def read(broker: EmbeddedKafka, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(30)
        return None if message is None else message.value()
    finally:
        consumer.close()


def create(broker: EmbeddedKafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)


def test_what_was_committed_survives_a_kill(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with EmbeddedKafka(tmp_path / "données d'été", free_port()) as broker:
        create(broker, "kept")
        write(broker, "kept", b"value")
        identity = broker.cluster_id

        broker.kill()
        broker.start(timeout_s=30)

        assert identity == broker.cluster_id
        assert read(broker, "kept") == b"value"
        log_dir = broker.log_path.parent
        # Rarely is the commit still without its marker at the kill; that its successor met nobody
        # alive under its name is what keeps such a commit readable, so that is checked as well.
        assert kafka_fencing.has_fenced((log_dir / "kafka-fencing.log").read_bytes())
        assert "TxnMarkerSenderThread" not in broker.log_path.read_text("utf-8")


def test_only_the_successor_of_a_killed_broker_fences_it(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with EmbeddedKafka(tmp_path, free_port()) as broker:
        assert kafka_fencing.was_killed(tmp_path / "kafka")  # as one that runs may be at any time
    assert not kafka_fencing.was_killed(tmp_path / "kafka")

    with broker:
        assert not (broker.log_path.parent / "kafka-fencing.log").exists()


def test_it_answers_with_the_identity_its_storage_was_given(kafka: EmbeddedKafka) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})

    assert kafka.cluster_id == admin.describe_cluster().result(10).cluster_id


def test_both_coordinators_are_there_when_it_is_ready(kafka: EmbeddedKafka) -> None:
    topics = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics

    assert {"__consumer_offsets", "__transaction_state"} <= set(topics)


def test_a_topic_that_nobody_declared_is_an_error(kafka: EmbeddedKafka) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.timeout.ms": 2_000})
    try:
        producer.produce("user-evnets", b"{}", on_delivery=lambda error, _: failures.append(error))
        producer.flush(10)
    except KafkaException as error:
        failures.append(error)

    assert failures
    assert failures[0] is not None
