"""Who reads the hash itself, or through Feast, sees windows emptied of who does nothing."""

import os
import random
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Producer
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from agents.admin import topic_admin
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.valkey import EmbeddedRedis
from agents.feast import layout
from agents.feast.online_view import OnlineView
from agents.idle_users import IdleUsers, next_look_ms
from agents.kafka.client_settings import KafkaSettings
from agents.prediction import encode
from agents.settings import Settings
from agents.store import FIRST_LOOK_MS, FeatureStore
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.events import UserEvent
from streams.features import count, derived, is_action, time_since
from streams.fold import FeatureFold, compile_features
from tests.agents.record import Record
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
TTL = timedelta(days=90)
HOUR_MS = 3_600_000
FOLD = compile_features(
    [
        count(over=timedelta(hours=1)),
        count(over=timedelta(days=7)),
        time_since(),
        is_action({"buy"}, name="buy"),
    ],
    UserEvent,
)
Served = dict[str, tuple[bytes, dict[str, float]]]


class Log:
    """What predict tells of users' events, and what it told last."""

    def __init__(self, fold: FeatureFold = FOLD, event: type[UserEvent] = UserEvent) -> None:
        self._fold = fold
        self._event = event
        self._states: dict[str, Any] = {}
        self._offset = -1
        self.served: Served = {}

    def event(self, user: str, at_ms: int) -> Record:
        self._offset += 1
        state = self._states.setdefault(user, self._fold.new())
        features = self._fold.update(state, self._event(user, "buy", at_ms))
        encoded = self._fold.encode(state)
        self.served[user] = (encoded, features)
        value = encode.feature_update(user, state.last_ms, self._fold.schema, features)
        return Record(value, user.encode(), offset=self._offset, headers=[("state", encoded)])

    def as_of(self, user: str, at_ms: int) -> dict[str, float]:
        return self._fold.view(*self.served[user], at_ms)


async def write(store: FeatureStore, *records: Record) -> None:
    await store.write(cast(Any, records))


async def look_at_all(idle: IdleUsers) -> int:
    n = 0
    while (look := await idle.look()).users:
        n += look.users
    return n


@pytest.fixture
async def redis(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def store(redis: Redis, name: str) -> FeatureStore:
    return FeatureStore(redis, name, TTL, OnlineView(redis, name, "shop", TTL))


@pytest.fixture
def idle(redis: Redis, store: FeatureStore) -> IdleUsers:
    return IdleUsers(redis, store, FOLD)


async def in_feast(server: EmbeddedRedis, name: str, user: str) -> dict[str, float | None]:
    fields = [layout.field("shop", each) for each in FOLD.names]
    async with Redis.from_url(server.url) as raw:
        values = await raw.hmget(layout.entity_key(name, user), fields)
    return {
        each: None if value is None else struct.unpack("<xd", cast(bytes, value))[0]
        for each, value in zip(FOLD.names, values, strict=True)
    }


async def test_a_read_hours_later_sees_the_window_emptied(redis_server, name, store, idle):
    log = Log()
    await write(store, log.event("ada", 0), log.event("ada", 60_000), log.event("bob", 5 * HOUR_MS))
    await look_at_all(idle)

    read = await store.read("ada")
    assert (read["event_count_1h"], read["event_count_7d"], read["is_buy"]) == (0.0, 2.0, 1.0)
    assert read == log.as_of("ada", 5 * HOUR_MS)
    assert await in_feast(redis_server, name, "ada") == read


@pytest.mark.parametrize("seed", range(3))
async def test_what_stands_is_a_quarter_of_the_idle_time_old_at_most(
    seed, redis_server, name, store, idle
):
    """However time passes, and whatever is written meanwhile."""
    rng = random.Random(seed)
    log, clock_ms = Log(), 0
    last_ms: dict[str, int] = {}
    for _ in range(60):
        clock_ms += round(10 ** rng.uniform(3, 7.5))
        users = {"clock", f"user-{rng.randrange(8)}"}
        await write(store, *(log.event(user, clock_ms) for user in users))
        last_ms |= dict.fromkeys(users, clock_ms)
        await look_at_all(idle)
        for user, event_ms in last_ms.items():
            at_ms = (await store.find([user]))[user].moved_to_ms or event_ms
            read = await store.read(user)
            assert clock_ms - at_ms <= max(FIRST_LOOK_MS, (at_ms - event_ms) / 4 + 1), user
            assert read == log.as_of(user, at_ms)
            assert await in_feast(redis_server, name, user) == read

    assert len(last_ms) == 9


async def test_a_view_is_what_it_would_be_had_nobody_moved_the_features_on(store, idle):
    log = Log()
    await write(store, log.event("ada", 0), log.event("bob", 2 * HOUR_MS))
    await look_at_all(idle)
    await write(store, log.event("bob", 3 * HOUR_MS))

    assert await store.view("ada", FOLD) == log.as_of("ada", 3 * HOUR_MS)
    assert await store.view("ada", FOLD, HOUR_MS // 2) == log.as_of("ada", HOUR_MS // 2)
    assert await store.view("ada", FOLD, 0) == log.as_of("ada", 1)


async def test_a_successor_goes_on_with_those_who_are_due(redis, store, idle):
    log = Log()
    await write(store, log.event("ada", 0), log.event("bob", 2 * HOUR_MS))
    await look_at_all(idle)
    await write(store, log.event("bob", 9 * HOUR_MS))
    await look_at_all(IdleUsers(redis, store, FOLD))

    assert await store.read("ada") == log.as_of("ada", 9 * HOUR_MS)


async def test_an_event_that_comes_meanwhile_wins(redis_server, redis, name, store):
    log = Log()
    await write(store, log.event("ada", 0), log.event("bob", 9 * HOUR_MS))
    stands = (await store.find(["ada"]))["ada"]
    moved = stands.view(FOLD, 9 * HOUR_MS)
    await write(store, log.event("ada", 8 * HOUR_MS))
    async with redis.pipeline(transaction=False) as pipeline:
        await store.move_on("ada", stands, moved or {}, 9 * HOUR_MS, pipeline)
        answers = await pipeline.execute()

    assert answers == [0, 0]
    assert await store.read("ada") == log.served["ada"][1]
    assert await in_feast(redis_server, name, "ada") == log.served["ada"][1]


async def test_nobody_is_set_back_by_who_looked_earlier(redis, store):
    log = Log()
    await write(store, log.event("ada", 0))
    stands = (await store.find(["ada"]))["ada"]
    async with redis.pipeline(transaction=False) as pipeline:
        for at_ms in (5 * HOUR_MS, 60_000):
            features = stands.view(FOLD, at_ms) or {}
            await store.move_on("ada", stands, features, at_ms, pipeline)
        answers = await pipeline.execute()

    assert answers == [1, 1, 0, 0]
    assert await store.read("ada") == log.as_of("ada", 5 * HOUR_MS)


async def test_the_entry_that_an_event_left_meanwhile_stays(redis, store, idle, monkeypatch):
    log = Log()
    await write(store, log.event("ada", 0), log.event("bob", 9 * HOUR_MS))
    find = store.find

    async def find_late(user_ids: list[str]) -> Any:
        found = await find(user_ids)
        await write(store, log.event("ada", 8 * HOUR_MS))
        return found

    monkeypatch.setattr(store, "find", find_late)
    await idle.look()

    assert await redis.zscore(store.due_key, "ada") == 8 * HOUR_MS + FIRST_LOOK_MS


async def test_the_forgotten_do_not_come_back(redis_server, redis, name, store, idle):
    log = Log()
    await write(store, log.event("ada", 0), log.event("eve", 0))
    await write(store, Record(None, b"ada", offset=7, published_ms=1))
    await redis.delete(store.key("eve"))  # expired
    await write(store, log.event("bob", 9 * HOUR_MS))
    await look_at_all(idle)

    assert set((await in_feast(redis_server, name, "ada")).values()) == {None}
    assert not await redis.exists(store.key("eve"))
    assert await redis.zscore(store.due_key, "eve") is None


async def test_a_turn_is_bounded_and_the_longest_overdue_come_first(store, idle):
    log = Log()
    await write(store, *(log.event(f"u{n}", n * 1_000) for n in range(30)))
    await write(store, log.event("bob", 9 * HOUR_MS))
    look = await idle.look(10)

    assert look == (10, 9 * HOUR_MS - FIRST_LOOK_MS)
    assert await store.read("u9") == log.as_of("u9", 9 * HOUR_MS)
    assert await store.read("u10") == log.served["u10"][1]
    assert await look_at_all(idle) == 20
    assert await idle.look() == (0, 0)


async def test_nobody_lives_longer_for_it(redis, store, idle):
    log = Log()
    await write(store, log.event("ada", 0), log.event("bob", 9 * HOUR_MS))
    await redis.pexpire(store.key("ada"), 60_000)
    await look_at_all(idle)

    assert await redis.hget(store.key("ada"), "_at") == str(9 * HOUR_MS)
    assert await redis.pttl(store.key("ada")) <= 60_000


async def test_features_that_nothing_changes_any_more_are_left_alone(redis, store, idle):
    log = Log()
    await write(store, log.event("ada", 0), log.event("bob", 91 * 24 * HOUR_MS))
    await look_at_all(idle)

    assert await store.read("ada") == log.as_of("ada", 91 * 24 * HOUR_MS)
    assert await redis.zscore(store.due_key, "ada") is None


def test_few_looks_take_somebody_through_ninety_days():
    at_ms: float = FIRST_LOOK_MS
    n = 1
    while at_ms <= 90 * 24 * HOUR_MS:
        at_ms = next_look_ms(0, int(at_ms))
        n += 1

    assert n <= 48


async def test_other_declarations_and_what_raises_stay_as_of_the_last_event(redis, store, caplog):
    def brittle(n: float) -> float:
        if n == 0.0:
            raise ZeroDivisionError
        return 1 / n

    hour = count(over=timedelta(hours=1))
    fold = compile_features([hour, derived("inverse", brittle, *hour.names)], UserEvent)
    here, elsewhere = Log(fold), Log()
    await write(store, elsewhere.event("ada", 0))
    await write(store, here.event("eve", 0), here.event("bob", 9 * HOUR_MS))
    idle = IdleUsers(redis, store, fold)
    await look_at_all(idle)

    assert await store.read("ada") == elsewhere.served["ada"][1]
    assert await store.read("eve") == here.served["eve"][1]
    assert "'eve'" in caplog.text
    assert await idle.look() == (0, 0)  # none of them holds the others up


def test_the_store_role_does_it(kafka: EmbeddedKafka, redis_server: EmbeddedRedis, tmp_path):
    prefix = f"i{uuid.uuid4().hex[:8]}-"
    here = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=prefix, redis_url=redis_server.url
    )
    topic_admin.create(here)
    fold = PIPELINE.compiled().user
    log = Log(fold, PIPELINE.event)
    producer = Producer(KafkaSettings(bootstrap=kafka.bootstrap, group="updates").producer())
    now_ms = time.time_ns() // 1_000_000
    for record in (log.event("ada", now_ms - 24 * HOUR_MS), log.event("bob", now_ms)):
        topic = topics.FEATURE_UPDATES.named(prefix)
        producer.produce(topic, record.value(), record.key(), headers=list(record.headers() or ()))
    assert producer.flush(30) == 0
    key = f"{prefix}features:{PIPELINE.use_case}:ada"

    with (tmp_path / "store.log").open("wb") as sink:
        worker = subprocess.Popen(
            [sys.executable, "-m", "agents.cli", "worker", "store"],
            cwd=ROOT,
            env=os.environ
            | {
                "THALWEG_KAFKA_BOOTSTRAP": kafka.bootstrap,
                "THALWEG_TOPIC_PREFIX": prefix,
                "THALWEG_REDIS_URL": redis_server.url,
                "THALWEG_METRICS_PORT": "0",
            },
            stdout=sink,
            stderr=sink,
        )
    try:
        with BlockingRedis.from_url(redis_server.url, decode_responses=True) as redis:
            wait_until(lambda: redis.hexists(key, "_at"), 60)
            found = redis.hgetall(key)
    finally:
        worker.terminate()
        worker.wait(30)

    features = {name: float(value) for name, value in found.items() if not name.startswith("_")}
    assert features == log.as_of("ada", now_ms)
