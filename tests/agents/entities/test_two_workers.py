"""Entities on a real broker: two workers of each role, and kill -9 of one of each."""

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.valkey import EmbeddedRedis
from agents.observability.lag_reader import GroupLag
from agents.settings import Settings
from schemas import topics
from schemas.entity_features import EntityFeatures
from schemas.events import UserEvent
from schemas.topics import Topic
from tests.agents.entities.entity_pipeline import PIPELINE
from tests.agents.entities.naive_entity import by_entity, naive_rolling
from tests.agents.rig import Rig
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

N_EVENTS = 4_000
PARTITIONS = 4
WORKERS = (("predict", 0), ("predict", 1), ("aggregate", 0), ("aggregate", 1), ("store", 0))
KILLED = (0, 2)
"""Of these, one predict and one aggregate worker."""
FEATURES = PIPELINE.compiled()


def wait_for_no_lag(rig: Rig) -> None:
    """Wait until all that was published has reached Redis."""
    prefix = rig.settings.topic_prefix
    read = {
        "predict": topics.USER_EVENTS,
        "aggregate": topics.ENTITY_EVENTS,
        "store": topics.ENTITY_FEATURES,
    }
    client = {"bootstrap.servers": rig.settings.kafka_bootstrap}
    groups = [
        GroupLag(client, prefix + role, [topic.named(prefix)]) for role, topic in read.items()
    ]

    def has_no_lag() -> bool:
        now_ms = time.time_ns() // 1_000_000
        # One after the other: who has no lag hands nothing on any more.
        return not any(lag.records for group in groups for lag in group.read(now_ms).values())

    try:
        wait_until(has_no_lag, 60)
    finally:
        for group in groups:
            group.close()


@pytest.fixture
def rig(
    kafka: EmbeddedKafka, redis_server: EmbeddedRedis, tmp_path: Path
) -> Iterator[Callable[..., Rig]]:
    started: list[Rig] = []

    def start(**settings: Any) -> Rig:
        rig = Rig(
            Settings(
                kafka_bootstrap=kafka.bootstrap,
                redis_url=redis_server.url,
                topic_prefix=f"{uuid.uuid4().hex}.",
                pipeline="tests.agents.entities.entity_pipeline",
                data_dir=tmp_path,
                partitions=PARTITIONS,
                metrics_port=0,
                **settings,
            ),
            WORKERS,
        )
        started.append(rig)
        rig.supervisor.start()
        return rig

    yield start
    for each in started:
        each.close()


class Counted:
    """What a read_committed reader sees of a topic."""

    def __init__(self, rig: Rig, topic: Topic) -> None:
        self._consumer = rig.reader(topic)
        self.times: Counter[tuple[bytes, str]] = Counter()
        """By entity and event."""
        self.latest: dict[str, EntityFeatures] = {}
        self._is_features = topic is topics.ENTITY_FEATURES

    def read(self) -> int:
        for message in self._consumer.consume(2_000, 0.1):
            if message.error() is not None:  # the end of a partition
                continue
            key, value = message.key() or b"", message.value() or b""
            if self._is_features:
                self.latest[key.decode()] = msgspec.json.decode(value, type=EntityFeatures)
            else:
                event = msgspec.msgpack.decode(value, type=UserEvent)
                self.times[key, event.event_id or ""] += 1
        return len(self.times)

    def wait_for(self, n: int) -> None:
        """Wait until so many different records of events were seen."""
        wait_until(lambda: self.read() >= n, 90, every_s=0)


def make_events(now_ms: int) -> list[UserEvent]:
    chance = random.Random(7)
    return [
        UserEvent(
            f"user-{chance.randrange(40)}",
            chance.choice(("view", "view", "purchase")),
            now_ms - chance.randrange(2 * 3_600_000),
            f"e{number}",
            f"s{number % 3}",
            chance.choice((None, *(f"sku-{n}" for n in range(25)))),
            chance.randrange(10_000) / 100,
        )
        for number in range(N_EVENTS)
    ]


def test_every_event_counts_once_in_every_entity_through_kills(rig):
    running = rig()
    events = make_events(time.time_ns() // 1_000_000)
    handed_on = Counted(running, topics.ENTITY_EVENTS)
    expected = {(f"item:{e.item_id}".encode(), e.event_id) for e in events if e.item_id}
    parts = [events[start : start + N_EVENTS // 4] for start in range(0, N_EVENTS, N_EVENTS // 4)]
    for n, part in enumerate(parts):
        running.publish(part)
        handed_on.wait_for(handed_on.read() + 1)
        if n < 2:
            for number in KILLED:
                running.kill(number)
    handed_on.wait_for(len(expected))
    wait_for_no_lag(running)
    handed_on.read()  # what would come twice, has come by now

    assert expected - set(handed_on.times) == set()
    assert {entity: n for entity, n in handed_on.times.items() if n > 1} == {}

    told = Counted(running, topics.ENTITY_FEATURES)
    redis = Redis.from_url(running.settings.redis_url, decode_responses=True)
    prefix = f"{running.settings.topic_prefix}entity-features:{PIPELINE.use_case}"
    naive = {
        (view.entity.name, key): naive_rolling(its_events)
        for view in FEATURES.views
        if view.entity.name != "session"
        for key, its_events in by_entity(events, view.key).items()
    }
    wait_until(lambda: told.read() == 0 and naive.keys() <= keys_of(told), 60, every_s=0)
    wrong = {}
    for (entity, key), features in naive.items():
        served = told.latest[key].features
        stored = redis.hgetall(f"{prefix}:{key}")
        for name, value in features.items():
            full = f"{entity}_{name}"
            if not served[full] == value == float(stored[full]):
                wrong[key, name] = (served[full], stored[full], value)
    redis.close()
    assert wrong == {}


def keys_of(told: Counted) -> set[tuple[str, str]]:
    return {(features.entity, key) for key, features in told.latest.items()}
