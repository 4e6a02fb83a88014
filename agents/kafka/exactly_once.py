"""Commit batches exactly once: outputs and offsets in one Kafka transaction.

The committer thread runs `ExactlyOnce.run`. A transaction takes whatever batches have finished by
the time the last one is through, so that latency is low when there is little to do and
transactions grow when there is much.

What can go wrong, and what happens then:

- The group no longer knows us as who we were (a rebalance): abort, then the same outputs again.
  Nothing is recomputed.
- Its outcome is unknown (any other error), or a request of it may still be under way (below): the
  producer is thrown away and made anew under the same transactional id, which ends whatever is
  open. Then the group's committed offsets tell whether the batches are through.
- Another worker has our transactional id: we are the zombie, and end. So we do if the broker gave
  up our transaction, because we or the way to it stood still, and says so: it cannot be told apart.
  Who stood still may also hear nothing but good; so before a producer is made anew, which fences
  whoever has the id, the broker is asked whether that is still us (`claim`).

The protocol that librdkafka speaks has a hole that KIP-890 closes for others: an EndTxn that
arrives late ends the *next* transaction of its producer epoch. librdkafka itself repeats a request
whose connection broke, and says nothing, so that a call which returned well may have left a first
copy of its request on the way. A new producer has a new epoch, which fences that copy. When that is
needed, time tells: librdkafka rests for `retry.backoff.ms` before it repeats, which we set to more
than a call may take without being suspicious. The same holds for the end of an abort.

Some calls never come back after a broker's death or absence (`OFFSETS_TIMEOUT_S`). Their thread is
left behind, with its producer; what it held goes on in another one, under a new epoch, which fences
whatever the old one may still send.
"""

import concurrent.futures
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final, Protocol, cast

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from faust.types.tuples import TP

from agents.kafka import abandonable
from agents.kafka.batch import Batch
from agents.kafka.calls import CALL_TIMEOUT_S, Calls, pause_s
from agents.kafka.claim import Claim
from agents.kafka.client_settings import TURNS, KafkaSettings
from agents.kafka.in_flight import InFlight
from agents.kafka.initialise import CONNECT_TIMEOUT_S, initialise
from agents.kafka.offsets import committed_offsets
from agents.kafka.publish import publish
from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

SUSPICIOUS_S: Final = 0.35
"""A call that takes longer may have sent its request twice: see the module's text. Shorter than
the shortest rest of librdkafka, which is four fifths of `RETRY_BACKOFF_MS`."""
IDENTITY_SLICE_S: Final = 0.1
ATTEMPTS: Final = 20
OFFSETS_TIMEOUT_S: Final = 5.0
"""As long as one request may take. After a broker's death librdkafka can wait for ever in
`send_offsets_to_transaction`, whatever its timeout, for a coordinator that has moved (its issues
5456 and 5511)."""
LOOK_EVERY_S: Final = 0.5
"""How often it is looked whether a call hangs."""
HANGS: Final = 3
"""How many calls in a row may be left behind; what hangs then is beyond healing."""
BROKER_GONE_S: Final = 2.0
"""A call that takes longer waited for others to take over from a broker that is gone. Producers
that were told of a coordinator before do not ask again (above); new ones do."""

STALE: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)
"""The group knows us by another identity by now, or not at all. That is no fence: who takes our
slot also takes our transactional id."""


class GroupMember(Protocol):
    """What the committer needs of the poller."""

    def group_metadata(self, *, timeout_s: float) -> object | None:
        """Tell the member's current identity in its group; `None`: not known in time."""

    def refresh_group_metadata(self) -> None:
        """Say that the last metadata was stale."""


class TransactionObserver(Protocol):
    """Who wants to know how transactions go."""

    def on_transaction(self, seconds: float, n_records: int) -> None:
        """Note that a transaction was committed."""

    def on_transaction_retried(self, reason: str) -> None:
        """Note that a transaction was aborted or its producer replaced."""


class ExactlyOnce:
    """Publishes finished batches, each transaction whole or not at all."""

    def __init__(
        self,
        settings: KafkaSettings,
        in_flight: InFlight,
        member: GroupMember,
        observer: TransactionObserver,
        *,
        producer: Callable[[dict[str, object]], Producer] = Producer,
    ) -> None:
        self._settings = settings
        self._in_flight = in_flight
        self._member = member
        self._observer = observer
        self._make_producer = producer
        self.calls = Calls(settings.identity)
        self._claims = [Claim(settings, turn, self.calls) for turn in range(TURNS)]
        self._producers: dict[int, Producer] = {}
        self._turn = 0
        self._errors: list[KafkaError] = []
        self._taken: Sequence[Batch] = ()
        """What was taken from the ledger and is not retired yet."""
        self._hangs_left = 0

    def initialise(self) -> None:
        """Make the producers, before `run`: whoever had their transactional ids is fenced."""
        for turn in range(TURNS):
            self._initialise(turn)

    def end_if_succeeded(self) -> None:
        """Raise `Fenced` if another worker is known to have taken our slot. For other threads."""
        self._claims[0].end_if_known_lost()

    @property
    def is_stuck(self) -> bool:
        """Whether a call hangs that is not going to be left behind: only a new process helps."""
        return self.calls.is_hung and not self._hangs_left

    def run(self) -> None:
        """Commit until the ledger is closed; the last finished batches are still committed."""
        self._hangs_left = HANGS
        while not self._ends(shift := abandonable.start(self._work, name="transactions")):
            logger.error("%s hangs in librdkafka; going on without it", self.calls.latest)
            self._claims = [claim.inherited() for claim in self._claims]
        shift.result()

    def _ends(self, shift: "concurrent.futures.Future[None]") -> bool:
        """Wait until a shift of work ends, or is left behind; tell which."""
        was_hung = False
        while not concurrent.futures.wait([shift], LOOK_EVERY_S).done:
            # A process that stood still finds every call late, at one look.
            is_hung = self.calls.is_hung
            if is_hung and was_hung and self._hangs_left and self.calls.abandon():
                self._hangs_left -= 1
                return False
            was_hung = is_hung
        return True

    def _work(self) -> None:
        ledger = self._in_flight
        if self._taken:
            self._go_on(self._taken)
        next_at_s = 0.0
        while True:
            wait_s = next_at_s - time.monotonic()
            if wait_s > 0 and not ledger.is_closed:
                time.sleep(wait_s)
            self._taken = ledger.take_finished(timeout_s=1.0)
            if self._taken:
                next_at_s = time.monotonic() + self._settings.commit_interval_s
                self._commit(self._taken)
                self._retire()
            elif ledger.is_closed:
                return

    def _go_on(self, taken: Sequence[Batch]) -> None:
        """Commit what another thread hangs with, as far as it is not through."""
        self._replace_producers(TURNS, f"{self.calls.latest} hangs")
        if pending := self._without_committed(taken):
            self._commit(pending)
        self._retire()

    def _retire(self) -> None:
        self._in_flight.retire(self._taken)
        self._taken = ()
        self._hangs_left = HANGS

    def _initialise(self, turn: int) -> None:
        settings = self._settings.transactional_producer(turn)

        def make(timeout_s: float) -> Producer:
            # A new one each time: librdkafka's may wait in vain for a broker that is long back.
            producer = self._make_producer(settings | {"error_cb": self._errors.append})
            initialise(producer, timeout_s - CONNECT_TIMEOUT_S)
            return producer

        self._producers[turn] = self._claims[turn].stake(make)

    def _commit(self, batches: Sequence[Batch]) -> None:
        for attempt in range(ATTEMPTS):
            # First who we are, then what is still ours: what is lost while we wait would else be
            # committed under the identity that follows. Its new owner computes it again.
            metadata = self._identity(batches)
            batches = [batch for batch in batches if not batch.dropped]
            if not batches:
                return
            started_at = time.monotonic()
            error = self._transact(batches, metadata, wary=attempt == 0)
            doubt = self._doubt()
            if error is None and doubt is None:
                self._turn = (self._turn + 1) % TURNS
                self._observer.on_transaction(time.monotonic() - started_at, _n_records(batches))
                return
            if error is not None and self._is_aborted(error):
                self._observer.on_transaction_retried(error.str())
            else:
                turns = TURNS if self.calls.longest_s > BROKER_GONE_S else 1
                self._replace_producers(turns, error.str() if error is not None else str(doubt))
                pending = self._without_committed(batches)
                if n_through := _n_records(batches) - _n_records(pending):
                    self._observer.on_transaction(time.monotonic() - started_at, n_through)
                batches = pending
            if error is not None:
                # What the broker will not take now, it may after the next heartbeat.
                time.sleep(pause_s(attempt))
        raise DeliveryFailed(
            f"transaction of {self._settings.identity} failed {ATTEMPTS} times in a row"
        )

    def _identity(self, batches: Sequence[Batch]) -> object:
        """Wait to know who we are in the group, or until none of the batches is ours any more."""
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while (metadata := self._member.group_metadata(timeout_s=IDENTITY_SLICE_S)) is None:
            if all(batch.dropped for batch in batches):
                return None
            if time.monotonic() > deadline:
                raise DeliveryFailed(
                    f"{self._settings.identity} is not told its place in its group"
                )
        return metadata

    def _transact(
        self, batches: Sequence[Batch], metadata: object, *, wary: bool
    ) -> KafkaError | None:
        """Tell what went wrong; `None`: the broker says that the transaction is committed.

        Who is wary sends no offsets once a broker seems to be gone; the outcome would be in doubt
        anyway.
        """
        producer, claim = self._producers[self._turn], self._claims[self._turn]
        self.calls.longest_s = 0.0
        try:
            producer.poll(0)
            self._errors.clear()  # of the time since its last transaction
            claim.has_open = True
            producer.begin_transaction()
            outputs = chain.from_iterable(batch.emitted for batch in batches)
            publish(producer, outputs, self._flush)
            # Without a flush of our own the commit waits out librdkafka's timers: 70-120 ms, not 4.
            self._flush()
            if wary and self.calls.longest_s > BROKER_GONE_S:
                raise _failed(f"outputs took {self.calls.longest_s:.1f} s")
            offsets = {batch.tp: batch.next_offset for batch in batches}
            self.calls.call(
                producer.send_offsets_to_transaction,
                [
                    # For people, and for successors to come: whose transaction committed this.
                    TopicPartition(*tp, offset, metadata=self._settings.identity)
                    for tp, offset in offsets.items()
                ],
                metadata,
                timeout_s=OFFSETS_TIMEOUT_S,
            )
            self.calls.call(producer.commit_transaction, timeout_s=CALL_TIMEOUT_S)
            claim.has_open = False
        except KafkaException as exception:
            return cast(KafkaError, exception.args[0])
        return None

    def _doubt(self) -> str | None:
        """Tell why a request of this transaction may still be under way; `None`: it cannot be."""
        try:
            self._producers[self._turn].poll(0)  # hands over what went wrong meanwhile
        except KafkaException as exception:  # raised and not handed over: the producer is of no use
            error: KafkaError = exception.args[0]
            self.calls.end_if_refused(error)
            return error.str()
        if self.calls.longest_s > SUSPICIOUS_S:
            return f"a call took {self.calls.longest_s:.1f} s"
        return self._errors[0].str() if self._errors else None

    def _flush(self) -> None:
        if self.calls.call(self._producers[self._turn].flush, timeout_s=CALL_TIMEOUT_S):
            raise _failed(f"outputs were still undelivered after {CALL_TIMEOUT_S:.0f} s")

    def _is_aborted(self, error: KafkaError) -> bool:
        """End a failed transaction; tell whether it is over for certain, its producer fit for more.

        Only the group's own refusal says that nothing went wrong on the way.
        """
        self.calls.end_if_refused(error)
        if error.code() not in STALE:
            return False
        self._member.refresh_group_metadata()
        if error.fatal() or not error.txn_requires_abort():
            return False
        try:
            self.calls.call(self._producers[self._turn].abort_transaction, timeout_s=CALL_TIMEOUT_S)
        except KafkaException as exception:
            self.calls.end_if_refused(exception.args[0])
            return False
        self._claims[self._turn].has_open = False
        return self._doubt() is None

    def _replace_producers(self, turns: int, reason: str) -> None:
        """End whatever this identity has open in this turn or more, whichever way it ends."""
        self._observer.on_transaction_retried(reason)
        for turn in ((self._turn + n) % TURNS for n in range(turns)):
            self._claims[turn].end_if_lost()
            self.calls.call(partial(self._destroy_producer, turn), timeout_s=CALL_TIMEOUT_S)
            self._initialise(turn)

    def _destroy_producer(self, turn: int, _: float) -> None:
        # Its last reference, unless a thread hangs with it: nothing of it is sent any more. `close`
        # would flush.
        self._producers.pop(turn, None)

    def _without_committed(self, batches: Sequence[Batch]) -> list[Batch]:
        tps = {batch.tp for batch in batches}

        def ask(timeout_s: float) -> dict[TP, int]:
            return committed_offsets(self._settings, tps, timeout_s=timeout_s)

        offsets = self.calls.patiently(ask, lambda _: True)  # asking again does no harm
        return [batch for batch in batches if offsets.get(batch.tp, -1) < batch.next_offset]


def _failed(reason: str) -> KafkaException:
    return KafkaException(KafkaError(KafkaError._TIMED_OUT, reason, txn_requires_abort=True))


def _n_records(batches: Iterable[Batch]) -> int:
    return sum(len(batch) for batch in batches)
