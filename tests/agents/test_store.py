"""The online feature store on a real server: never older than what is committed, never lost."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import redis as redis_client
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from agents import store
from agents.admin import online_features
from agents.embedded.valkey import EmbeddedRedis
from agents.kafka.app import App, KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction import encode
from agents.settings import Settings
from agents.store import FeatureStore
from examples.shop.pipeline import PIPELINE
from schemas.events import UserEvent
from streams.features import count, is_action
from streams.fold import FeatureFold, compile_features
from tests.agents.record import Record, batch
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
HOUR_MS = 3_600_000


def update(user: str, *, offset: int, as_of: int = 0, **features: float) -> Record:
    value = encode.feature_update(user, as_of, "schema-1", features)
    return Record(value, user.encode(), offset=offset)


FOLD = compile_features([count(over=timedelta(hours=1)), is_action({"buy"}, name="buy")], UserEvent)


def served(user: str, *, offset: int, at_ms: int, fold: FeatureFold = FOLD) -> Record:
    """A user's first event, as predict tells of it."""
    state = fold.new()
    values = fold.update(state, UserEvent(user, "buy", at_ms))
    value = encode.feature_update(user, at_ms, fold.schema, values)
    return Record(
        value,
        user.encode(),
        offset=offset,
        headers=[("ce_id", b"1"), ("state", fold.encode(state))],
    )


async def write(features: FeatureStore, *records: Record) -> int:
    return await features.write(cast(Any, records))


@pytest.fixture
async def redis(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def features(redis: Redis) -> FeatureStore:
    return FeatureStore(redis, f"features:{uuid.uuid4().hex}", DAY)


async def test_features_are_read_as_they_were_written_to_the_last_bit(features):
    rng = random.Random(0)
    written = {f"f{n}": rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for n in range(200)}
    await write(features, update("ada", offset=0, as_of=7, **written))

    assert await features.read("ada") == written
    assert await features.read("bob") == {}


async def test_a_batch_writes_the_newest_update_of_each_user(features):
    n_users = await write(
        features,
        update("ada", offset=0, clicks=1.0),
        update("bob", offset=1, clicks=5.0),
        update("ada", offset=2, clicks=2.0),
        Record(None, b"ada", offset=3),
    )

    assert n_users == 2
    assert await features.read("ada") == {"clicks": 2.0}
    assert await features.read("bob") == {"clicks": 5.0}
    assert await write(features) == 0


async def test_a_newer_update_replaces_the_features_as_a_whole(features):
    await write(features, update("ada", offset=0, clicks=1.0, retired=1.0))
    await write(features, update("ada", offset=1, clicks=2.0))

    assert await features.read("ada") == {"clicks": 2.0}


@pytest.mark.parametrize("offset", [3, 9, 10])
async def test_an_earlier_offset_never_wins_nor_does_the_same_again(features, offset):
    await write(features, update("ada", offset=10, clicks=1.0))
    await write(features, update("ada", offset=offset, clicks=99.0))

    assert await features.read("ada") == {"clicks": 1.0}


async def test_a_topic_that_was_made_anew_counts_from_0_and_its_newer_events_win(features):
    await write(features, update("ada", offset=5_000, as_of=7, clicks=1.0))
    await write(features, update("ada", offset=3, as_of=8, clicks=2.0))

    assert await features.read("ada") == {"clicks": 2.0}


async def test_what_is_no_feature_update_is_passed_over(features):
    n_users = await write(
        features, Record(b"{", b"ada", offset=0), update("bob", offset=1, clicks=5.0)
    )

    assert n_users == 1
    assert await features.read("bob") == {"clicks": 5.0}


async def test_features_that_come_without_a_state_leave_none(redis, features):
    await write(features, update("item:sku-1", offset=0, clicks=1.0))

    assert await features.read("item:sku-1") == {"clicks": 1.0}
    assert not await redis.exists(features.state_key("item:sku-1"))


async def test_each_write_prolongs_the_life_of_a_users_features(redis_server, redis, features):
    await write(features, served("ada", offset=0, at_ms=0))
    await redis.pexpire(features.key("ada"), 1_000)
    await redis.pexpire(features.state_key("ada"), 1_000)
    await write(features, served("ada", offset=1, at_ms=1))
    for key in (features.key("ada"), features.state_key("ada")):
        left_ms = await redis.pttl(key)
        assert DAY - timedelta(minutes=1) < timedelta(milliseconds=left_ms) <= DAY

    brief = FeatureStore(redis, features.key("brief"), timedelta(milliseconds=1))
    await write(brief, update("ada", offset=0, clicks=1.0))
    with redis_client.Redis.from_url(redis_server.url) as other:
        await asyncio.to_thread(wait_until, lambda: not other.exists(brief.key("ada")))


async def test_a_view_empties_the_windows_of_who_is_idle(features):
    await write(features, served("ada", offset=0, at_ms=HOUR_MS))
    assert await features.view("ada", FOLD) == {"event_count_1h": 1.0, "is_buy": 1.0}
    assert await features.view("eve", FOLD) == {}

    await write(features, served("bob", offset=1, at_ms=9 * HOUR_MS))
    await write(features, served("eve", offset=2, at_ms=2 * HOUR_MS))  # the clock does not go back

    assert await features.view("ada", FOLD) == {"event_count_1h": 0.0, "is_buy": 1.0}
    assert await features.view("bob", FOLD) == {"event_count_1h": 1.0, "is_buy": 1.0}
    assert await features.view("bob", FOLD, 10 * HOUR_MS + 300_000) == {
        "event_count_1h": 0.0,
        "is_buy": 1.0,
    }
    assert await features.read("ada") == {"event_count_1h": 1.0, "is_buy": 1.0}


async def test_a_view_under_other_declarations_is_as_of_the_last_event(features):
    other = compile_features([count(over=timedelta(hours=2))], UserEvent)
    await write(features, served("ada", offset=0, at_ms=0, fold=other))
    await write(
        features, update("bob", offset=1, event_count_1h=5.0, is_buy=0.0)
    )  # without a state

    assert await features.view("ada", FOLD, 99 * HOUR_MS) == {"event_count_2h": 1.0}
    assert await features.view("bob", FOLD, 99 * HOUR_MS) == {"event_count_1h": 5.0, "is_buy": 0.0}


async def test_a_batch_is_written_together_however_many_users_there_are(features, monkeypatch):
    await write(features, update("ada", offset=0, clicks=1.0))  # loads the script
    n_sent = 0
    send = AbstractConnection.send_packed_command

    async def count(self: AbstractConnection, *args: Any, **kwargs: Any) -> None:
        nonlocal n_sent
        n_sent += 1
        await send(self, *args, **kwargs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", count)
    assert (
        await write(features, *(update(f"u{n}", offset=n, f=float(n)) for n in range(500))) == 500
    )
    monkeypatch.undo()

    assert n_sent <= 2  # whether the script is there, and everything
    assert await features.read("u499") == {"f": 499.0}


def test_whoever_looks_from_outside_sees_the_same(redis_server):
    here = Settings(redis_url=redis_server.url, topic_prefix=uuid.uuid4().hex)

    async def fill() -> None:
        namespace = f"{here.topic_prefix}features:{PIPELINE.use_case}"
        async with Redis.from_url(here.redis_url, decode_responses=True) as client:
            await write(FeatureStore(client, namespace, DAY), update("ada", offset=0, clicks=3.0))

    asyncio.run(fill())

    assert online_features.read(here, PIPELINE, "ada") == {"clicks": 3.0}
    assert online_features.read(here, PIPELINE, "bob") == {}


async def test_while_redis_is_down_nothing_is_lost(
    tmp_path: Path, free_port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", (0.01,))
    metrics = Metrics()
    errors = metrics.counter(metric_list.REDIS_ERRORS)
    app = App("store", KafkaSettings(bootstrap="127.0.0.1:1", group="store"))
    with EmbeddedRedis(tmp_path, free_port()) as server:
        async with Redis.from_url(server.url, decode_responses=True) as client:
            features = FeatureStore(client, "features", DAY)
            store.build(app, "feature-updates", features, metrics)
            (agent,) = app.agents.values()
            async with agent.test_context() as running:
                await running.put(batch([update("ada", offset=0, clicks=1.0)]))
                server.kill()
                putting = asyncio.ensure_future(
                    running.put(batch([update("bob", offset=1, clicks=2.0)]))
                )
                await asyncio.to_thread(wait_until, lambda: errors.value >= 2)
                assert not putting.done()
                await asyncio.to_thread(server.start)
                await putting
                await running.put(batch([update("eve", offset=2, clicks=3.0)]))

            assert await features.read("bob") == {"clicks": 2.0}
            assert await features.read("eve") == {"clicks": 3.0}
            assert metrics.counter(metric_list.USERS_WRITTEN).value == 3
