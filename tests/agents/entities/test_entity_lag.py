"""Whether predictions say that entities are behind, on a real broker and in what is answered."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from agents.admin import topic_admin
from agents.embedded.kafka import EmbeddedKafka
from agents.entities.entity_lag import EntityLag
from agents.entities.known_entities import KnownEntities
from agents.kafka.client_settings import KafkaSettings
from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from agents.settings import Settings
from schemas import topics
from tests.agents.entities.entity_pipeline import PIPELINE
from tests.waiting import wait_until

FEATURES = PIPELINE.compiled()


class Gathered:
    """A topic of entities' events that `aggregate` reads, and who looks how far it is behind."""

    def __init__(self, bootstrap: str) -> None:
        here = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        topic_admin.create(here, [topics.ENTITY_EVENTS])
        kafka = KafkaSettings(bootstrap=bootstrap, group=f"{here.topic_prefix}predict")
        group = f"{here.topic_prefix}aggregate"
        self._topic = topics.ENTITY_EVENTS.named(here.topic_prefix)
        self._producer = Producer(kafka.producer())
        self._member = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
        self.known = KnownEntities(FEATURES.gathered)
        self.lag = EntityLag(kafka, group, self._topic, self.known, longest_s=0.0)

    def hand_on(self) -> None:
        self._producer.produce(self._topic, b"event", partition=0)
        assert self._producer.flush(30) == 0

    def take_in(self, offset: int) -> None:
        self._member.commit(offsets=[TopicPartition(self._topic, 0, offset)], asynchronous=False)

    def close(self) -> None:
        self.lag.stop()
        self._member.close()


@pytest.fixture
def gathered(kafka: EmbeddedKafka) -> Iterator[Callable[[], Gathered]]:
    started: list[Gathered] = []

    def make() -> Gathered:
        started.append(Gathered(kafka.bootstrap))
        return started[-1]

    yield make
    for each in started:
        each.close()


@pytest.mark.integration
def test_entities_are_behind_while_their_events_wait_for_too_long(gathered):
    run = gathered()
    run.hand_on()
    run.take_in(1)
    run.lag.start()
    assert not run.known.are_behind

    run.hand_on()
    wait_until(lambda: run.known.are_behind)
    run.take_in(2)
    wait_until(lambda: not run.known.are_behind)


def test_what_is_answered_meanwhile_says_so():
    plan = PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name)
    assert plan.answer({}).degraded(is_late=True) == ["no_model", "late"]

    plan.known_entities.are_behind = True
    assert plan.answer({}).degraded(is_late=True) == ["no_model", "entities_behind", "late"]
