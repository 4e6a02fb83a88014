"""Hand partitions over: settle first, let go second; restore first, deliver second.

All of it runs in the poller's thread, inside librdkafka's callbacks.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from faust.types.tuples import TP

from agents.kafka.in_flight import InFlight
from agents.kafka.restorer import Restorer

logger = logging.getLogger(__name__)

SETTLE_TIMEOUT_S: Final = 20.0
"""How long a revoked partition's batches may take to commit; must stay below the time the broker
gives members to rejoin (`max.poll.interval.ms`)."""


class Rebalance:
    """Keeps the set of partitions that are ours, and which of them may flow.

    Parameters
    ----------
    settle
        Waits in the poller's thread until nothing of some partitions is in flight; tells whether
        that came true in time.
    on_change
        Called with the partitions assigned now and those just given up.
    before_revoke
        Called when the batches of revoked partitions are through, while the partitions are
        still ours: the moment to commit stored offsets.
    """

    def __init__(
        self,
        settle: Callable[[Consumer, Collection[TP]], bool],
        in_flight: InFlight,
        restorer: Restorer | None,
        on_change: Callable[[frozenset[TP], frozenset[TP]], None],
        before_revoke: Callable[[], None],
    ) -> None:
        self._settle = settle
        self._in_flight = in_flight
        self._restorer = restorer
        self._on_change = on_change
        self._before_revoke = before_revoke
        self._assigned: frozenset[TP] = frozenset()
        self._restoring: set[int] = set()

    @property
    def assigned(self) -> frozenset[TP]:
        """The partitions that are ours."""
        return self._assigned

    @property
    def restoring(self) -> frozenset[int]:
        """Partition numbers whose state is on its way."""
        return frozenset(self._restoring)

    def on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Take partitions over; those with state stay paused until it is back."""
        tps = _tps(partitions)
        self._assigned |= tps
        consumer.assign(list(partitions))
        if not tps:
            pass
        elif self._restorer is None:
            # librdkafka keeps a pause of ours over revoke and assign.
            consumer.resume(list(partitions))
        else:
            consumer.pause(list(partitions))
            for partition in sorted({tp.partition for tp in tps}):
                self._restoring.add(partition)
                self._restorer.begin(partition)
        logger.info("assigned %s", _text(tps))
        self._on_change(self._assigned, frozenset())

    def on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Let partitions go once everything delivered of them is processed and committed."""
        tps = _tps(partitions)
        if not self._settle(consumer, tps):
            n_dropped = self._in_flight.drop(tps)
            logger.warning(
                "%d records of %s did not commit within %.0f s; their new owner repeats them",
                n_dropped,
                _text(tps),
                SETTLE_TIMEOUT_S,
            )
        self._before_revoke()
        self._give_up(tps)
        logger.info("revoked %s", _text(tps))

    def on_lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Give up partitions that already belong to somebody else: nothing may be committed."""
        tps = _tps(partitions)
        n_dropped = self._in_flight.drop(tps)
        logger.warning("lost %s with %d records in flight", _text(tps), n_dropped)
        self._give_up(tps)

    def take_restored(self, partition: int) -> list[TP]:
        """Note that a partition's state is in use; tell which topics of it may flow now."""
        self._restoring.discard(partition)
        return [tp for tp in self._assigned if tp.partition == partition]

    def _give_up(self, tps: frozenset[TP]) -> None:
        if self._restorer is not None:
            for partition in {tp.partition for tp in tps}:
                self._restoring.discard(partition)
                self._restorer.cancel(partition)
        self._assigned -= tps
        self._on_change(self._assigned, tps)


def _tps(partitions: Sequence[TopicPartition]) -> frozenset[TP]:
    return frozenset(TP(each.topic, each.partition) for each in partitions)


def _text(tps: Collection[TP]) -> str:
    return ", ".join(sorted(f"{tp.topic}:{tp.partition}" for tp in tps)) or "nothing"
