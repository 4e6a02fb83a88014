"""One look into the online feature store, from outside of any worker."""

import asyncio
from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.pipeline import Pipeline
from agents.settings import Settings
from agents.store import FeatureStore
from schemas.errors import ThalwegError


def read(settings: Settings, declared: Pipeline, user_id: str) -> dict[str, float]:
    """Read the latest features of a user; empty when there are none.

    Raises
    ------
    ThalwegError
        Redis does not answer.
    """
    namespace = f"{settings.topic_prefix}features:{declared.use_case}"
    ttl = timedelta(days=settings.feature_ttl_days)

    async def look() -> dict[str, float]:
        async with Redis.from_url(settings.redis_url, decode_responses=True) as redis:
            return await FeatureStore(redis, namespace, ttl).read(user_id)

    try:
        return asyncio.run(look())
    except RedisError as error:
        raise ThalwegError(f"no Redis answers at {settings.redis_url}") from error
