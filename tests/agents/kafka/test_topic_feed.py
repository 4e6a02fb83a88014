"""Whoever follows a topic hears of a record at once, and not when the broker has nothing more."""

import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from agents.admin import topic_admin
from agents.embedded.kafka import EmbeddedKafka
from agents.kafka.client_settings import ClientSettings, KafkaSettings
from agents.kafka.topic_feed import TopicFeed
from agents.settings import Settings
from schemas import topics
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


class Patient(KafkaSettings):
    """Lets the broker keep the end to itself for long, however slow this machine is."""

    def reader(self) -> ClientSettings:
        return super().reader() | {"fetch.wait.max.ms": 1_000}


class Heard(TopicFeed):
    """Notes what it is told, in order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard: list[str] = []

    def take(self, message: Message) -> None:
        self.heard.append((message.value() or b"").decode())

    def at_lull(self) -> None:
        self.heard.append("lull")

    def at_end(self) -> None:
        self.heard.append("end")


class Followed:
    """A topic, its writer, and who follows it."""

    def __init__(self, bootstrap: str) -> None:
        here = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        topic_admin.create(here, [topics.MODELS])
        kafka = Patient(bootstrap=bootstrap, group=f"{here.topic_prefix}feed")
        self.topic = topics.MODELS.named(here.topic_prefix)
        self.producer = Producer(kafka.transactional_producer(turn=0))
        self.producer.init_transactions(30)
        self.failures: list[BaseException] = []
        self.feed = Heard(kafka, self.topic, name="feed", on_failure=self.failures.append)

    def publish(self, *values: str) -> None:
        self.producer.begin_transaction()
        for value in values:
            self.producer.produce(self.topic, value, "key")
        self.producer.commit_transaction(30)

    def wait_for_the_end_after(self, value: str) -> list[str]:
        """Wait until the end is told behind a record; tell what was heard from it on."""
        heard = self.feed.heard
        wait_until(lambda: value in heard and "end" in heard[heard.index(value) :], 20)
        return heard[heard.index(value) :][: heard[heard.index(value) :].index("end") + 1]


@pytest.fixture
def followed(kafka: EmbeddedKafka) -> Iterator[Followed]:
    made = Followed(kafka.bootstrap)
    yield made
    made.feed.stop()
    assert made.failures == []


def test_what_was_there_before_waits_for_the_end_and_what_comes_later_does_not(
    followed: Followed,
) -> None:
    followed.publish("first", "second")
    followed.feed.start()
    before = followed.wait_for_the_end_after("first")
    wait_until(partial(followed.feed.caught_up.wait, 0), 20)
    followed.publish("third")

    assert before == ["first", "second", "end"]
    assert followed.wait_for_the_end_after("third") == ["third", "lull", "end"]
