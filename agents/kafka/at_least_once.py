"""Commit batches at least once: an offset follows the delivery of everything it caused."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from confluent_kafka import KafkaError, Message, Producer

from agents.kafka.batch import Batch, Output
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.exactly_once import TransactionObserver
from agents.kafka.in_flight import InFlight
from schemas.errors import DeliveryFailed

SERVE_S: Final = 0.002
"""How long to wait for delivery reports before looking for finished batches again."""
CLOSE_TIMEOUT_S: Final = 10.0


class OffsetKeeper(Protocol):
    """What the committer needs of the poller."""

    def store_offset(self, batch: Batch) -> None:
        """Remember a batch's offset; it is committed soon."""


class _Sending:
    """A batch on its way: how many of its outputs the broker has not confirmed yet."""

    __slots__ = ("batch", "fail", "started_at", "unconfirmed")

    def __init__(self, batch: Batch, fail: Callable[[KafkaError], None]) -> None:
        self.batch = batch
        self.unconfirmed = len(batch.outputs)
        self.fail = fail
        self.started_at = time.monotonic()

    def on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.fail(error)
        self.unconfirmed -= 1


class AtLeastOnce:
    """Publishes finished batches at once; stores their offsets when all outputs are delivered."""

    def __init__(
        self,
        settings: KafkaSettings,
        in_flight: InFlight,
        keeper: OffsetKeeper,
        observer: TransactionObserver,
    ) -> None:
        self._in_flight = in_flight
        self._keeper = keeper
        self._observer = observer
        self._sending: deque[_Sending] = deque()
        self._seen: set[int] = set()
        self._error: KafkaError | None = None
        self._producer = Producer(settings.producer())

    def run(self) -> None:
        """Publish until the ledger is closed and everything published is confirmed."""
        ledger = self._in_flight
        while self._sending or not ledger.is_closed:
            # While reports are outstanding, wait for them rather than for further batches.
            batches = ledger.take_finished(timeout_s=0.0 if self._sending else 0.5)
            self._send([batch for batch in batches if id(batch) not in self._seen])
            self._producer.poll(SERVE_S if self._sending else 0)
            if self._error is not None:
                raise DeliveryFailed(f"output was not delivered: {self._error.str()}")
            self._retire_confirmed()
        if self._producer.flush(CLOSE_TIMEOUT_S):
            raise DeliveryFailed("outputs were still undelivered when the worker ended")

    def _send(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            sending = _Sending(batch, self._fail)
            self._seen.add(id(batch))
            self._sending.append(sending)
            if not batch.dropped:
                for output in batch.outputs:
                    self._produce(output, sending)
            else:
                sending.unconfirmed = 0

    def _produce(self, output: Output, sending: _Sending) -> None:
        topic, value, key, partition, headers = output
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    partition,
                    sending.on_delivery,
                    headers=headers,  # type: ignore[arg-type]  # stubs want exactly their union
                )
                return
            except BufferError:
                self._producer.poll(SERVE_S)

    def _retire_confirmed(self) -> None:
        """Retire in the order of sending, which within a partition is the order of records."""
        while self._sending and self._sending[0].unconfirmed <= 0:
            sending = self._sending.popleft()
            batch = sending.batch
            if not batch.dropped:
                self._keeper.store_offset(batch)
                self._observer.on_transaction(time.monotonic() - sending.started_at, len(batch))
            self._seen.discard(id(batch))
            self._in_flight.retire([batch])

    def _fail(self, error: KafkaError) -> None:
        self._error = error
