"""One look into the online feature store, from outside of any worker."""

import asyncio
from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.pipeline import Pipeline
from agents.settings import Settings
from agents.store import FeatureStore
from schemas.errors import ThalwegError
from streams.entities import USER


def read(
    settings: Settings,
    declared: Pipeline,
    id_: str,
    *,
    entity: str = USER,
    at_ms: int | None = None,
) -> dict[str, float]:
    """Read the features of a user, or of another entity; empty when there are none.

    Parameters
    ----------
    at_ms
        As of when, in event time; by default as of the newest event of any user. Features of other
        entities are told as of their last event.

    Raises
    ------
    InvalidDeclaration
        The pipeline declares no such entity.
    ThalwegError
        Redis does not answer.
    """
    namespace = f"{settings.topic_prefix}features:{declared.use_case}"
    if entity != USER:
        declared.compiled().view(entity)
        namespace = f"{settings.topic_prefix}entity-features:{declared.use_case}:{entity}"
    ttl = timedelta(days=settings.feature_ttl_days)

    async def look() -> dict[str, float]:
        async with Redis.from_url(settings.redis_url, decode_responses=True) as redis:
            store = FeatureStore(redis, namespace, ttl)
            if entity != USER:
                return await store.read(id_)
            return await store.view(id_, declared.compiled().user, at_ms)

    try:
        return asyncio.run(look())
    except RedisError as error:
        raise ThalwegError(f"no Redis answers at {settings.redis_url}") from error
