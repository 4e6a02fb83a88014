"""Faust's consumer without its bookkeeping of offsets.

It keeps acknowledged offsets message by message and marks gaps as acknowledged before they are
processed; in a batch transport nobody asks for that, or must get an answer.
"""

from collections.abc import Mapping
from typing import Any

from faust.transport.consumer import Consumer as FaustConsumer
from faust.types.tuples import TP


class OffsetlessConsumer(FaustConsumer):
    """Leaves offsets, positions and fetching to others."""

    async def commit(self, *args: Any, **kwargs: Any) -> bool:
        """Do nothing: offsets are committed with what they caused, by the committer."""
        return False

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return False

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Do nothing: a member starts from its committed offsets by itself."""
        return {}

    async def perform_seek(self) -> None:
        """Do nothing, as above."""

    async def _seek(self, partition: TP, offset: int) -> None:
        raise NotImplementedError("agents cannot seek: offsets are committed with their outputs")

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Refuse, as `_seek` does."""
        raise NotImplementedError("agents cannot seek: offsets are committed with their outputs")

    async def position(self, tp: TP) -> int | None:
        """Tell nothing: the poller's position is its own."""
        return None

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Tell nothing: only Faust's tables ask."""
        return {}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Tell nothing: only Faust's tables ask."""
        return {}

    async def _getmany(  # the base's signature
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109
    ) -> Any:
        raise NotImplementedError("records come from the poller")

    def highwater(self, tp: TP) -> int:
        """Tell nothing: only Faust's monitor asks."""
        return 0

    def topic_partitions(self, topic: str) -> int | None:
        """Tell nothing: partitions are chosen by the producer."""
        return None

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def _to_message(self, tp: TP, record: Any) -> Any:
        raise NotImplementedError("records come from the poller")

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> Any:
        """Leave the choice to the producer's partitioner."""
        return partition

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        """Create a topic, through the producer's connection."""
        await self.app.producer.create_topic(*args, **kwargs)
