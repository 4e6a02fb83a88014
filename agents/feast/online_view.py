"""A feature view of Feast in Redis, written beside our own hashes and guarded as they are."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.commands.core import AsyncScript

from agents.feast import layout
from schemas.feature_updates import FeatureUpdate

# KEYS[1] is the hash, which other views of the project share; ARGV are the view, the offset, the
# event time and the ttl in ms, how many fields go, these, and pairs of what comes.
WRITE_IF_NEWER: Final = """
local offset, as_of = '_offset:' .. ARGV[1], '_as_of:' .. ARGV[1]
local at = redis.call('HMGET', KEYS[1], offset, as_of)
local is_later = tonumber(ARGV[2]) > tonumber(at[1] or -1)
-- As in our own hash: a topic that was made anew counts from 0 again, but its events are newer.
if not is_later and tonumber(ARGV[3]) <= tonumber(at[2] or -1) then return 0 end
local left_ms, n_gone = redis.call('PTTL', KEYS[1]), tonumber(ARGV[5])
if n_gone > 0 then redis.call('HDEL', KEYS[1], unpack(ARGV, 6, 5 + n_gone)) end
redis.call('HSET', KEYS[1], offset, ARGV[2], as_of, ARGV[3], unpack(ARGV, 6 + n_gone))
-- What another view keeps for longer, or for ever (-1), stays.
if left_ms ~= -1 and left_ms < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""

# KEYS[1] is the hash; ARGV are the view, the offset and the event time of the user's last event,
# the moment that the features are moved on to, and pairs of what comes.
MOVE_ON: Final = """
local at = redis.call('HMGET', KEYS[1],
  '_offset:' .. ARGV[1], '_as_of:' .. ARGV[1], '_at:' .. ARGV[1])
if at[1] ~= ARGV[2] or at[2] ~= ARGV[3] then return 0 end
if tonumber(ARGV[4]) <= tonumber(at[3] or -1) then return 0 end
redis.call('HSET', KEYS[1], '_at:' .. ARGV[1], ARGV[4], unpack(ARGV, 5))
return 1
"""


Arguments = list[bytes | str | int]


class Forgotten(NamedTuple):
    """A user whose features are to go."""

    user_id: str
    offset: int
    at_ms: int
    """When that was published: no event from before it counts as newer."""


class OnlineView:
    """The feature view of one use case.

    A write from an earlier offset than the last one's changes nothing. Where it was written from
    stands in the fields `_offset:<view>` and `_as_of:<view>`, which Feast does not look at.

    Parameters
    ----------
    redis
        The client that scripts are registered with; it decodes responses.
    project, use_case
        Whose hashes, and which feature view in them.
    ttl
        How long the features of a user who does nothing are kept.
    """

    def __init__(self, redis: Redis, project: str, use_case: str, ttl: timedelta) -> None:
        self._redis = redis
        self._project = project
        self._view: Final = layout.view_name(use_case)
        self._ttl_ms = ttl // timedelta(milliseconds=1)
        self._write: AsyncScript = redis.register_script(WRITE_IF_NEWER)
        self._move_on: AsyncScript = redis.register_script(MOVE_ON)
        self._fields: dict[str, bytes] = {}
        self._is_loaded = False

    @property
    def features_key(self) -> str:
        """Name the set of all features that the view ever had: Feast's hashes do not tell."""
        return f"thalweg:feast:{self._project}:{self._view}"

    def key(self, user_id: str) -> bytes:
        """Name the hash of a user.

        >>> redis = Redis(decode_responses=True)
        >>> OnlineView(redis, "shop", "purchase-intent", timedelta(days=90)).key("ada")[-7:]
        b'adashop'
        """
        return layout.entity_key(self._project, user_id)

    async def write(
        self,
        updates: Iterable[tuple[int, FeatureUpdate]],
        forgotten: Iterable[Forgotten],
        pipeline: Pipeline,
    ) -> None:
        """Have a pipeline write features, each with its offset, and delete those of the forgotten.

        What is written from before a deletion stays deleted.
        """
        if not self._is_loaded:
            self._name_fields(map(str, await self._redis.smembers(self.features_key)))
            self._is_loaded = True
        named: set[str] = set()
        for offset, update in updates:
            if not update.features.keys() <= named:
                named |= update.features.keys()
                self._name_fields(named)
            await self._put(offset, update, pipeline)
        if named:  # each time: Redis may have been flushed
            pipeline.sadd(self.features_key, *named)
        everything = [layout.time_field(self._view), *self._fields.values()]
        for user_id, offset, at_ms in forgotten:
            args = self._arguments(offset, at_ms, everything)
            await self._write(keys=[self.key(user_id)], args=args, client=pipeline)

    async def move_on(
        self,
        user_id: str,
        offset: str,
        as_of_ms: int,
        features: Mapping[str, float],
        *,
        at_ms: int,
        pipeline: Pipeline,
    ) -> None:
        """Have a pipeline write features as of a later moment than the user's last event.

        Nothing changes if another event came meanwhile, or the user is forgotten.
        """
        self._name_fields(features.keys() - self._fields.keys())
        args: Arguments = [self._view, offset, as_of_ms, at_ms]
        args += (layout.time_field(self._view), layout.timestamp(at_ms))
        for name, number in features.items():
            args += (self._fields[name], layout.value(number))
        await self._move_on(keys=[self.key(user_id)], args=args, client=pipeline)

    async def _put(self, offset: int, update: FeatureUpdate, pipeline: Pipeline) -> None:
        pairs: Arguments = [layout.time_field(self._view), layout.timestamp(update.as_of)]
        for name, number in update.features.items():
            pairs += (self._fields[name], layout.value(number))
        # Of a release with other declarations; to be read as up to date would be wrong.
        gone = [field for name, field in self._fields.items() if name not in update.features]
        args = self._arguments(offset, update.as_of, gone) + pairs
        await self._write(keys=[self.key(update.user_id)], args=args, client=pipeline)

    def _arguments(self, offset: int, at_ms: int, gone: list[bytes]) -> Arguments:
        return [self._view, offset, at_ms, self._ttl_ms, len(gone), *gone]

    def _name_fields(self, names: Iterable[str]) -> None:
        self._fields |= {name: layout.field(self._view, name) for name in names}
