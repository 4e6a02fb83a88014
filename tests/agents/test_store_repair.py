"""What Redis lost is written again from the topics, on real servers."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from confluent_kafka import Producer
from redis.asyncio import Redis

from agents.admin import topic_admin
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.valkey import EmbeddedRedis
from agents.kafka.client_settings import KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction import encode
from agents.settings import Settings
from agents.store import FeatureStore
from agents.store_repair import StoreRepair
from schemas import topics

pytestmark = pytest.mark.integration

N_USERS = 1_200
"""More than one chunk."""


class Stored:
    """Features on a topic of their own, and where `store` would write them."""

    def __init__(self, bootstrap: str, redis: Redis) -> None:
        self.redis = redis
        self.settings = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        topic_admin.create(self.settings, [topics.FEATURE_UPDATES])
        self._topic = topics.FEATURE_UPDATES.named(self.settings.topic_prefix)
        self.namespace = f"{self.settings.topic_prefix}features:shop"
        self.store = FeatureStore(redis, self.namespace, timedelta(days=1))
        self.metrics = Metrics()

    def publish(self, clicks: float) -> None:
        kafka = KafkaSettings(bootstrap=self.settings.kafka_bootstrap, group="stored")
        producer = Producer(kafka.producer())
        for number in range(N_USERS):
            value = encode.feature_update(f"u{number}", 7, "schema-1", {"clicks": clicks})
            producer.produce(self._topic, value, f"u{number}")
        assert producer.flush(30) == 0

    def repair(self) -> StoreRepair:
        stores = {self._topic: self.store}
        return StoreRepair(self.redis, self.settings, self.namespace, stores, self.metrics)

    async def keys(self) -> list[str]:
        return [key async for key in self.redis.scan_iter(f"*{self.namespace}*", count=1_000)]

    async def lose_everything(self) -> None:
        await self.redis.delete(*await self.keys())

    async def clicks(self) -> list[float | None]:
        found = await self.store.find([f"u{number}" for number in range(N_USERS)])
        return [each.features["clicks"] for each in found.values()]

    @property
    def n_restored(self) -> float:
        return self.metrics.counter(metric_list.REDIS_RESTORED).value


@pytest.fixture
async def stored(kafka: EmbeddedKafka, redis_server: EmbeddedRedis) -> AsyncIterator[Stored]:
    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        yield Stored(kafka.bootstrap, redis)


async def test_what_was_lost_is_written_again_and_what_is_whole_is_left_alone(stored):
    stored.publish(clicks=1.0)
    await stored.repair().look()
    assert await stored.clicks() == [1.0] * N_USERS

    await stored.repair().look()
    assert stored.n_restored == N_USERS

    stored.publish(clicks=2.0)
    await stored.lose_everything()
    assert await stored.clicks() == []
    await stored.repair().look()
    assert await stored.clicks() == [2.0] * N_USERS


async def test_of_two_workers_one_does_it(stored):
    stored.publish(clicks=1.0)
    await stored.redis.set(f"repair:{stored.namespace}", "another", ex=60)
    await stored.repair().look()

    assert await stored.clicks() == []
    assert not await stored.redis.exists(stored.repair().mark)


async def test_what_is_lost_while_it_is_written_is_written_again(stored, monkeypatch):
    stored.publish(clicks=1.0)
    write, chunks = stored.store.write, []

    async def lose(records):
        chunks.append(records)
        if len(chunks) == 2:
            await stored.lose_everything()
        return await write(records)

    monkeypatch.setattr(stored.store, "write", lose)
    repair = stored.repair()
    await repair.look()
    assert not await stored.redis.exists(repair.mark)
    assert len(await stored.clicks()) < N_USERS

    await repair.look()
    assert await stored.redis.exists(repair.mark)
    assert await stored.clicks() == [1.0] * N_USERS
