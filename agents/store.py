"""The store role: the latest features of each user in Redis, for everyone who asks in a hurry.

It reads `feature-updates` as committed and writes each batch in one pipeline, so Redis is never
ahead of what is committed. Each hash remembers the offset it was written from, and a write from an
earlier one loses: after a crash or a rebalance, an old worker cannot undo a newer one's work.
"""

import asyncio
import logging
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import faust
import msgspec
from confluent_kafka import Message
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from agents.feast.online_view import Forgotten, OnlineView
from agents.kafka.app import App, Batch
from agents.observability import metric_list
from agents.observability.metric_spec import CounterSpec
from agents.observability.metrics import Metrics
from schemas.entity_features import EntityFeatures
from schemas.errors import UNREADABLE
from schemas.feature_updates import STATE_HEADER, FeatureUpdate
from streams.fold import FeatureFold

logger = logging.getLogger(__name__)

RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between tries; the last one repeats. Meanwhile the lag grows and nothing is lost."""

# KEYS are the hash, the state and the clock; ARGV are the offset, the ttl in ms, the state, then
# pairs of field and value, of which the first is `_as_of`.
WRITE_IF_NEWER: Final = """
local at = redis.call('HMGET', KEYS[1], '_offset', '_as_of')
local is_later = tonumber(ARGV[1]) > tonumber(at[1] or -1)
-- A topic that was made anew counts from 0 again, but its events are newer.
if not is_later and tonumber(ARGV[5]) <= tonumber(at[2] or -1) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '_offset', ARGV[1], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
-- Beside the hash: one long value in it, and it would take twice the memory.
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]) end
if tonumber(ARGV[5]) > tonumber(redis.call('GET', KEYS[3]) or -1) then
  redis.call('SET', KEYS[3], ARGV[5])
end
return 1
"""

# KEYS[1] is the hash; ARGV are the offset and the event time that it was read with, the moment that
# the features are moved on to, then pairs of field and value. It lives no longer for that.
MOVE_ON: Final = """
local at = redis.call('HMGET', KEYS[1], '_offset', '_as_of', '_at')
if at[1] ~= ARGV[1] or at[2] ~= ARGV[2] then return 0 end
if tonumber(ARGV[3]) <= tonumber(at[3] or -1) then return 0 end
redis.call('HSET', KEYS[1], '_at', ARGV[3], unpack(ARGV, 4))
return 1
"""

FIRST_LOOK_MS: Final = 300_000
"""Event time after which the features of who does nothing are first moved on: a tile's width."""


class Found(NamedTuple):
    """What stands in Redis of one user."""

    offset: str
    as_of_ms: int
    """Event time of the last event."""
    moved_to_ms: int | None
    """As of when the features are, if they were moved on since."""
    features: dict[str, float]
    state: bytes

    def view(self, fold: FeatureFold, at_ms: int) -> dict[str, float] | None:
        """Tell the features as of a moment, if the fold knows them.

        Raises
        ------
        Exception
            Whatever a derived feature raises.
        """
        known = self.state and fold.can_read(self.state) and self.features.keys() == set(fold.names)
        if not known:
            return None
        if self.moved_to_ms is not None:  # what was served with the event is not here any more
            at_ms = max(at_ms, fold.last_event_ms(self.state) + 1)
        return fold.view(self.state, self.features, at_ms)


class FeatureStore:
    """Features in Redis hashes, by what a record's key names: a user, or another entity.

    Parameters
    ----------
    redis
        A client that decodes responses.
    namespace
        Key prefix: `<topic prefix>features:<use case>`.
    ttl
        How long the features of a user who does nothing are kept.
    feast
        Where users' are written too, for those who read through Feast.
    record
        What the topic's records are.
    """

    def __init__(
        self,
        redis: Redis,
        namespace: str,
        ttl: timedelta,
        feast: OnlineView | None = None,
        *,
        record: type[FeatureUpdate | EntityFeatures] = FeatureUpdate,
    ) -> None:
        self._decode = msgspec.json.Decoder(record).decode
        self._redis = redis
        self._feast = feast
        self._namespace = namespace
        self._ttl_ms = ttl // timedelta(milliseconds=1)
        self._write: AsyncScript = redis.register_script(WRITE_IF_NEWER)
        self._move_on: AsyncScript = redis.register_script(MOVE_ON)

    def key(self, entity: str) -> str:
        """Name the hash of a user, by id, or of another entity, as `item:sku-1`.

        >>> redis = Redis(decode_responses=True)
        >>> FeatureStore(redis, "features:purchase-intent", timedelta(days=90)).key("ada")
        'features:purchase-intent:ada'
        """
        return f"{self._namespace}:{entity}"

    def state_key(self, user_id: str) -> str:
        """Name what the features of a user can be moved on from, in base64.

        >>> redis = Redis(decode_responses=True)
        >>> FeatureStore(redis, "features:shop", timedelta(days=90)).state_key("ada")
        'state:features:shop:ada'
        """
        return f"state:{self._namespace}:{user_id}"

    @property
    def clock_key(self) -> str:
        """Name the newest event time of all users.

        >>> redis = Redis(decode_responses=True)
        >>> FeatureStore(redis, "features:purchase-intent", timedelta(days=90)).clock_key
        'features:purchase-intent'
        """
        return self._namespace

    @property
    def due_key(self) -> str:
        """Name the set of users by when they are looked at again, if they do nothing.

        >>> redis = Redis(decode_responses=True)
        >>> FeatureStore(redis, "features:shop", timedelta(days=90)).due_key
        'due:features:shop'
        """
        return f"due:{self._namespace}"

    async def write(self, records: Iterable[Message]) -> int:
        """Write the newest update of each, in one round trip; tell how many were updated."""
        records = list(records)
        newest = {record.key(): record for record in records if record.value() is not None}
        updates: list[tuple[int, str, FeatureUpdate | EntityFeatures, bytes]] = []
        for key, record in newest.items():
            try:
                entity, update = (key or b"").decode(), self._decode(record.value() or b"")
            except UNREADABLE as error:
                # The topic is ours alone: whoever wrote this can write it again.
                logger.warning("no feature update at offset %s: %s", record.offset(), error)
            else:
                updates.append((record.offset() or 0, entity, update, _state(record)))
        async with self._redis.pipeline(transaction=False) as pipeline:
            for offset, entity, update, state in updates:
                values: list[str | float | int | bytes] = [offset, self._ttl_ms, state]
                values += ("_as_of", update.as_of, "_schema", update.schema)
                for name, value in update.features.items():
                    values += (name, value)
                keys = [self.key(entity), self.state_key(entity), self.clock_key]
                await self._write(keys=keys, args=values, client=pipeline)
                if state:
                    # Of an earlier update, too: that is a look too early, and no more.
                    pipeline.zadd(self.due_key, {entity: update.as_of + FIRST_LOOK_MS})
            if self._feast is not None:
                of_users = [
                    (n, each) for n, _, each, _ in updates if isinstance(each, FeatureUpdate)
                ]
                await self._feast.write(of_users, _forgotten(records), pipeline)
            if len(pipeline):
                await pipeline.execute()
        return len(updates)

    async def find(self, user_ids: Sequence[str]) -> dict[str, Found]:
        """Find what stands of users, in one round trip; those who are forgotten are left out.

        Hash and state may be of two events: a write that rests on them must be guarded.
        """
        async with self._redis.pipeline(transaction=False) as pipeline:
            for user_id in user_ids:
                pipeline.hgetall(self.key(user_id))
                pipeline.get(self.state_key(user_id))
            answers = await pipeline.execute()
        found = zip(user_ids, answers[::2], answers[1::2], strict=True)
        return {user_id: _found(fields, state) for user_id, fields, state in found if fields}

    async def move_on(
        self,
        user_id: str,
        stands: Found,
        features: Mapping[str, float],
        at_ms: int,
        pipeline: Pipeline,
    ) -> None:
        """Have a pipeline write features as of a later moment, unless an event came meanwhile."""
        args: list[str | float] = [stands.offset, stands.as_of_ms, at_ms]
        for name, value in features.items():
            args += (name, value)
        await self._move_on(keys=[self.key(user_id)], args=args, client=pipeline)
        if self._feast is not None:
            await self._feast.move_on(
                user_id, stands.offset, stands.as_of_ms, features, at_ms=at_ms, pipeline=pipeline
            )

    async def read(self, entity: str) -> dict[str, float]:
        """Read the features of a user or another entity as they stand; empty for none."""
        return _features(await self._redis.hgetall(self.key(entity)))

    async def view(
        self, user_id: str, fold: FeatureFold, at_ms: int | None = None
    ) -> dict[str, float]:
        """Read the features of a user as of a moment, in one round trip; empty when there are none.

        Parameters
        ----------
        fold
            Of the pipeline that is served. Features of other declarations are read as they were
            with the last event.
        at_ms
            In event time; by default that of the newest event of any user. Once the features were
            moved on (`agents.idle_users`), the first moment that can be looked at is a
            millisecond after the last event.

        Raises
        ------
        Exception
            Whatever a derived feature raises.
        """
        # A transaction: features and state must be of one event.
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(self.key(user_id))
            pipeline.mget(self.state_key(user_id), self.clock_key)
            fields, (state, clock) = await pipeline.execute()
        found = _found(fields, state)
        viewed = found.view(fold, int(clock or 0) if at_ms is None else at_ms)
        return found.features if viewed is None else viewed


def _found(fields: Mapping[Any, Any], state: str | None) -> Found:
    moved_to = fields.get("_at")
    return Found(
        fields.get("_offset", ""),
        int(fields.get("_as_of", 0)),
        None if moved_to is None else int(moved_to),
        _features(fields),
        b64decode(state or ""),
    )


def _features(found: Mapping[Any, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in found.items() if name[:1] != "_"}


def _state(record: Message) -> bytes:
    found = dict(record.headers() or ()).get(STATE_HEADER)
    return b64encode(found) if isinstance(found, bytes) else b""


def _forgotten(records: Iterable[Message]) -> list[Forgotten]:
    """Tell the users whose last record is a tombstone."""
    last = {record.key(): record for record in records}
    return [
        Forgotten(key.decode(), record.offset() or 0, record.timestamp()[1])
        for key, record in last.items()
        if record.value() is None and isinstance(key, bytes)
    ]


def build(
    app: App,
    updates: str,
    store: FeatureStore,
    metrics: Metrics,
    *,
    written: CounterSpec = metric_list.USERS_WRITTEN,
) -> None:
    """Register an agent on an app that writes the features of one topic."""
    n_written = metrics.counter(written)
    redis_seconds = metrics.histogram(metric_list.REDIS_SECONDS)
    redis_errors = metrics.counter(metric_list.REDIS_ERRORS)
    behind = metrics.gauge(metric_list.STORE_BEHIND_SECONDS)

    @app.agent(app.batches(updates), name=f"store-{updates}")
    async def store_features(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            attempt = 0
            started_at = time.monotonic()
            while True:
                try:
                    n_written.inc(await store.write(batch))
                    break
                except RedisError as error:
                    redis_errors.inc()
                    wait_s = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                    attempt += 1
                    logger.warning("Redis does not take features, again in %g s: %s", wait_s, error)
                    await asyncio.sleep(wait_s)
            redis_seconds.observe(time.monotonic() - started_at)
            _, updated_at_ms = batch.records[-1].timestamp()
            behind.set(time.time() - updated_at_ms / 1_000)
            yield len(batch)
