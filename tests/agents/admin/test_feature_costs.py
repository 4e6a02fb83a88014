"""What features are said to cost, held against what they do."""

import asyncio
import tracemalloc
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from agents.admin.feature_costs import USER_ID, costs, written_bytes_per_s
from agents.embedded.valkey import EmbeddedRedis
from agents.feast import layout
from agents.feast.online_view import OnlineView
from agents.history import event_file
from agents.prediction import encode
from agents.store import FeatureStore
from examples.payments.pipeline import PIPELINE as PAYMENTS
from examples.shop.pipeline import PIPELINE, ShopEvent
from schemas.feature_updates import STATE_HEADER
from streams.features import request_time
from streams.fold import compile_features
from streams.fold_state import UserState
from streams.state import Table
from tests.agents.partition_run import PartitionRun, event
from tests.agents.record import Record

FOLD = compile_features(PIPELINE.features, PIPELINE.event)


@pytest.mark.parametrize("pipeline", [PIPELINE, PAYMENTS])
def test_who_never_leaves_costs_more_than_who_came_once(pipeline):
    once, busy = costs(pipeline)

    assert once.state < busy.state
    assert once.memory < busy.memory


def test_the_users_of_half_a_year_of_the_shop_are_between_the_two():
    assert PIPELINE.replay is not None
    states: dict[str, UserState] = {}
    for each in event_file.read(Path(PIPELINE.replay.file), ShopEvent, PIPELINE.replay.columns):
        event = msgspec.json.decode(each.value, type=ShopEvent)
        FOLD.update(states.setdefault(str(event.user_id), FOLD.new()), event)
    sizes = [len(FOLD.encode(state)) for state in states.values()]
    once, busy = (each.state - len(f"u{USER_ID}") for each in costs(PIPELINE))

    assert len(sizes) > 0
    assert once <= min(sizes)
    assert max(sizes) <= busy


@pytest.mark.integration
def test_a_user_in_redis_takes_as_much_as_is_said(redis_server: EmbeddedRedis) -> None:
    state = FOLD.new()
    features = FOLD.update(state, ShopEvent(USER_ID, "home", 1_704_067_200_000))
    headers = [(STATE_HEADER, FOLD.encode(state))]
    value = encode.feature_update(USER_ID, 1_704_067_200_000, FOLD.schema, features)

    async def measured(*, feast: str = "") -> int:
        async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
            ttl = timedelta(days=1)
            view = OnlineView(redis, feast, PIPELINE.use_case, ttl) if feast else None
            store = FeatureStore(redis, f"features:{uuid.uuid4().hex}", ttl, view)
            record = Record(value, USER_ID.encode(), offset=0, headers=headers)
            await store.write([record])  # type: ignore[list-item]
            keys: list[str | bytes] = [store.key(USER_ID), store.state_key(USER_ID)]
            if feast:
                keys.append(layout.entity_key(feast, USER_ID))
            taken = [await redis.memory_usage(key) for key in keys]
            assert all(taken)
            return sum(int(each or 0) for each in taken)

    once, _ = costs(PIPELINE)
    assert once.redis == pytest.approx(asyncio.run(measured()), rel=0.25)
    twice, _ = costs(PIPELINE, feast_project="costs")
    assert twice.redis == pytest.approx(asyncio.run(measured(feast="costs")), rel=0.25)


def test_a_user_takes_as_much_memory_as_is_said() -> None:
    n, (once, _) = 20_000, costs(PIPELINE)
    raw = FOLD.encode(FOLD.new())
    size = once.state - len(f"u{USER_ID}")
    tracemalloc.start()
    try:
        table: Table[UserState] = Table("u", FOLD.encode, FOLD.decode)
        for user in range(n):
            table.restore(f"user-{user:012}", raw.ljust(size, b"\0"))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table) == n
    assert once.memory == pytest.approx(taken / n, rel=0.25)


def test_topics_grow_with_users_and_what_they_do() -> None:
    assert written_bytes_per_s(1_000, 86_400, 1) == pytest.approx(1_000, rel=0.02)
    assert written_bytes_per_s(70, 2, 3) == pytest.approx(6 * written_bytes_per_s(70, 1, 1))


def test_who_does_more_costs_more() -> None:
    states = [costs(PIPELINE, events_per_day=n)[1].state for n in (1, 24, 100)]

    assert states[0] == states[1] < states[2]


def test_an_update_is_as_long_as_is_said() -> None:
    run = PartitionRun().events(event("e", user=USER_ID))
    (update,) = run.by_topic["feature-updates"]
    size = len(update.key or b"") + len(update.value or b"")
    size += sum(len(name) + len(value) for name, value in update.headers or ())

    assert costs(PIPELINE)[0].update == pytest.approx(size, rel=0.05)


def test_what_functions_make_of_values_that_nobody_sent_does_not_matter() -> None:
    picky = request_time("picky", {"mobile": 1.0}.__getitem__, "platform")
    once, _ = costs(replace(PIPELINE, features=(*PIPELINE.features, picky)))

    assert once.state == costs(PIPELINE)[0].state
