"""Commit batches at least once: an offset follows the delivery of everything it caused.

What is published goes before what is remembered: state that already knows an event, restored after
a crash, would take its redelivery for a duplicate, and what was never published would be lost.
"""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final, Protocol

from confluent_kafka import KafkaError, Message, Producer

from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.exactly_once import TransactionObserver
from agents.kafka.in_flight import InFlight
from agents.kafka.publish import publish
from schemas.errors import DeliveryFailed

DELIVERY_TIMEOUT_S: Final = 60.0
"""How long a broker may be away; librdkafka tries again until then."""


class OffsetKeeper(Protocol):
    """What the committer needs of the poller."""

    def store_offset(self, batch: Batch) -> None:
        """Remember a batch's offset; it is committed soon."""


class AtLeastOnce:
    """Publishes finished batches; stores their offsets once all outputs are delivered.

    The committer thread runs `run`. Meanwhile the event loop computes the next batches.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        in_flight: InFlight,
        keeper: OffsetKeeper,
        observer: TransactionObserver,
        *,
        changelog: str | None = None,
        producer: Callable[[dict[str, object]], Producer] = Producer,
    ) -> None:
        self._changelog = changelog
        self._in_flight = in_flight
        self._keeper = keeper
        self._observer = observer
        self._error: KafkaError | None = None
        # Only failures are reported: a report for each record would cost more than its production.
        failures = {"delivery.report.only.error": True, "on_delivery": self._fail}
        self._producer = producer(settings.producer() | failures)

    def run(self) -> None:
        """Publish until the ledger is closed; the last finished batches are still published."""
        ledger = self._in_flight
        while True:
            batches = ledger.take_finished(timeout_s=1.0)
            if batches:
                # A partition lost meanwhile: its new owner computes these batches again.
                self._publish([batch for batch in batches if not batch.dropped])
                ledger.retire(batches)
            elif ledger.is_closed:
                return

    def _publish(self, batches: Sequence[Batch]) -> None:
        started_at = time.monotonic()
        outputs = list(chain.from_iterable(batch.emitted for batch in batches))
        if self._changelog is not None:
            changes = [output for output in outputs if output[0] == self._changelog]
            outputs = [output for output in outputs if output[0] != self._changelog]
            publish(self._producer, outputs, self._flush)
            self._flush()
            outputs = changes
        publish(self._producer, outputs, self._flush)
        self._flush()
        for batch in batches:
            self._keeper.store_offset(batch)
        seconds = time.monotonic() - started_at
        self._observer.on_transaction(seconds, sum(len(batch) for batch in batches))

    def _flush(self) -> None:
        n_left = self._producer.flush(DELIVERY_TIMEOUT_S)
        if self._error is not None:
            raise DeliveryFailed(f"an output was not delivered: {self._error.str()}")
        if n_left:
            raise DeliveryFailed(f"{n_left} outputs undelivered after {DELIVERY_TIMEOUT_S:.0f} s")

    def _fail(self, error: KafkaError | None, _: Message) -> None:
        self._error = self._error or error
