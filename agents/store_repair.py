"""Write Redis again when it lost what it had: flushed, replaced, or begun anew without its disk.

`feature-updates` and `entity-features` keep the last record of each user and entity for as long as
there are features, so all that Redis holds can be written from them. A mark in Redis says that
nothing is missing; where it is not there, whatever else had been there is gone too.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from itertools import islice
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.admin import topic_reader
from agents.kafka.app import App
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.settings import Settings
from agents.store import FeatureStore
from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
CHUNK: Final = 500
"""Records that are written in one round trip; live updates go in between."""
TURN_S: Final = 60
"""After so long without a sign of life of who is at it, another worker begins."""
TELL_EVERY_S: Final = 10.0


class StoreRepair:
    """Writes everything again where the mark is missing; one worker at a time.

    What is written is guarded as ever: an older record never wins over a newer one.

    Parameters
    ----------
    namespace
        Key prefix of the users' features.
    stores
        What writes the records of which topic, by its full name.
    """

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        namespace: str,
        stores: Mapping[str, FeatureStore],
        metrics: Metrics,
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._stores = stores
        self.mark: Final = f"whole:{namespace}"
        """Key that is there while nothing was lost."""
        self._turn = f"repair:{namespace}"
        self._restored = metrics.counter(metric_list.REDIS_RESTORED)

    async def look(self) -> None:
        """Write everything again if the mark is missing and nobody else is at it.

        Raises
        ------
        redis.exceptions.RedisError
            Redis does not take it.
        DeliveryFailed
            Kafka does not answer.
        """
        if await self._redis.exists(self.mark):
            return
        token = uuid.uuid4().hex
        if not await self._redis.set(self._turn, token, nx=True, ex=TURN_S):
            return
        logger.warning("Redis holds no features that are known to be whole: writing them again")
        n = 0
        for topic, store in self._stores.items():
            n += await self._write(topic, store)
        # Lost again meanwhile: then the next look begins anew.
        if await self._redis.get(self._turn) == token:
            await self._redis.set(self.mark, 1)
            await self._redis.delete(self._turn)
            logger.warning("Redis is whole again: %s records were written", n)

    async def _write(self, topic: str, store: FeatureStore) -> int:
        records = topic_reader.read_to_end(self._settings, topic)
        n, told_at_s = 0, time.monotonic()
        while chunk := await asyncio.to_thread(lambda: list(islice(records, CHUNK))):
            await store.write(chunk)
            await self._redis.expire(self._turn, TURN_S)
            n += len(chunk)
            self._restored.inc(len(chunk))
            if time.monotonic() - told_at_s >= TELL_EVERY_S:
                told_at_s = time.monotonic()
                logger.warning("%s records of %s are written again", n, topic)
        return n


def build(app: App, repair: StoreRepair, metrics: Metrics) -> None:
    """Let an app look once a second."""
    redis_errors = metrics.counter(metric_list.REDIS_ERRORS)

    @app.timer(LOOK_EVERY_S)  # type: ignore[untyped-decorator]
    async def restore_what_redis_lost() -> None:
        try:
            await repair.look()
        except RedisError as error:
            redis_errors.inc()
            logger.warning("Redis is not repaired yet: %s", error)
        except DeliveryFailed as error:
            logger.warning("Redis is not repaired yet: %s", error)
