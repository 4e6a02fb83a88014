"""A model of what a broker promises: transactions by producer epoch, offsets by group generation.

Stricter than `fake_transactions`: several producers at once, logs with open transactions in them,
members that do not know yet that they were expelled, and requests that arrive late.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, get_args

from confluent_kafka import OFFSET_BEGINNING, KafkaError
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.ownership import Ownership
from tests.agents.kafka.fake_transactions import Clock, failure

Point = Literal[
    "consume",
    "identity",
    "begin",
    "produce",
    "offsets",
    "commit",
    "ended",
    "abort",
    "init",
    "witness",
    "read",
]
"""Where a worker may be when something happens to it: within which call to the broker."""
Fate = Literal[
    "undelivered",
    "offsets refused",
    "offsets unknown",
    "rebalancing",
    "rebalancing, abort slow",
    "aborted",
    "abort slow",
    "abort unknown",
    "unknown, committed",
    "unknown, late",
    "unknown, never",
    "slow",
]
"""What becomes of a transaction that does not go well."""
POINTS: Final[tuple[Point, ...]] = get_args(Point)
FATES: Final[tuple[Fate, ...]] = get_args(Fate)
LONG_S: Final = 2.0
"""Long enough for librdkafka to have sent a request twice."""


class Place(NamedTuple):
    """A member's identity in its group, as it knows it."""

    slot: int
    incarnation: int
    generation: int


@dataclass(eq=False)
class Transaction:
    owner: str
    status: Literal["open", "committed", "aborted"] = "open"
    offsets: dict[TP, int] = field(default_factory=dict)


class Entry(NamedTuple):
    """A record in a log, and the transaction that decides whether it is one."""

    key: bytes | None
    value: bytes | None
    transaction: Transaction


class LateEnd(NamedTuple):
    """An EndTxn that is still on its way, perhaps for the second time."""

    owner: str
    epoch: int
    commits: bool


class BrokerModel:
    """Logs, transactional ids and one consumer group."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.fates: list[Fate] = []
        """Of the next transactions; then all goes well."""
        self.happens: Callable[[Point], None] = lambda point: None
        """Called within a worker's calls, for the world to go on meanwhile."""
        self.logs: defaultdict[TP, list[Entry]] = defaultdict(list)
        self.committed: defaultdict[TP, int] = defaultdict(int)
        self.epochs: defaultdict[str, int] = defaultdict(int)
        self.states: defaultdict[str, str] = defaultdict(lambda: "Empty")
        """How the last transaction of an id ended, since it was initialised."""
        self.open: dict[str, Transaction] = {}
        self.last: dict[str, Transaction] = {}
        self.late: list[LateEnd] = []
        self.generation = 0
        self.members: dict[int, int] = {}
        """Incarnation by slot."""

    # ---- transactions --------------------------------------------------------------------------

    def producer(self, settings: dict[str, Any]) -> "ModelProducer":
        return ModelProducer(self, settings["transactional.id"])

    def transaction_owner(
        self, settings: KafkaSettings, turn: int, *, timeout_s: float
    ) -> Ownership:
        owner = settings.transactional_id(turn)
        state = "Ongoing" if owner in self.open else self.states[owner]
        return Ownership(1, self.epochs[owner], state)

    def end(self, owner: str, *, commits: bool) -> None:
        transaction = self.last[owner] = self.open.pop(owner)
        transaction.status = "committed" if commits else "aborted"
        self.states[owner] = "CompleteCommit" if commits else "CompleteAbort"
        if commits:
            for tp, offset in transaction.offsets.items():
                assert offset > self.committed[tp], "a batch was committed twice or out of order"
                self.committed[tp] = offset

    def time_out(self, owner: str) -> None:
        """What the broker does to a transaction that is open for too long."""
        if owner in self.open:
            self.epochs[owner] += 1
            self.end(owner, commits=False)

    def deliver_late(self, *, harmful: bool = False) -> None:
        """Let each late EndTxn arrive: it ends whatever its producer has open by now.

        `harmful` lets those alone arrive whose producer has something open.
        """
        late, self.late = self.late, []
        for each in late:
            if harmful and each.owner not in self.open:
                self.late.append(each)
            elif each.epoch == self.epochs[each.owner] and each.owner in self.open:
                self.end(each.owner, commits=each.commits)

    # ---- what readers see ----------------------------------------------------------------------

    def is_stable(self, tps: Iterable[TP]) -> bool:
        """Whether no open transaction holds records or offsets of these partitions."""
        wanted = set(tps)
        return not any(
            any(tp in transaction.offsets for tp in wanted)
            or any(entry.transaction is transaction for tp in wanted for entry in self.logs[tp])
            for transaction in self.open.values()
        )

    def visible(self, tp: TP) -> list[Entry]:
        return [entry for entry in self.logs[tp] if entry.transaction.status == "committed"]

    def committed_offsets(self, _: object, tps: set[TP], *, timeout_s: float) -> dict[TP, int]:
        self.happens("witness")
        for owner in [o for o, each in self.open.items() if tps & each.offsets.keys()]:
            self.time_out(owner)  # stable offsets were asked for: they are waited for
        return {tp: self.committed[tp] for tp in tps if tp in self.committed}

    def read_to_end(
        self,
        _: object,
        tp: TP,
        *,
        start: int,
        progress: Callable[[int, int, int], None],
        cancelled: Callable[[], bool],
    ) -> Iterator[tuple[int, bytes | None, bytes | None]]:
        """Read a changelog, compacted, from its beginning."""
        assert start == OFFSET_BEGINNING
        assert self.is_stable([tp])
        newest = {entry.key: entry.value for entry in self.visible(tp)}
        self.happens("read")
        for offset, (key, value) in enumerate(newest.items()):
            if cancelled():
                return
            yield offset, key, value


class ModelProducer:
    """As much of `confluent_kafka.Producer` as the committer uses."""

    def __init__(self, broker: BrokerModel, owner: str) -> None:
        self._broker = broker
        self._owner = owner
        self._epoch = -1
        self._fate: Fate | None = None

    def list_topics(self, *, timeout: float) -> None:
        """Be connected at once."""

    def init_transactions(self, _: float) -> None:
        broker, owner = self._broker, self._owner
        broker.happens("init")
        broker.time_out(owner)  # what is open is ended in the same way, and counted
        broker.epochs[owner] += 1
        broker.states[owner] = "Empty"
        self._epoch = broker.epochs[owner]

    def poll(self, _: float) -> int:
        return 0

    def begin_transaction(self) -> None:
        self._broker.happens("begin")
        self._fate = self._broker.fates.pop(0) if self._broker.fates else None

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        headers: object = None,
    ) -> None:
        self._broker.happens("produce")
        transaction = self._transaction()
        self._broker.logs[TP(topic, partition)].append(Entry(key, value, transaction))

    def flush(self, _: float) -> int:
        self._in_charge()
        return int(self._fate == "undelivered")

    def send_offsets_to_transaction(self, offsets: Any, place: Place, _: float) -> None:
        broker = self._broker
        broker.happens("offsets")
        transaction = self._transaction()
        if self._fate in ("rebalancing", "rebalancing, abort slow"):
            raise failure(KafkaError.REBALANCE_IN_PROGRESS, txn_requires_abort=True)
        if self._fate == "offsets refused":
            raise failure(KafkaError.INVALID_TXN_STATE, txn_requires_abort=True)
        if broker.members.get(place.slot) != place.incarnation:
            raise failure(KafkaError.FENCED_INSTANCE_ID, txn_requires_abort=True)
        if place.generation != broker.generation:
            raise failure(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
        for each in offsets:
            transaction.offsets[TP(each.topic, each.partition)] = each.offset
        if self._fate == "offsets unknown":
            raise failure(KafkaError._TIMED_OUT, retriable=True)

    def commit_transaction(self, _: float) -> None:
        broker = self._broker
        broker.happens("commit")
        self._in_charge()
        if self._fate in ("aborted", "abort slow", "abort unknown"):
            raise failure(KafkaError.INVALID_TXN_STATE, txn_requires_abort=True)
        if self._fate in ("unknown, late", "slow"):
            broker.late.append(LateEnd(self._owner, self._epoch, commits=True))
        if self._fate not in ("unknown, late", "unknown, never"):
            self._end(commits=True)
        broker.happens("ended")
        if self._fate == "slow":
            broker.clock.now += LONG_S
        elif self._fate is not None and self._fate.startswith("unknown"):
            raise failure(KafkaError._TIMED_OUT, retriable=True)

    def abort_transaction(self, _: float) -> None:
        broker = self._broker
        broker.happens("abort")
        self._in_charge()
        is_slow = self._fate in ("abort slow", "rebalancing, abort slow")
        if is_slow or self._fate == "abort unknown":
            broker.late.append(LateEnd(self._owner, self._epoch, commits=False))
        if self._fate != "abort unknown":
            self._end(commits=False)
        if is_slow:
            broker.clock.now += LONG_S
        elif self._fate == "abort unknown":
            raise failure(KafkaError._TIMED_OUT, retriable=True)

    def _end(self, *, commits: bool) -> None:
        """End what is open; said again of what has ended, it must be the same."""
        broker, owner = self._broker, self._owner
        if owner in broker.open:
            broker.end(owner, commits=commits)
        elif owner in broker.last and commits != (broker.last[owner].status == "committed"):
            raise failure(KafkaError.INVALID_TXN_STATE, txn_requires_abort=commits)

    def _transaction(self) -> Transaction:
        """The open transaction. If a late request ended it, the broker begins another, unasked."""
        self._in_charge()
        return self._broker.open.setdefault(self._owner, Transaction(self._owner))

    def _in_charge(self) -> None:
        if self._epoch != self._broker.epochs[self._owner]:
            raise failure(KafkaError._FENCED, fatal=True)
