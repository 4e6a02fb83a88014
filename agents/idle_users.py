"""Move idle users' features on in Redis, for those who read the hash itself, or through Feast.

Whoever does nothing is not written by anyone, but windows empty. So each write puts its user down
in a sorted set, by the event time at which the hash is to be looked at again; from then on the
features are moved on each time that the user's idleness has grown by a quarter. These are some 45
writes in 90 days. The set is in Redis: whichever worker comes next goes on with it.
"""

import logging
from datetime import timedelta
from typing import Final, NamedTuple

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from agents.kafka.app import App
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.store import FIRST_LOOK_MS, FeatureStore, Found
from streams.fold import FeatureFold

logger = logging.getLogger(__name__)

INTERVAL_S: Final = 0.25
MOST_AT_ONCE: Final = 100
"""Users in one interval, 400 a second: a look takes 0.3 ms of CPU, with Feast 0.4. So a sixth of a
core goes to it at most, though a replay let the clock race."""

# KEYS[1] is the set; ARGV are a user, when the look was due, and when the next one is, or nothing.
NEXT_LOOK: Final = """
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
"""


class Look(NamedTuple):
    """What a turn did."""

    users: int
    """How many were due and looked at."""
    overdue_ms: int
    """How long ago, in event time, the first of them was due."""


def next_look_ms(as_of_ms: int, now_ms: int) -> float:
    """Tell when a user is looked at again: once idle for a quarter longer, at least five minutes.

    Half a millisecond beside any event's: a look never takes a write's entry for its own.

    >>> next_look_ms(0, 3_600_000) / 60_000 - 0.5 / 60_000
    75.0
    """
    return as_of_ms + max(FIRST_LOOK_MS, (now_ms - as_of_ms) * 5 // 4) + 0.5


class IdleUsers:
    """The users of a store whose features are due to be moved on.

    Several workers may look at once: each write is guarded by the offset that it was read with.

    Parameters
    ----------
    features
        What writes them.
    fold
        Of the pipeline that is served; features of other declarations stay as they are.
    """

    def __init__(self, redis: Redis, features: FeatureStore, fold: FeatureFold) -> None:
        self._redis = redis
        self._features = features
        self._fold = fold
        self._retention_ms = fold.retention // timedelta(milliseconds=1)
        self._next_look: AsyncScript = redis.register_script(NEXT_LOOK)

    async def look(self, most: int = MOST_AT_ONCE) -> Look:
        """Move on those who are due first, as of the newest event of any user."""
        redis, features = self._redis, self._features
        now_ms = int(await redis.get(features.clock_key) or 0)
        due: list[tuple[str, float]] = await redis.zrange(  # type: ignore[assignment]  # with scores
            features.due_key, 0, now_ms, byscore=True, offset=0, num=most, withscores=True
        )
        if not due:
            return Look(0, 0)
        found = await features.find([user_id for user_id, _ in due])
        # A new event writes the hash first and the set then, and so do we: whichever of us is
        # last in the hash is last in the set, and who is killed in between is due again.
        async with redis.pipeline(transaction=False) as pipeline:
            for user_id, due_ms in due:
                stands = found.get(user_id)
                moved = None if stands is None else self._moved(user_id, stands, now_ms)
                if stands is not None and moved is not None:
                    await features.move_on(user_id, stands, moved, now_ms, pipeline)
                is_over = stands is None or now_ms - stands.as_of_ms > self._retention_ms
                after = "" if stands is None or is_over else next_look_ms(stands.as_of_ms, now_ms)
                args: list[str | float] = [user_id, due_ms, after]
                await self._next_look(keys=[features.due_key], args=args, client=pipeline)
            await pipeline.execute()
        return Look(len(due), now_ms - int(due[0][1]))

    def _moved(self, user_id: str, stands: Found, now_ms: int) -> dict[str, float] | None:
        try:
            return stands.view(self._fold, now_ms)
        except Exception:  # whatever a derived feature raises: it is the pipeline's own code
            logger.exception("the features of %r stay as of the last event", user_id)
            return None


def build(app: App, idle: IdleUsers, metrics: Metrics) -> None:
    """Let an app move idle users on, as long as it runs."""
    moved = metrics.counter(metric_list.USERS_MOVED_ON)
    overdue = metrics.gauge(metric_list.IDLE_OVERDUE_SECONDS)
    redis_errors = metrics.counter(metric_list.REDIS_ERRORS)

    @app.timer(INTERVAL_S)  # type: ignore[untyped-decorator]
    async def move_idle_users_on() -> None:
        try:
            look = await idle.look()
        except RedisError as error:  # they are due until Redis takes them
            redis_errors.inc()
            logger.warning("Redis does not let idle users be moved on: %s", error)
            return
        moved.inc(look.users)
        overdue.set(look.overdue_ms / 1_000)
