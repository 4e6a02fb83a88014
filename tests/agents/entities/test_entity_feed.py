"""What predict knows of gathered entities, on a real broker."""

import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from agents.admin import topic_admin
from agents.embedded.kafka import EmbeddedKafka
from agents.entities.entity_feed import CAUSED_AT, EntityFeed
from agents.entities.known_entities import KnownEntities
from agents.kafka.client_settings import KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction import encode
from agents.settings import Settings
from schemas import topics
from tests.agents.entities.entity_pipeline import PIPELINE
from tests.waiting import wait_until

FEATURES = PIPELINE.compiled()
ITEM = FEATURES.view("item")
PAIR = FEATURES.view("user_item")


def told(value: float) -> bytes:
    return encode.entity_features(ITEM, 0, dict.fromkeys(ITEM.fold.names, value))


def known(value: float) -> tuple[float, ...]:
    return (value,) * len(ITEM.names)


class Followed:
    """A topic of entities' features, and a feed that follows it."""

    def __init__(self, bootstrap: str) -> None:
        here = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        topic_admin.create(here, [topics.ENTITY_FEATURES])
        kafka = KafkaSettings(bootstrap=bootstrap, group=f"{here.topic_prefix}predict")
        self._topic = topics.ENTITY_FEATURES.named(here.topic_prefix)
        self._producer = Producer(kafka.producer())
        self.metrics = Metrics()
        self.failures: list[BaseException] = []
        self.entities = KnownEntities(FEATURES.gathered)
        self.feed = EntityFeed(
            kafka, self._topic, self.entities, self.metrics, on_failure=self.failures.append
        )

    def publish(self, key: str, value: bytes | None, caused_at: bytes = b"") -> None:
        self._producer.produce(self._topic, value, key, headers={CAUSED_AT: caused_at})
        assert self._producer.flush(30) == 0

    def of(self, key: str) -> tuple[float, ...]:
        return self.entities.features(ITEM, key)


@pytest.fixture
def followed(kafka: EmbeddedKafka) -> Iterator[Callable[[], Followed]]:
    started: list[Followed] = []

    def make() -> Followed:
        started.append(Followed(kafka.bootstrap))
        return started[-1]

    yield make
    for each in started:
        each.feed.stop()
        assert each.failures == []


@pytest.mark.integration
def test_what_was_published_before_the_start_is_known_once_it_has_caught_up(followed):
    run = followed()
    run.publish("item:a", told(1.0))
    run.publish("item:a", told(2.0))
    run.publish("item:b", told(3.0))
    run.publish("item:b", None)
    run.feed.start()

    assert run.feed.caught_up.wait(20)
    assert (run.of("item:a"), run.of("item:b")) == (known(2.0), ITEM.absent)
    run.feed.tell()
    assert run.metrics.gauge(metric_list.KNOWN_ENTITIES).value == 1


@pytest.mark.integration
def test_what_is_published_later_is_known_soon_and_how_soon_is_measured(followed):
    run = followed()
    run.feed.start()
    assert run.feed.caught_up.wait(20)
    run.publish("item:a", told(1.0), caused_at=b"%d" % (time.time_ns() // 1_000_000))
    run.publish("item:b", told(2.0), caused_at=b"yesterday")
    wait_until(lambda: run.of("item:b") == known(2.0))

    assert run.of("item:a") == known(1.0)
    assert run.metrics.samples()["thalweg_entity_staleness_seconds_count"] == 1


@pytest.mark.parametrize(
    "value",
    [
        b"garbage",
        told(1.0).replace(ITEM.fold.schema.encode(), b"another"),
    ],
)
def test_what_is_of_other_declarations_or_nothing_at_all_is_not_known(value):
    entities = KnownEntities(FEATURES.gathered)
    entities.offer(b"item:a", told(1.0))
    entities.offer(b"item:a", value)

    assert entities.features(ITEM, "item:a") == ITEM.absent


def test_entities_that_nobody_asks_for_take_no_memory():
    entities = KnownEntities(FEATURES.gathered)
    features = dict.fromkeys(PAIR.fold.names, 1.0)
    entities.offer(b"user_item:ada|a", encode.entity_features(PAIR, 0, features))
    entities.offer(b"\xff", b"")
    entities.offer(None, None)

    assert len(entities) == 0
