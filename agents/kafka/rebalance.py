"""Hand partitions over: settle first, let go second; restore first, deliver second.

All of it runs in the poller's thread, inside librdkafka's callbacks or between two polls.

Where topics share state, the partitions of one number are a unit: none of them flows while another
one belongs to somebody else, who would change the same state. Incremental assignments may move one
without the others. What stays is held then; once all are here, and nothing of them is in flight,
the state is read back as whoever had the others left it.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from faust.types.tuples import TP

from agents.kafka.in_flight import InFlight
from agents.kafka.restorer import Restorer
from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

SETTLE_TIMEOUT_S: Final = 20.0
"""How long a revoked partition's batches may take to commit; must stay below the time the broker
gives members to rejoin (`max.poll.interval.ms`)."""

SPLIT_TIMEOUT_S: Final = 90.0
"""How long some partitions of a number may be here and others not; longer than the broker waits for
a member that is gone, and longer than one may take to let go."""

Offsets = Mapping[TP, int]


class Rebalance:
    """Keeps the set of partitions that are ours, and which of them wait for their state.

    The classic protocol revokes everything and assigns most of it again a moment later. The state
    of what was revoked in order is kept until then, and used on if nobody committed in between:
    partitions that stay are not restored.

    `topics` are those that the group reads, and that share state if there is any.

    Parameters
    ----------
    settle
        Waits in the poller's thread until nothing of some partitions is in flight; tells whether
        that came true in time.
    on_change
        Called with the partitions assigned now and the numbers whose state is to be forgotten.
    before_revoke
        Called when the batches of revoked partitions are through, while the partitions are
        still ours: the moment to commit stored offsets.
    take_over
        Called with the consumer, the partitions just assigned, and the numbers of those whose state
        is not here; tells their committed offsets, or that these are not to be had soon.
    incremental
        Whether assignments add to what is there (cooperative, KIP-848) or replace it.
    renew
        Called with a reason when partitions that stay have to begin anew at their committed
        offsets, which takes a new consumer.
    """

    def __init__(
        self,
        settle: Callable[[Consumer, Collection[TP]], bool],
        in_flight: InFlight,
        restorer: Restorer | None,
        on_change: Callable[[frozenset[TP], frozenset[int]], None],
        *,
        before_revoke: Callable[[], None],
        take_over: Callable[[Consumer, Collection[TP], Collection[int]], Offsets | None],
        incremental: bool = False,
        renew: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._settle = settle
        self._in_flight = in_flight
        self._restorer = restorer
        self._on_change = on_change
        self._before_revoke = before_revoke
        self._take_over = take_over
        self._incremental = incremental
        self._renew = renew
        self.topics: frozenset[str] = frozenset()
        self._assigned: frozenset[TP] = frozenset()
        self._restoring: set[int] = set()
        self._not_begun: dict[int, float] = {}
        """Those of them that are not whole or not settled yet, and since when."""
        self._began_at: dict[TP, int | None] = {}
        """Committed offsets as of the assignment; a partition is missing if they are not known."""
        self._kept: dict[int, dict[TP, int | None]] = {}
        """Revoked partitions whose state is still here, and the offsets that it stands at."""

    @property
    def assigned(self) -> frozenset[TP]:
        """The partitions that are ours."""
        return self._assigned

    @property
    def restoring(self) -> frozenset[int]:
        """Partition numbers whose state is on its way."""
        return frozenset(self._restoring)

    @property
    def waiting(self) -> frozenset[TP]:
        """The partitions that are ours but may not flow yet."""
        return frozenset(tp for tp in self._assigned if tp.partition in self._restoring)

    def positions(self) -> dict[TP, int]:
        """Tell the committed offsets of partitions that may flow, as far as they are known."""
        through, began_at = self._in_flight.through, self._began_at
        found: dict[TP, int] = {}
        for tp in self._assigned:
            at = through(tp)
            if tp.partition not in self._restoring and (at is not None or tp in began_at):
                found[tp] = (began_at.get(tp) or 0) if at is None else at
        return found

    def began_at(self, tps: Collection[TP]) -> dict[TP, int]:
        """Tell the committed offsets of partitions as of their assignment, where there were any."""
        return {tp: at for tp in tps if (at := self._began_at.get(tp)) is not None}

    def on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Take partitions over; those whose state is not here wait until it is."""
        tps = _tps(partitions)
        self._assigned |= tps
        if not self._incremental:
            consumer.assign(list(partitions))
        elif partitions:
            consumer.incremental_assign(list(partitions))
        kept, self._kept = self._kept, {}
        current: set[int] = set()
        if tps:
            offsets = self._take_over(consumer, tps, {tp.partition for tp in tps} - kept.keys())
            if offsets is not None:
                self._began_at |= {tp: offsets.get(tp) for tp in tps}
                current = {
                    number
                    for number, stands_at in kept.items()
                    if stands_at == {tp: offsets.get(tp) for tp in tps if tp.partition == number}
                }
        logger.info("assigned %s", _text(tps))
        # First: what is restored must not be forgotten again.
        self._on_change(self._assigned, frozenset(kept.keys() - current))
        if self._restorer is not None:
            for number in sorted({tp.partition for tp in tps} - current):
                if self._incremental and not self._unit(number) <= tps:
                    self._hold_back(number)
                else:
                    self._restoring.add(number)
                    self._restorer.begin(number)

    def on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Let partitions go once everything delivered of them is processed and committed."""
        tps, began_at_s = _tps(partitions), time.monotonic()
        is_settled = self._settle(consumer, tps)
        if not is_settled:
            n_dropped = self._drop(tps)
            logger.warning(
                "%d records of %s did not commit within %.1f s; their new owner repeats them",
                n_dropped,
                _text(tps),
                time.monotonic() - began_at_s,  # less than it may take if the worker is ending
            )
        self._before_revoke()
        if is_settled:
            self._keep(tps)
        self._give_up(tps)
        logger.info("revoked %s", _text(tps))

    def on_lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Give up partitions that already belong to somebody else: nothing may be committed."""
        self.lose(_tps(partitions))

    def lose(self, tps: frozenset[TP]) -> None:
        """Give up partitions; what of them is in flight is not committed."""
        n_dropped = self._drop(tps)
        logger.warning("lost %s with %d records in flight", _text(tps), n_dropped)
        self._give_up(tps)

    def take_restored(self, partition: int) -> None:
        """Note that a partition's state is in use."""
        self._restoring.discard(partition)

    def begin_restoring(self) -> None:
        """Begin with what was held back, once it is whole and nothing of it is in flight.

        Raises
        ------
        DeliveryFailed
            Partitions that share state were given to different members, and stay so.
        """
        for number, since_s in list(self._not_begun.items()):
            unit = self._unit(number)
            if missing := unit - self._assigned:
                if time.monotonic() - since_s > SPLIT_TIMEOUT_S:
                    raise DeliveryFailed(
                        f"{_text(unit - missing)} and {_text(missing)} share their state, and the"
                        " group gave them to different workers; with THALWEG_REBALANCING=range"
                        " topics that have as many partitions stay together"
                    )
            elif self._restorer is not None and not any(map(self._in_flight.n_records_of, unit)):
                del self._not_begun[number]
                self._restorer.begin(number)

    def _unit(self, number: int) -> frozenset[TP]:
        return frozenset(TP(topic, number) for topic in self.topics)

    def _hold_back(self, number: int) -> None:
        """Let nothing of a number flow until all of it is here, and its state is read back."""
        self._restoring.add(number)
        self._not_begun[number] = time.monotonic()

    def _drop(self, tps: frozenset[TP]) -> int:
        """Give up what is in flight of partitions, and what was computed on that state since."""
        numbers = {tp.partition for tp in tps}
        siblings = {tp for tp in self._assigned - tps if tp.partition in numbers}
        if self._restorer is not None and self._in_flight.drop(siblings):
            self._renew(f"{_text(siblings)} shared the state of what was given up")
        return self._in_flight.drop(tps)

    def _keep(self, tps: frozenset[TP]) -> None:
        """Note where the state of partitions stands that is whole and known to be."""
        split = {tp.partition for tp in self._assigned - tps}
        for number in {tp.partition for tp in tps} - self._restoring - split:
            revoked = [tp for tp in tps if tp.partition == number]
            if all(tp in self._began_at for tp in revoked):
                self._kept[number] = {
                    tp: self._began_at[tp] if (at := self._in_flight.through(tp)) is None else at
                    for tp in revoked
                }

    def _give_up(self, tps: frozenset[TP]) -> None:
        self._assigned -= tps
        numbers = {tp.partition for tp in tps}
        split = numbers & {tp.partition for tp in self._assigned}
        if self._restorer is not None:
            for number in numbers:
                self._restoring.discard(number)
                self._not_begun.pop(number, None)
                self._restorer.cancel(number)
            for number in split:
                self._hold_back(number)
        for tp in tps:
            self._began_at.pop(tp, None)
        self._in_flight.forget(tps)
        # What is in flight of a number that was split still needs its state.
        self._on_change(self._assigned, frozenset(numbers - split - self._kept.keys()))


def _tps(partitions: Sequence[TopicPartition]) -> frozenset[TP]:
    return frozenset(TP(each.topic, each.partition) for each in partitions)


def _text(tps: Collection[TP]) -> str:
    return ", ".join(sorted(f"{tp.topic}:{tp.partition}" for tp in tps)) or "nothing"
