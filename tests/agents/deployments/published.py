"""An environment of its own on a real broker, with models in it that have learned something."""

import time
import uuid
from pathlib import Path

from confluent_kafka import Producer

from agents.admin import published_models, topic_admin
from agents.deployments import log
from agents.kafka.client_settings import KafkaSettings
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from online_models.learner import Learner
from online_models.signing import Signer
from online_models.snapshot import encode
from schemas import topics
from schemas.deployments import Deployment
from tests.agents.outcome_log import FOLD, make_outcomes

CHAMPION, CHALLENGER = PIPELINE.champion, PIPELINE.challengers[0]
N_LEARNED = 40


class Environment:
    """Topics, keys, and a snapshot of each model."""

    def __init__(self, bootstrap: str, keys: Path) -> None:
        self.settings = Settings(
            kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-", partitions=1
        )
        topic_admin.create(self.settings)
        self.signer = Signer.generate()
        (keys / "signing.key").write_bytes(self.signer.to_pem())
        (keys / "signing.pem").write_bytes(self.signer.public_pem())
        self.env = {
            "THALWEG_KAFKA_BOOTSTRAP": bootstrap,
            "THALWEG_TOPIC_PREFIX": self.settings.topic_prefix,
            "THALWEG_PARTITIONS": "1",
            "THALWEG_SIGNING_KEY_FILE": str(keys / "signing.key"),
            "THALWEG_TRUSTED_KEYS_DIR": str(keys),
            "THALWEG_METRICS_PORT": "0",
        }
        self._producer = Producer({"bootstrap.servers": bootstrap})
        for model in (CHAMPION, CHALLENGER):
            self.publish(model)

    def keep(self, model: str) -> str:
        """Keep a version of a model, as `learn` does."""
        event = Deployment(
            kind="registered",
            use_case=PIPELINE.use_case,
            model=model,
            version=N_LEARNED,
            at=0,
            by="learn",
        )
        self.publish(model, key=event.reference)
        assert log.append(self.settings, event, "/test").refusal is None
        return event.reference

    def publish(self, model: str, *, key: str | None = None) -> None:
        """Let a model learn a little, and publish it."""
        learner = Learner(
            model, feature_names=FOLD.names, schema=FOLD.schema, target=PIPELINE.label.target
        )
        for offset, outcome in enumerate(make_outcomes(N_LEARNED)):
            learner.learn(outcome, offset)
        blob = encode(learner, self.signer, at_ms=time.time_ns() // 1_000_000)
        self.produce(topics.MODELS, blob, (key or model).encode())

    def produce(self, topic: topics.Topic, value: bytes | None, key: bytes) -> None:
        self._producer.produce(topic.named(self.settings.topic_prefix), value, key)
        assert self._producer.flush(30) == 0

    def kafka(self) -> KafkaSettings:
        bootstrap, group = self.settings.kafka_bootstrap, uuid.uuid4().hex
        return KafkaSettings(bootstrap=bootstrap, group=group)

    def newest(self, model: str) -> bytes:
        return published_models.snapshots(self.settings)[model][1]

    def log(self) -> log.DeploymentLog:
        return log.read(self.settings, PIPELINE.use_case)
