"""The store role: the latest features of each user in Redis, for everyone who asks in a hurry.

It reads `feature-updates` as committed and writes each batch in one pipeline, so Redis is never
ahead of what is committed. Each hash remembers the offset it was written from, and a write from an
earlier one loses: after a crash or a rebalance, an old worker cannot undo a newer one's work.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Final

import faust
import msgspec
from confluent_kafka import Message
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from agents.feast.online_view import Forgotten, OnlineView
from agents.kafka.app import App, Batch
from agents.observability import metric_list
from agents.observability.metric_spec import CounterSpec
from agents.observability.metrics import Metrics
from schemas.entity_features import EntityFeatures
from schemas.feature_updates import FeatureUpdate

logger = logging.getLogger(__name__)

RETRY_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits between tries; the last one repeats. Meanwhile the lag grows and nothing is lost."""

# KEYS[1] is the hash; ARGV are the offset, the ttl in ms, then pairs of field and value, of which
# the first is `_as_of`.
WRITE_IF_NEWER: Final = """
local at = redis.call('HMGET', KEYS[1], '_offset', '_as_of')
local is_later = tonumber(ARGV[1]) > tonumber(at[1] or -1)
-- A topic that was made anew counts from 0 again, but its events are newer.
if not is_later and tonumber(ARGV[4]) <= tonumber(at[2] or -1) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '_offset', ARGV[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""


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

    def key(self, entity: str) -> str:
        """Name the hash of a user, by id, or of another entity, as `item:sku-1`.

        >>> redis = Redis(decode_responses=True)
        >>> FeatureStore(redis, "features:purchase-intent", timedelta(days=90)).key("ada")
        'features:purchase-intent:ada'
        """
        return f"{self._namespace}:{entity}"

    async def write(self, records: Iterable[Message]) -> int:
        """Write the newest update of each, in one round trip; tell how many were updated."""
        records = list(records)
        newest = {record.key(): record for record in records if record.value() is not None}
        updates: list[tuple[int, str, FeatureUpdate | EntityFeatures]] = []
        for key, record in newest.items():
            try:
                entity = (key or b"").decode()
                updates.append((record.offset() or 0, entity, self._decode(record.value() or b"")))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                # The topic is ours alone: whoever wrote this can write it again.
                logger.warning("no feature update at offset %s: %s", record.offset(), error)
        async with self._redis.pipeline(transaction=False) as pipeline:
            for offset, entity, update in updates:
                values: list[str | float | int] = [offset, self._ttl_ms]
                values += ("_as_of", update.as_of, "_schema", update.schema)
                for name, value in update.features.items():
                    values += (name, value)
                await self._write(keys=[self.key(entity)], args=values, client=pipeline)
            if self._feast is not None:
                of_users = [(n, each) for n, _, each in updates if isinstance(each, FeatureUpdate)]
                await self._feast.write(of_users, _forgotten(records), pipeline)
            if len(pipeline):
                await pipeline.execute()
        return len(updates)

    async def read(self, entity: str) -> dict[str, float]:
        """Read the features of a user, or of another entity; empty when there are none."""
        found = await self._redis.hgetall(self.key(entity))
        return {str(name): float(value) for name, value in found.items() if name[:1] != "_"}


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

    @app.agent(app.topic(updates, value_type=Batch), name=f"store-{updates}")  # type: ignore[arg-type]
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
