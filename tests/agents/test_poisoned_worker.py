"""A worker process on a real broker meets records that make its code raise."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from faust.types.tuples import TP

from agents import cli
from agents.admin import set_aside, topic_admin, topic_reader
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.offsets import committed_offsets
from agents.settings import Settings
from schemas import topics
from schemas.predictions import Prediction
from tests.agents.buggy_pipeline import POISON
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
N_EVENTS = 40
POISONOUS = {3, 17, 18, 39}

pytestmark = pytest.mark.integration


class Line:
    """An environment of its own, and the predict workers in it."""

    def __init__(self, settings, directory):
        self.settings = settings
        self.keys = directory / "keys"
        self.keys.mkdir()
        self.log = directory / "worker.log"
        self.workers = []

    @property
    def environment(self):
        return {
            "THALWEG_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "THALWEG_TOPIC_PREFIX": self.settings.topic_prefix,
            "THALWEG_TRUSTED_KEYS_DIR": str(self.keys),
            "THALWEG_METRICS_PORT": "0",
        }

    def start(self, pipeline, **more):
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "worker", "predict"],
                cwd=ROOT,
                env=os.environ | self.environment | {"THALWEG_PIPELINE": pipeline} | more,
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def named(self, topic):
        return topic.named(self.settings.topic_prefix)

    def publish(self, numbers):
        producer = Producer(
            KafkaSettings(bootstrap=self.settings.kafka_bootstrap, group="upstream").producer()
        )
        for n in numbers:
            event = {
                "event_id": f"e{n}",
                "user_id": f"u{n % 3}",
                "action": "home",
                "ts": 1_704_110_400_000 + n,
                "item_id": POISON if n in POISONOUS else "book",
            }
            key = event["user_id"].encode()
            producer.produce(self.named(topics.USER_EVENTS), msgspec.json.encode(event), key)
        assert producer.flush(10) == 0

    def predicted(self):
        """Events with a prediction, each as often as it has one."""
        return sorted(
            msgspec.json.decode(message.value() or b"", type=Prediction).event_id
            for message in topic_reader.read_to_end(self.settings, self.named(topics.PREDICTIONS))
        )

    def letters(self):
        return [x for x in set_aside.read(self.settings) if x.fate is None]


@pytest.fixture
def line(kafka, tmp_path, monkeypatch):
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-", partitions=1
    )
    topic_admin.create(settings)
    made = Line(settings, tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    for worker in made.workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def names(numbers):
    return sorted(f"e{n}" for n in numbers)


def test_poison_is_set_aside_and_goes_back_to_mended_code(line):
    line.publish(range(N_EVENTS))
    worker = line.start("tests.agents.buggy_pipeline")
    wait_until(lambda: len(line.predicted()) >= N_EVENTS - len(POISONOUS), 60)
    letters = line.letters()
    predicted = line.predicted()
    worker.send_signal(signal.SIGTERM)
    ended = worker.wait(30)
    line.start("examples.shop.pipeline")
    retried = cli.main(["dead-letters", "retry", "--reason", "processing_failed", "--yes"])
    wait_until(lambda: len(line.predicted()) >= N_EVENTS, 60)

    assert predicted == names(set(range(N_EVENTS)) - POISONOUS)
    assert [(x.reason, x.origin_offset) for x in letters] == [
        ("processing_failed", str(n)) for n in sorted(POISONOUS)
    ]
    assert (ended, retried) == (0, 0)
    assert line.predicted() == names(range(N_EVENTS))
    assert line.letters() == []


def test_a_worker_ends_rather_than_set_aside_more_than_it_may(line):
    line.publish(range(N_EVENTS))
    worker = line.start("tests.agents.buggy_pipeline", THALWEG_DEAD_LETTER_LIMIT="0")
    ended = worker.wait(60)
    group = KafkaSettings(
        bootstrap=line.settings.kafka_bootstrap, group=f"{line.settings.topic_prefix}predict"
    )
    through = committed_offsets(group, [TP(line.named(topics.USER_EVENTS), 0)], timeout_s=30)

    assert ended != 0
    last = line.log.read_text().splitlines()[-1]
    assert last.startswith("thalweg: with offset 3 (`processing_failed`), more than 0% of what")
    assert last.endswith("raise THALWEG_DEAD_LETTER_LIMIT")
    assert line.letters() == []
    assert all(offset <= min(POISONOUS) for offset in through.values())
