"""The thread that owns the librdkafka consumer.

No other thread touches the consumer: confluent-kafka serialises its calls with an unfair lock, and
a call from elsewhere can wait for seconds under a busy poll loop. What others need of it, they
ask for here and the poller answers between two polls.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from faust.types.tuples import TP

from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.departure import leave_group
from agents.kafka.in_flight import InFlight
from agents.kafka.rebalance import SETTLE_TIMEOUT_S, Rebalance
from agents.kafka.restorer import Restoration
from schemas.errors import DeliveryFailed

POLL_S: Final = 0.1
"""Also how often librdkafka is woken up: see `_nudge`."""
PATIENCE_S: Final = 1.0
"""How long a full ledger is waited for before fetching is paused (which drops the prefetch)."""

SETTLE_SLICE_S: Final = 0.05
"""How often the committer is answered while a rebalance waits for it."""

RIVAL_S: Final = 15.0
LOSSES: Final = 3
"""A member that loses its place so often within `RIVAL_S` has a rival, not a bad connection."""
RENEWAL_PAUSE_S: Final = 0.2

Deliver = Callable[[list[Batch]], None]


class _PlaceLost(Exception):
    """The consumer is of no use any more: its place in the group went to somebody else."""


class Poller:
    """Fetches records, groups them into batches and hands them to the event loop.

    A consumer that lost its place in the group, because the broker or this process was away for
    longer than a session, is replaced by a new one.

    Parameters
    ----------
    deliver
        Called with the batches of each poll; must not block.
    on_consumer_error
        Called with errors that heal by themselves, to be logged.
    on_settle
        Called again and again while it is waited for what is in flight.
    before_joining
        Called by a consumer that has not joined the group yet; raises if it is not to.
    before_rejoining
        Called when our place went to somebody else; raises if it is not to be taken back.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        in_flight: InFlight,
        deliver: Deliver,
        on_consumer_error: Callable[[KafkaError], None],
        *,
        on_settle: Callable[[], None] = lambda: None,
        before_joining: Callable[[], None] = lambda: None,
        before_rejoining: Callable[[], None] = lambda: None,
        consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        self._settings = settings
        self._in_flight = in_flight
        self._deliver = deliver
        self._on_consumer_error = on_consumer_error
        self._on_settle = on_settle
        self._before_joining = before_joining
        self._before_rejoining = before_rejoining
        self._make_consumer = consumer
        self._requests: list[Callable[[Consumer], None]] = []
        self._requests_lock = threading.Lock()
        self._metadata: object | None = None
        self._metadata_known = threading.Event()
        self._offsets: dict[TP, int] = {}
        self._paused: frozenset[TP] = frozenset()
        """What librdkafka was told to hold back."""
        self._next_offset: dict[TP, int] = {}
        """Where partitions of ours go on, as far as that is known."""
        self._gone: set[TP] = set()
        """Partitions that went since the last record was taken."""
        self._nudged_at_s = 0.0
        self._crowded: frozenset[TP] = frozenset()
        """Who had more than their share in flight when the ledger was found full."""
        self._closing = threading.Event()
        self._is_member = False
        self._renewal: str | None = None
        self._lost_at_s: list[float] = []
        self._n_polled = 0
        self.turn_at_s = math.inf
        """When the thread began its last turn, as a sign of life; before it starts: never mind."""

    # ---- asked for by other threads ------------------------------------------------------------

    def subscribe(self, topics: Iterable[str], rebalance: Rebalance) -> None:
        """Join the group for these topics."""
        self._topics = sorted(topics)
        self._rebalance = rebalance
        rebalance.topics = frozenset(self._topics)
        if self._is_member:
            self._ask(self._subscribe)

    def resume_restored(self, restoration: Restoration) -> None:
        """Let a partition flow whose state is in use."""

        def resume(_: Consumer) -> None:
            # Else the partition went meanwhile; if it is back, its state is not.
            if not restoration.cancelled.is_set():
                self._rebalance.take_restored(restoration.partition)

        self._ask(resume)

    def renew(self, reason: str) -> None:
        """Leave the group and join it again with a new consumer, which may cure an old one."""
        self._renewal = reason

    def group_metadata(self, *, timeout_s: float) -> object | None:
        """Tell the member's identity in its group, as of the last assignment."""
        return self._metadata if self._metadata_known.wait(timeout_s) else None

    def refresh_group_metadata(self) -> None:
        """Say that the metadata was stale; the next answer is fresh."""
        self._metadata_known.clear()

    def store_offset(self, batch: Batch) -> None:
        """Commit a batch's offset soon (at least once)."""
        self._offsets[batch.tp] = batch.next_offset

    def commit_stored(self) -> None:
        """Commit stored offsets now. Called in the poller's own thread, from its callbacks."""
        self._store_offsets(self._consumer)
        try:
            self._consumer.commit(asynchronous=False)
        except KafkaException as exception:
            if exception.args[0].code() != KafkaError._NO_OFFSET:
                self._on_consumer_error(exception.args[0])

    def close(self) -> None:
        """Ask the thread to end: stop fetching, settle, leave."""
        self._closing.set()

    # ---- the thread ----------------------------------------------------------------------------

    def run(self) -> None:
        """Poll until closed; then wait for what is in flight and leave the group."""
        try:
            while not self._closing.is_set():
                self._be_member()
        finally:
            self._in_flight.close()

    def _be_member(self) -> None:
        """Be a member of the group until closed, or until a new consumer has to take over."""
        self._renewal = None
        self.turn_at_s = time.monotonic()
        consumer = self._consumer = self._make_consumer(self._settings.consumer())
        try:
            self._before_joining()
            self._subscribe(consumer)
            self._is_member = True
            while not self._closing.is_set() and self._renewal is None:
                self.turn_at_s = time.monotonic()
                self._answer(consumer)
                self._wait_for_room(consumer)
                self._nudge(consumer)
                self._poll(consumer)
            self.settle(consumer, self._rebalance.assigned)
            if self._settings.delivery == "at_least_once":
                self.commit_stored()
            if self._closing.is_set():
                self._in_flight.close()
                leave_group(self._settings, consumer)
        except _PlaceLost as lost:
            now_s = time.monotonic()
            self._lost_at_s = [at_s for at_s in self._lost_at_s if now_s - at_s < RIVAL_S] + [now_s]
            if len(self._lost_at_s) == LOSSES:
                raise DeliveryFailed(f"another worker runs as {self._settings.identity}") from lost
            self._rebalance.lose(self._rebalance.assigned)
            self._before_rejoining()
            self._closing.wait(RENEWAL_PAUSE_S)
        finally:
            consumer.close()
            self._paused = self._crowded = frozenset()
            self._next_offset.clear()

    def settle(self, consumer: Consumer, tps: Collection[TP]) -> bool:
        """Wait until nothing of these partitions is in flight; tell whether that came true.

        Meanwhile the committer is answered: it may have to try again under a fresh identity.
        """
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while not self._in_flight.settle(tps, timeout_s=SETTLE_SLICE_S):
            self._on_settle()
            self.turn_at_s = time.monotonic()
            if self._in_flight.is_closed or self.turn_at_s > deadline:
                return False
            self._tell_metadata(consumer)
        return True

    def _subscribe(self, consumer: Consumer) -> None:
        consumer.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._metadata_known.clear()
        self._tell_metadata(consumer)  # what stays commits on while it is looked after what came
        self._rebalance.on_assign(consumer, partitions)
        tps = {TP(each.topic, each.partition) for each in partitions}
        # Of these nothing is in flight yet: they go on where they are committed.
        self._next_offset |= self._rebalance.began_at(tps)
        # librdkafka keeps a pause of ours over revoke and assign: tell it anew of all.
        consumer.resume(partitions)
        self._paused -= tps
        self._hold(consumer)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalance.on_revoke(consumer, partitions)
        self._go_without(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalance.on_lost(consumer, partitions)
        self._go_without(consumer, partitions)

    def _go_without(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        tps = {TP(each.topic, each.partition) for each in partitions}
        self._gone |= tps
        for tp in tps:
            self._next_offset.pop(tp, None)
        self._hold(consumer)  # what stays may have to wait for what went

    def _tell_metadata(self, consumer: Consumer) -> None:
        if not self._metadata_known.is_set() and self._rebalance.assigned:
            self._metadata = consumer.consumer_group_metadata()
            self._metadata_known.set()

    def _poll(self, consumer: Consumer) -> None:
        # `consume(n, timeout)` would wait for n records or the whole timeout.
        first = consumer.poll(POLL_S)
        self._tell_metadata(consumer)
        if first is None:
            return
        if self._n_polled < self._settings.max_batch // 4:
            self._in_flight.wait_until_empty(timeout_s=self._settings.gather_s)
        self._gone.clear()
        messages = [first, *consumer.consume(self._settings.max_batch - 1, 0)]
        # librdkafka takes back what a rebalance makes void while it gathers, but not what we have:
        # if its partition is ours again by now, it comes again.
        if (first.topic(), first.partition()) in self._gone:
            del messages[0]
        by_partition: defaultdict[tuple[Any, Any], list[Message]] = defaultdict(list)
        for message in messages:
            error = message.error()
            if error is None:
                # Equal to its `TP`, and made in a fraction of the time.
                by_partition[message.topic(), message.partition()].append(message)
            else:
                self._judge(error)
        assigned, waiting = self._rebalance.assigned, self._rebalance.waiting
        batches = []
        for tp, records in by_partition.items():
            if tp in waiting:  # since just now; it goes on with these once it may flow
                self._next_offset[TP(*tp)] = records[0].offset() or 0
            elif tp in assigned:
                batches.append(Batch(TP(*tp), records, (records[-1].offset() or 0) + 1))
        self._n_polled = sum(len(batch) for batch in batches)
        for batch in batches:
            self._in_flight.add(batch)
            self._next_offset[batch.tp] = batch.next_offset
        self._deliver(batches)

    def _answer(self, consumer: Consumer) -> None:
        if self._requests:
            with self._requests_lock:
                requests, self._requests = self._requests, []
            for request in requests:
                request(consumer)
            self._hold(consumer)
        self._rebalance.begin_restoring()
        if self._offsets:
            self._store_offsets(consumer)

    def _ask(self, request: Callable[[Consumer], None]) -> None:
        with self._requests_lock:
            self._requests.append(request)

    def _store_offsets(self, consumer: Consumer) -> None:
        while self._offsets:
            tp, offset = self._offsets.popitem()
            if tp in self._rebalance.assigned:
                consumer.store_offsets(offsets=[TopicPartition(*tp, offset)])

    def _wait_for_room(self, consumer: Consumer) -> None:
        """Wait while too much is in flight; if that lasts, hold back those who have too much.

        Whoever has less than an equal share flows on, past a slow agent of another topic.
        """
        ledger = self._in_flight
        if ledger.has_room or ledger.wait_for_room(timeout_s=0 if self._crowded else PATIENCE_S):
            if self._crowded:
                self._crowded = frozenset()
                self._hold(consumer)
        elif assigned := self._rebalance.assigned:
            self._on_settle()  # what is held takes the room of what comes
            share = ledger.max_records / len(assigned)
            # Who was held back flows again at half of its share: a pause drops the prefetch.
            crowded = frozenset(
                tp
                for tp in assigned
                if ledger.n_records_of(tp) >= (share / 2 if tp in self._crowded else share)
            )
            if crowded != self._crowded:
                self._crowded = crowded
                self._hold(consumer)

    def _hold(self, consumer: Consumer) -> None:
        """Pause what may not flow, and let flow again what was paused and may."""
        assigned = self._rebalance.assigned
        wanted = self._rebalance.waiting | (self._crowded & assigned)
        if pause := wanted - self._paused:
            consumer.pause([TopicPartition(*tp) for tp in pause])
        if resume := (self._paused - wanted) & assigned:
            consumer.resume([TopicPartition(*tp) for tp in resume])
            for tp in resume:
                self._wake_fetcher(consumer, tp)
        self._paused = wanted

    def _wake_fetcher(self, consumer: Consumer, tp: TP) -> None:
        """Let records of a partition come at once that was resumed.

        The thread that fetches them notices whenever it wakes up, within a second. A seek wakes it
        up; it goes where the partition goes on anyway.
        """
        # `consumer.position` knows nothing between a seek and the next record.
        if (offset := self._next_offset.get(tp)) is None:
            return
        try:
            consumer.seek(TopicPartition(*tp, offset))
        except KafkaException as exception:
            if exception.args[0].code() != KafkaError._STATE:  # it has not begun, and will
                raise

    def _nudge(self, consumer: Consumer) -> None:
        """Wake up librdkafka's main thread, that it may send a heartbeat which is due.

        It sleeps for up to a second when nobody asks it anything, and heartbeats are how a member
        learns of a rebalance, which waits for it.
        """
        if self.turn_at_s - self._nudged_at_s >= POLL_S:
            self._nudged_at_s = self.turn_at_s
            consumer.memberid()

    def _judge(self, error: KafkaError) -> None:
        # A member that was fenced out of its group learns it as `_FATAL`, without `fatal()`.
        if error.code() == KafkaError._FATAL or error.fatal():
            self._on_consumer_error(error)
            raise _PlaceLost(error.str())
        self._on_consumer_error(error)
