"""Features as Feast lays them out, on a real server: guarded as our own hashes are."""

import random
import struct
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from agents.embedded.valkey import EmbeddedRedis
from agents.feast import layout
from agents.feast.online_view import OnlineView
from agents.prediction import encode
from agents.store import FeatureStore
from tests.agents.record import Record

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
VIEW = "purchase_intent"


@pytest.fixture
async def redis(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
async def raw(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def project() -> str:
    return f"p{uuid.uuid4().hex}"


@pytest.fixture
def features(redis: Redis, project: str) -> FeatureStore:
    return store(redis, project)


def store(redis: Redis, project: str, ttl: timedelta = DAY) -> FeatureStore:
    view = OnlineView(redis, project, "purchase-intent", ttl)
    return FeatureStore(redis, f"features:{project}", ttl, view)


def update(user: str, *, offset: int, as_of: int = 0, **features: float) -> Record:
    value = encode.feature_update(user, as_of, "schema-1", features)
    return Record(value, user.encode(), offset=offset)


def tombstone(user: str, *, offset: int) -> Record:
    return Record(None, user.encode(), offset=offset)


async def write(features: FeatureStore, *records: Record) -> None:
    await features.write(cast(Any, records))


async def read(raw: Redis, project: str, user: str, *names: str) -> dict[str, float | None]:
    """Read what Feast reads, as it does."""
    fields = [layout.field(VIEW, name) for name in names]
    found = await raw.hmget(layout.entity_key(project, user), fields)
    return {
        name: None if value is None else struct.unpack("<xd", cast(bytes, value))[0]
        for name, value in zip(names, found, strict=True)
    }


async def test_features_are_there_to_the_last_bit_with_their_event_time(features, raw, project):
    rng = random.Random(0)
    written = {f"f{n}": rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for n in range(200)}
    await write(features, update("ada", offset=0, as_of=1_704_067_200_123, **written))

    key = layout.entity_key(project, "ada")
    assert await read(raw, project, "ada", *written) == written
    assert await raw.hget(key, layout.time_field(VIEW)) == layout.timestamp(1_704_067_200_123)
    assert await features.read("ada") == written
    assert await read(raw, project, "bob", "f0") == {"f0": None}


@pytest.mark.parametrize("offset", [3, 9, 10])
async def test_an_earlier_offset_never_wins_nor_does_the_same_again(features, raw, project, offset):
    await write(features, update("ada", offset=10, clicks=1.0))
    before = await raw.hgetall(layout.entity_key(project, "ada"))
    await write(features, update("ada", offset=offset, clicks=99.0))

    assert await raw.hgetall(layout.entity_key(project, "ada")) == before


async def test_a_topic_that_was_made_anew_counts_from_0_and_its_newer_events_win(
    features, raw, project
):
    await write(features, update("ada", offset=5_000, as_of=7, clicks=1.0))
    await write(features, update("ada", offset=3, as_of=8, clicks=2.0))

    assert await read(raw, project, "ada", "clicks") == {"clicks": 2.0}


async def test_it_is_filled_though_our_own_hashes_are_further(redis, raw, project, features):
    own = FeatureStore(redis, f"features:{project}", DAY)
    await write(own, update("ada", offset=10, clicks=1.0))
    await write(features, update("ada", offset=10, clicks=1.0))

    assert await read(raw, project, "ada", "clicks") == {"clicks": 1.0}


async def test_a_tombstone_deletes_and_nothing_from_before_it_comes_back(features, raw, project):
    await write(features, update("ada", offset=4, as_of=7, clicks=1.0))
    await write(features, tombstone("ada", offset=5))
    await write(features, update("ada", offset=4, as_of=7, clicks=1.0))

    assert await read(raw, project, "ada", "clicks") == {"clicks": None}
    assert not await raw.hexists(layout.entity_key(project, "ada"), layout.time_field(VIEW))

    await write(features, update("ada", offset=6, as_of=8, clicks=2.0))
    assert await read(raw, project, "ada", "clicks") == {"clicks": 2.0}


async def test_even_of_a_user_it_did_not_know(features, raw, project):
    await write(features, tombstone("ada", offset=5))
    await write(features, update("ada", offset=4, as_of=7, clicks=1.0))
    assert await read(raw, project, "ada", "clicks") == {"clicks": None}

    await write(features, update("ada", offset=6, as_of=8, clicks=2.0))
    assert await read(raw, project, "ada", "clicks") == {"clicks": 2.0}


async def test_of_a_batch_the_last_of_a_user_counts(features, raw, project):
    await write(
        features,
        update("ada", offset=0, clicks=1.0),
        tombstone("ada", offset=1),
        tombstone("bob", offset=2),
        update("bob", offset=3, clicks=5.0),
        tombstone("eve", offset=4),
    )

    assert await read(raw, project, "ada", "clicks") == {"clicks": None}
    assert await read(raw, project, "bob", "clicks") == {"clicks": 5.0}
    assert await read(raw, project, "eve", "clicks") == {"clicks": None}


async def test_a_retired_feature_goes_even_when_another_worker_wrote_it(redis, raw, project):
    await write(store(redis, project), update("ada", offset=0, clicks=1.0, retired=1.0))
    successor = store(redis, project)
    await write(successor, update("ada", offset=1, clicks=2.0))

    expected = {"clicks": 2.0, "retired": None}
    assert await read(raw, project, "ada", "clicks", "retired") == expected


async def test_other_views_of_the_user_stay(features, raw, project):
    key = layout.entity_key(project, "ada")
    of_another_team = {layout.field("churn", "score"): layout.value(0.5), b"_ts:churn": b""}
    await raw.hset(key, mapping=of_another_team)
    await write(features, update("ada", offset=0, clicks=1.0), tombstone("bob", offset=1))
    await write(features, tombstone("ada", offset=2))

    assert of_another_team.items() <= (await raw.hgetall(key)).items()
    assert await raw.pttl(key) == -1  # they keep it for ever


async def test_each_write_prolongs_a_life_and_none_shortens_it(redis, raw, project, features):
    key = layout.entity_key(project, "ada")
    await write(features, update("ada", offset=0, clicks=1.0))
    await raw.pexpire(key, 1_000)
    await write(features, update("ada", offset=1, clicks=2.0))
    left_ms = await raw.pttl(key)
    assert DAY - timedelta(minutes=1) < timedelta(milliseconds=left_ms) <= DAY

    await write(store(redis, project, DAY / 2), update("ada", offset=2, clicks=3.0))
    assert await raw.pttl(key) > DAY / timedelta(milliseconds=2)


async def test_after_a_flush_it_is_whole_again(redis, raw, project, features):
    await write(features, update("ada", offset=0, clicks=1.0, retired=1.0))
    await raw.delete(layout.entity_key(project, "ada"), f"thalweg:feast:{project}:{VIEW}")
    await write(features, update("ada", offset=1, clicks=2.0, retired=2.0))
    await write(store(redis, project), update("ada", offset=2, clicks=3.0))

    expected = {"clicks": 3.0, "retired": None}
    assert await read(raw, project, "ada", "clicks", "retired") == expected
