"""A forest that no record could hold, through a real broker: published, served, gone on from."""

import dataclasses
import time
import uuid
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from confluent_kafka import Producer
from faust.types.tuples import TP

from agents.admin import published_models, topic_admin
from agents.deployments.deployed import Deployed
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.publish import publish
from agents.learning.training import Training
from agents.observability.metrics import Metrics
from agents.outcome_log import KafkaOutcomeLog
from agents.prediction.model_feed import ModelFeed
from agents.prediction.served_models import ServedModels
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from online_models import chunks
from online_models.registry import Registry
from online_models.signing import Signer, Verifier
from schemas import topics
from schemas.outcomes import Outcome
from tests.agents.record import PUBLISHED_MS, Record, batch
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

FOREST = "binary_leveraging_bagging_v1"
WIDE = tuple(f"feature_{n}" for n in range(1_400))
"""What makes a forest large within seconds: each leaf of each tree looks at every feature."""
TARGET = PIPELINE.label.target
SIGNER = Signer.generate()
VERIFIER = Verifier([SIGNER.public_pem()])


def outcome(n: int) -> bytes:
    features = [float((n * 7 + i) % 13) for i in range(len(WIDE))]
    day_ms = 86_400_000
    return msgspec.msgpack.encode(
        Outcome(
            *(f"p{n}", PIPELINE.use_case, "u", n * day_ms, n * day_ms + 1_000, n % 2 == 0),
            *(0.5, FOREST, 0, "wide", features, TARGET),
        )
    )


class Large:
    """A topic of snapshots, its one writer, and who follows it."""

    def __init__(self, bootstrap: str) -> None:
        self.settings = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        topic_admin.create(self.settings, [topics.MODELS, topics.OUTCOMES, topics.TELEMETRY])
        self.models = topics.MODELS.named(self.settings.topic_prefix)
        self.kafka = KafkaSettings(bootstrap=bootstrap, group=uuid.uuid4().hex)
        self.pipeline = dataclasses.replace(PIPELINE, champion=FOREST, challengers=())
        self.served = self.new_served()
        self.failures: list[BaseException] = []
        self.feed = self.follow(self.served)

    def write_outcomes(self, n: int) -> None:
        """Write the log that is learned: who goes on from a snapshot looks whether it is ours."""
        producer = Producer(self.kafka.producer())
        for number in range(n):
            producer.produce(topics.OUTCOMES.named(self.settings.topic_prefix), outcome(number))
        assert producer.flush(30) == 0

    def new_served(self) -> ServedModels:
        return ServedModels(Deployed(self.pipeline), "wide", TARGET, VERIFIER, Metrics())

    def follow(self, served: ServedModels) -> ModelFeed:
        return ModelFeed(
            self.kafka, self.models, served, Metrics(), on_failure=self.failures.append
        )

    def training(self) -> Training:
        """Make a writer that goes on from what stands on the topic."""
        made = Training(
            self.pipeline,
            cast(Any, SimpleNamespace(names=WIDE, schema="wide")),
            KafkaOutcomeLog(self.kafka, topics.OUTCOMES.named(self.settings.topic_prefix)),
            models=self.models,
            dead_letters="dead-letters",
            signer=SIGNER,
            verifier=VERIFIER,
            metrics=Metrics(),
        )
        restoring = made.begin_restore(0)
        for _, key, value in read_to_end(self.kafka, TP(self.models, 0)):
            restoring.restore(key or b"", value)
        restoring.complete()
        made.install(0, restoring)
        return made

    def serves(self, version: int) -> bool:
        return [served.version for served in self.served.by_name.values()] == [version]


@pytest.fixture
def large(kafka):
    made = Large(kafka.bootstrap)
    made.write_outcomes(3)
    made.feed.start()
    yield made
    made.feed.stop()


@pytest.mark.timeout(240)
def test_a_forest_that_no_record_holds_is_published_served_and_gone_on_from(large):
    writer = Producer(large.kafka.transactional_producer(turn=0))
    writer.init_transactions(30)
    training = large.training()
    for n in range(3):
        step = batch([Record(outcome(n), offset=n)], topic="outcomes")
        training.learn(step, PUBLISHED_MS)
        training.publish_due(step, n * 3_600.0, time.time_ns() // 1_000_000)
        largest = max(len(output.value or b"") for output in step.outputs)
        writer.begin_transaction()
        publish(writer, step.emitted, lambda: None)
        assert writer.flush(60) == 0
        if n == 1:  # the batch will come again, and be published again
            writer.abort_transaction(30)
            training = large.training()
            training.learn(step, PUBLISHED_MS)
            step.emitted.clear()
            training.publish_due(step, n * 3_600.0, time.time_ns() // 1_000_000)
            writer.begin_transaction()
            publish(writer, step.emitted, lambda: None)
            assert writer.flush(60) == 0
        writer.commit_transaction(30)
        wait_until(partial(large.serves, n + 1), 60)
    successor = large.training()
    registry = Registry(large.pipeline.use_case)
    (told,) = published_models.read(large.settings, large.pipeline, registry)
    late = large.new_served()
    feed = large.follow(late)
    feed.start()
    feed.caught_up.wait(60)
    feed.stop()
    unseen = msgspec.msgpack.decode(outcome(9), type=Outcome)
    features = dict(zip(WIDE, unseen.features, strict=True))

    assert large.failures == []
    assert told.bytes > topics.MODELS.max_record_bytes > chunks.PART_BYTES >= largest
    assert (told.version, told.role) == (3, "champion")
    assert successor.learners[FOREST].progress == training.learners[FOREST].progress
    scores = {
        learner.scorer().score(features)
        for learner in (training.learners[FOREST], successor.learners[FOREST])
    }
    scores |= {served.by_name[FOREST].scorer.score(features) for served in (large.served, late)}
    assert len(scores) == 1
