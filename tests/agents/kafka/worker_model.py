"""A worker in one thread: the real ledger, poller, rebalance, restorer and committer.

What its threads would do is done step by step, when a test says so. The model's own part is what
Faust does in production: an event loop, agents that take a batch, and one that is through with it.
"""

from collections import deque
from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, cast
from unittest.mock import patch
from zlib import crc32

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from faust.types.tuples import TP

from agents.kafka import calls, claim, exactly_once, poller, restorer
from agents.kafka.batch import Batch
from agents.kafka.client_settings import TURNS, KafkaSettings
from agents.kafka.exactly_once import ExactlyOnce
from agents.kafka.in_flight import InFlight
from agents.kafka.poller import Poller
from agents.kafka.rebalance import Rebalance
from agents.kafka.restorer import Restoration, Restorer
from schemas.errors import DeliveryFailed, Fenced
from tests.agents.kafka.broker_model import BrokerModel, ModelProducer, Place
from tests.agents.kafka.fake_transactions import Notes

TOPICS: Final = ("events", "labels")
NUMBERS: Final = range(2)
INPUTS: Final = tuple(TP(topic, number) for topic in TOPICS for number in NUMBERS)
OUT: Final = "out"
DONE: Final = "done"
CHANGELOG: Final = "state"
MAX_IN_FLIGHT: Final = 10

Fold = dict[bytes, int]
"""State of one partition, by key."""


class Killed(BaseException):
    """The process is gone, wherever it was."""


def step(fold: Fold, topic: str, offset: int) -> tuple[bytes, int]:
    """Fold a record into state, so that another order gives another state."""
    key = b"k%d" % (offset % 2)
    after = (fold.get(key, 1) * 31 + crc32(f"{topic}:{offset}".encode())) % 1_000_003
    fold[key] = after
    return key, after


class InputRecord:
    """A record that is nothing but its place."""

    def __init__(self, tp: TP, offset: int) -> None:
        self._tp, self._offset = tp, offset

    def topic(self) -> str:
        return self._tp.topic

    def partition(self) -> int:
        return self._tp.partition

    def offset(self) -> int:
        return self._offset

    def error(self) -> None:
        return None


class ModelConsumer:
    """The group member's partitions, which of them are paused, and how far each is fetched."""

    def __init__(self, broker: BrokerModel, ends: dict[TP, int]) -> None:
        self._broker = broker
        self._ends = ends
        self.place = Place(-1, -1, -1)
        self.assigned: set[TP] = set()
        self.paused: set[TP] = set()
        self.positions: dict[TP, int] = {}
        self.sizes: tuple[int, ...] = ()
        """How many records of each input the next poll finds, at most."""
        self._fetched: list[InputRecord] = []

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        self.callbacks = callbacks

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = tps(partitions)
        self.positions = {}
        self._fetched = []  # as librdkafka does with what it has not handed over
        self._fetch_offsets()

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= tps(partitions)

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= tps(partitions)

    def seek(self, at: TopicPartition) -> None:
        (tp,) = tps([at])
        if tp not in self.positions:
            raise KafkaException(KafkaError(KafkaError._STATE))
        # To fetch earlier records again would double them, to go on later would lose some.
        assert at.offset == self.positions[tp]

    def memberid(self) -> str:
        return str(self.place)

    def consumer_group_metadata(self) -> Place:
        return self.place

    def poll(self, _: float) -> InputRecord | None:
        self._fetch_offsets()
        self._fetched = []
        for tp, size in zip(INPUTS, self.sizes, strict=True):
            if tp in self.positions and tp not in self.paused:
                start = self.positions[tp]
                end = self.positions[tp] = max(start, min(start + size, self._ends[tp]))
                self._fetched += [InputRecord(tp, offset) for offset in range(start, end)]
        return self._fetched.pop(0) if self._fetched else None

    def consume(self, *_: object) -> list[InputRecord]:
        self._broker.happens("consume")
        return self._fetched

    def _fetch_offsets(self) -> None:
        """Start where the group is; an offset in an open transaction is waited for (KIP-447)."""
        for tp in self.assigned - self.positions.keys():
            if self._broker.is_stable([tp]):
                self.positions[tp] = self._broker.committed[tp]


class FoldState:
    """Keyed state whose value is a fold over everything that came (`agents.kafka.keyed_state`)."""

    changelog = CHANGELOG

    def __init__(self) -> None:
        self.folds: dict[int, Fold] = {}

    def begin_restore(self, partition: int) -> "RestoringFold":
        return RestoringFold()

    def install(self, partition: int, restored: Any) -> None:
        self.folds[partition] = restored.fold

    def discard(self, partition: int) -> None:
        self.folds.pop(partition, None)

    def process(self, batch: Batch) -> None:
        for record in batch:
            offset = cast(int, record.offset())
            key, after = step(self.folds[batch.partition], batch.tp.topic, offset)
            told = f"{batch.tp.topic}:{offset}:{after}"
            batch.emit(OUT, told.encode(), partition=batch.partition)
            batch.emit(CHANGELOG, b"%d" % after, key, partition=batch.partition)


class RestoringFold:
    def __init__(self) -> None:
        self.fold: Fold = {}

    def restore(self, key: bytes, value: bytes | None) -> None:
        self.fold[key] = int(value or b"")

    def complete(self) -> None:
        pass


class Worker:
    """One incarnation of one slot's worker.

    Its ledger is closed, so that nothing waits: `ExactlyOnce.run` commits what is finished and
    returns.
    """

    def __init__(self, broker: BrokerModel, slot: int, incarnation: int, ends: dict[TP, int]):
        settings = KafkaSettings(bootstrap="nowhere:1", group="test", slot=slot)
        self.slot = slot
        self.incarnation = incarnation
        self.is_alive = True
        self.is_expelled = False
        self.is_committing = False
        self.may_settle = True
        self.check_in_charge: Callable[[], None] = lambda: None
        """Called before a producer is made anew, which fences whoever has its id."""
        self.check_installed: Callable[[int, Fold], None] = lambda partition, fold: None
        self._broker = broker
        self.consumer = ModelConsumer(broker, ends)
        self.ledger = InFlight(MAX_IN_FLIGHT, shares_state=True)
        self.ledger.close()
        self._poller = Poller(settings, self.ledger, self._on_batches, self._on_error)
        self._state = FoldState()
        self._restorer = Restorer(
            settings, cast(Any, self._state), self._on_restored, lambda restoration: None
        )
        self.rebalance = Rebalance(
            self._settle,
            self.ledger,
            self._restorer,
            self._on_change,
            before_revoke=lambda: None,
            take_over=self._take_over,
        )
        self._poller.subscribe(TOPICS, self.rebalance)
        self._poller._subscribe(self._for_real)
        self._loop: deque[Callable[[], None]] = deque()
        self._assigned: frozenset[TP] = frozenset()
        self._queues: dict[str, deque[Batch]] = {topic: deque() for topic in TOPICS}
        self._running: dict[str, Batch] = {}
        self._committer = ExactlyOnce(
            settings,
            self.ledger,
            self,
            Notes(),
            producer=cast(Any, self._make_producer),
        )
        self._committer.initialise()

    def _make_producer(self, settings: dict[str, Any]) -> ModelProducer:
        self.check_in_charge()
        return self._broker.producer(settings)

    @property
    def _for_real(self) -> Consumer:
        return cast(Consumer, self.consumer)

    @property
    def transactional_ids(self) -> tuple[str, ...]:
        return tuple(f"test-{self.slot}-{turn}" for turn in range(TURNS))

    # ---- the poller's thread -------------------------------------------------------------------

    def join(self, numbers: Collection[int]) -> None:
        """Be told its place and its partitions."""
        self.consumer.place = Place(self.slot, self.incarnation, self._broker.generation)
        partitions = [TopicPartition(topic, n) for topic in TOPICS for n in sorted(numbers)]
        self.consumer.callbacks["on_assign"](self.consumer, partitions)

    def leave(self, *, settles: bool) -> None:
        """Let go of everything, in good time or too slowly."""
        self.may_settle = settles
        self._give_up("on_revoke")

    def learn_of_loss(self) -> None:
        """Hear that everything belongs to others for some time."""
        self._give_up("on_lost")
        self.is_expelled = False

    def _give_up(self, callback: str) -> None:
        if self.rebalance.assigned:
            held = [TopicPartition(*tp) for tp in sorted(self.rebalance.assigned)]
            self.consumer.callbacks[callback](self.consumer, held)
        self.consumer.assigned, self.consumer.positions = set(), {}

    def poll(self, sizes: tuple[int, ...]) -> None:
        self.consumer.sizes = sizes
        self._poller._answer(self._for_real)
        self._poller._wait_for_room(self._for_real)
        self._alive_through(partial(self._poller._poll, self._for_real))

    def _settle(self, consumer: Consumer, tps: Collection[TP]) -> bool:
        if self.may_settle and not self.is_committing:
            self.turn_loop()
            for topic in TOPICS:
                self.let_agent_run(topic, turns=2 * MAX_IN_FLIGHT)
            self.commit()
        return self._poller.settle(consumer, tps)

    # ---- the event loop ------------------------------------------------------------------------

    def turn_loop(self, turns: int = 100) -> None:
        while self._loop and turns:
            self._loop.popleft()()
            turns -= 1

    def let_agent_run(self, topic: str, turns: int = 1) -> None:
        """Let the agent of a topic be through with its batch, or else take the next one."""
        queue = self._queues[topic]
        while turns and (topic in self._running or queue):
            turns -= 1
            if topic in self._running:
                batch = self._running.pop(topic)
                # As Faust's sinks do: what an agent yields is sent before it is through.
                told = b"%d" % batch.next_offset
                batch.emit(f"{DONE}-{topic}", told, partition=batch.partition)
                self.ledger.finish(batch)
            elif (batch := queue.popleft()).is_given_up:
                self.ledger.finish(batch)
            else:
                self.ledger.begin(batch)
                self._running[topic] = batch
                self._state.process(batch)

    def _on_batches(self, batches: list[Batch]) -> None:
        self._loop.append(lambda: self._deliver(batches))

    def _deliver(self, batches: list[Batch]) -> None:
        for batch in batches:
            if batch.tp in self._assigned:
                self._queues[batch.tp.topic].append(batch)
            else:
                self.ledger.finish(batch)

    def _take_over(self, _: object, tps: Collection[TP], __: object) -> dict[TP, int] | None:
        return (
            {tp: self._broker.committed[tp] for tp in tps} if self._broker.is_stable(tps) else None
        )

    def _on_change(self, assigned: frozenset[TP], forgotten: frozenset[int]) -> None:
        def apply() -> None:
            for partition in forgotten:
                self._state.discard(partition)
            self._assigned = assigned

        self._loop.append(apply)

    def _on_restored(self, restoration: Restoration) -> None:
        self._loop.append(lambda: self._install(restoration))

    def _install(self, restoration: Restoration) -> None:
        if not restoration.cancelled.is_set() and restoration.state is not None:
            self._state.install(restoration.partition, restoration.state)
            self.check_installed(restoration.partition, self._state.folds[restoration.partition])
            self._poller.resume_restored(restoration)

    def _on_error(self, error: KafkaError) -> None:
        raise AssertionError(error.str())

    # ---- the restorer's thread -----------------------------------------------------------------

    def restore(self) -> None:
        """Read changelogs back, unless one of them has to be waited for."""
        if self._broker.is_stable(TP(CHANGELOG, number) for number in self.rebalance.restoring):
            self._restorer._waiting.put(None)
            self._alive_through(self._restorer.run)

    # ---- the committer's thread ----------------------------------------------------------------

    def commit(self) -> None:
        """Commit what is finished; whoever cannot go on ends."""
        if self.is_alive and not self.is_committing:
            self.is_committing = True
            self._alive_through(self._committer.run)
            self.is_committing = False

    def group_metadata(self, *, timeout_s: float) -> object | None:
        """Ask the poller, whose thread has a turn meanwhile."""
        self._broker.happens("identity")
        self._poller._tell_metadata(self._for_real)
        place = self._poller.group_metadata(timeout_s=0)
        if place is None:
            self._broker.clock.now += timeout_s
        return place

    def refresh_group_metadata(self) -> None:
        self._poller.refresh_group_metadata()

    def _alive_through(self, run: Callable[[], None]) -> None:
        try:
            run()
        except (Killed, Fenced, DeliveryFailed):
            self.is_alive = False

    def progress(self, at_once: int = 1) -> None:
        """Do everything that can be done."""
        steps: tuple[Callable[[], None], ...] = (
            self.turn_loop,
            self.restore,
            self.turn_loop,
            lambda: self.poll((at_once,) * len(INPUTS)),
            self.turn_loop,
            *(partial(self.let_agent_run, topic, 2 * MAX_IN_FLIGHT) for topic in TOPICS),
            self.commit,
        )
        for act in steps * 3:
            if self.is_alive:
                act()


def tps(partitions: list[TopicPartition]) -> set[TP]:
    return {TP(each.topic, each.partition) for each in partitions}


def on_model(broker: BrokerModel) -> ExitStack:
    """Let the real parts meet the model instead of Kafka, and wait for nothing."""
    patches = ExitStack()
    for module, name, fake in (
        (calls, "time", broker.clock),
        (exactly_once, "time", broker.clock),
        (exactly_once, "committed_offsets", broker.committed_offsets),
        (claim, "transaction_owner", broker.transaction_owner),
        (restorer, "read_to_end", broker.read_to_end),
        (poller, "PATIENCE_S", 0),
        (poller, "SETTLE_TIMEOUT_S", 0),
        (poller, "SETTLE_SLICE_S", 0),
    ):
        patches.enter_context(patch.object(module, name, fake))
    return patches
