"""A broker's transactions in memory, with the failures that the real one shows too rarely."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Literal, cast

from confluent_kafka import KafkaError, KafkaException
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.ownership import Ownership

Fate = Literal[
    "ok",
    "slow",
    "error meanwhile",
    "stale",
    "aborted",
    "abort fails",
    "abort is slow",
    "unknown, committed",
    "unknown, committed late",
    "unknown, aborted",
    "hangs",
    "hangs, committed",
    "fenced",
]


def failure(code: int, **flags: bool) -> KafkaException:
    return KafkaException(KafkaError(code, "as the test wants it", **flags))


class Clock:
    """Stands still unless somebody sleeps, or moves it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeBroker:
    """Some transactional ids, and the group whose offsets their transactions carry."""

    def __init__(self) -> None:
        self.fates: deque[Fate] = deque()
        """Of the next transactions; then all goes well."""
        self.committed: defaultdict[TP, int] = defaultdict(int)
        self.outputs: list[tuple[Any, ...]] = []
        self.n_witnessed = 0
        """How often committed offsets were asked for."""
        self.epochs: defaultdict[object, int] = defaultdict(int)
        """By transactional id."""
        self.generation = 0
        self.pending: Transaction | None = None
        self.clock = Clock()
        self.released = threading.Event()
        """Lets calls go that hang."""

    @property
    def n_replaced(self) -> int:
        """Tell how many producers were made for an id that had one."""
        return sum(self.epochs.values()) - len(self.epochs)

    def hang(self) -> KafkaException:
        """Stand still until released, long past any timeout; tell what a caller hears then."""
        self.clock.now += 60
        assert self.released.wait(30)
        return failure(KafkaError._TIMED_OUT, retriable=True)

    def producer(self, settings: dict[str, object]) -> "FakeProducer":
        self.settings = settings
        made = FakeProducer(self, settings["transactional.id"])
        made.on_error = cast(Callable[[KafkaError], None], settings["error_cb"])
        return made

    def committed_offsets(self, _: object, tps: set[TP], *, timeout_s: float) -> dict[TP, int]:
        assert self.pending is None, "offsets of an open transaction are not stable"
        self.n_witnessed += 1
        return {tp: self.committed[tp] for tp in tps if tp in self.committed}

    def transaction_owner(
        self, settings: KafkaSettings, turn: int, *, timeout_s: float
    ) -> Ownership:
        return Ownership(1, self.epochs[settings.transactional_id(turn)])


class Transaction:
    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.outputs: list[tuple[Any, ...]] = []
        self.offsets: dict[TP, int] = {}
        self.flushed = 0
        self.fate: Fate = "ok"

    def commit(self, broker: FakeBroker) -> None:
        broker.outputs += self.outputs
        for tp, offset in self.offsets.items():
            assert offset > broker.committed[tp], "a batch was committed twice or out of order"
            broker.committed[tp] = offset


class FakeProducer:
    """As much of `confluent_kafka.Producer` as the committer uses."""

    def __init__(self, broker: FakeBroker, identity: object) -> None:
        self._broker = broker
        self._identity = identity
        self._epoch = -1
        self._buffer_is_full = False
        self._unheard: list[KafkaError] = []
        self._fatal: KafkaException | None = None
        self.on_error: Callable[[KafkaError], None] = self._unheard.append
        self.identities: set[str] = set()

    def list_topics(self, *, timeout: float) -> None:
        """Be connected at once."""

    def init_transactions(self, _: float) -> None:
        broker = self._broker
        broker.epochs[self._identity] += 1
        self._epoch = broker.epochs[self._identity]
        if broker.pending is not None and broker.pending.owner == self._identity:
            if broker.pending.fate == "unknown, committed late":
                broker.pending.commit(broker)
            broker.pending = None

    def begin_transaction(self) -> None:
        assert self._broker.pending is None, "the last transaction was left open"
        self._in_charge()
        transaction = self._broker.pending = Transaction(self._identity)
        if self._broker.fates:
            transaction.fate = self._broker.fates.popleft()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        *,
        headers: object = None,
    ) -> None:
        self._open.outputs.append((topic, value, key, partition, headers))

    def poll(self, _: float) -> int:
        """Hand over errors; only then are they known. A fatal one is raised, once."""
        if self._fatal is not None:
            fatal, self._fatal = self._fatal, None
            raise fatal
        unheard, self._unheard = self._unheard, []
        for error in unheard:
            self.on_error(error)
        return len(unheard)

    def flush(self, _: float) -> int:
        self._open.flushed = len(self._open.outputs)
        return 0

    def send_offsets_to_transaction(self, offsets: Any, metadata: object, _: float) -> None:
        if metadata != self._broker.generation:
            raise failure(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
        for each in offsets:
            self._open.offsets[TP(each.topic, each.partition)] = each.offset
            self.identities.add(each.metadata)
        if self._open.fate == "hangs":
            raise self._broker.hang()

    def commit_transaction(self, _: float) -> None:
        broker, transaction = self._broker, self._open
        assert transaction.flushed == len(transaction.outputs), "without a flush it takes 100 ms"
        match transaction.fate:
            case "aborted":
                raise failure(KafkaError.INVALID_TXN_STATE, txn_requires_abort=True)
            case "stale" | "abort fails" | "abort is slow":
                raise failure(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)
            case "fenced":
                self._fatal = failure(KafkaError._FENCED, fatal=True)
                raise self._fatal
            case "unknown, aborted" | "unknown, committed late":
                raise failure(KafkaError._TIMED_OUT, retriable=True)
            case "slow":
                broker.clock.now += 2
            case "error meanwhile":
                self._unheard.append(KafkaError(KafkaError._TRANSPORT, "connection refused"))
        transaction.commit(broker)
        broker.pending = None
        if transaction.fate == "unknown, committed":
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        if transaction.fate == "hangs, committed":
            raise broker.hang()

    def abort_transaction(self, _: float) -> None:
        if self._open.fate == "abort fails":
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        if self._open.fate == "abort is slow":
            self._broker.clock.now += 2
        self._broker.pending = None

    @property
    def _open(self) -> Transaction:
        self._in_charge()
        assert self._broker.pending is not None
        return self._broker.pending

    def _in_charge(self) -> None:
        current = self._broker.epochs[self._identity]
        assert self._epoch == current, "a producer that was replaced is still used"


class FakeMember:
    """A group member that learns of a new generation only when it looks."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self._known: int | None = None
        self.meanwhile: Callable[[], None] | None = None
        """What happens to the group while somebody waits for the member's identity."""

    def group_metadata(self, *, timeout_s: float) -> object | None:
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
            self._known = self._broker.generation
        if self._known is None:
            self._known = self._broker.generation
        return self._known

    def refresh_group_metadata(self) -> None:
        self._known = None


class Notes:
    """What an observer is told."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.retried: list[str] = []

    def on_transaction(self, seconds: float, n_records: int) -> None:
        self.committed.append(n_records)

    def on_transaction_retried(self, reason: str) -> None:
        self.retried.append(reason)
