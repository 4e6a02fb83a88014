"""Follow `entity-features`: what is published there is known from the next event on."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from agents.entities.known_entities import KnownEntities
from agents.kafka.client_settings import KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics

logger = logging.getLogger(__name__)

CAUSED_AT: Final = "caused-at"
"""Header: when the oldest event of the batch was handed on by predict, ms since the epoch."""
MAX_DIGITS: Final = 15
_POLL_S: Final = 0.1
_CHUNK: Final = 1_000


class EntityFeed:
    """Offers every record that appears to what is known, from a thread of its own."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        known: KnownEntities,
        metrics: Metrics,
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.caught_up = threading.Event()
        """Set once what was published before the start is known."""
        self._kafka = kafka
        self._topic = topic
        self._known = known
        self._entities = metrics.gauge(metric_list.KNOWN_ENTITIES)
        self._staleness = metrics.histogram(metric_list.ENTITY_STALENESS_SECONDS)
        self._on_failure = on_failure
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="entity-feed", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End following."""
        self._closing.set()
        self._thread.join()

    def tell(self) -> None:
        """Set the metrics; once a second."""
        self._entities.set(len(self._known))

    def _run(self) -> None:
        consumer = Consumer(self._kafka.reader())
        try:
            consumer.assign([TopicPartition(self._topic, 0, 0)])
            while not self._closing.is_set():
                first = consumer.poll(_POLL_S)
                # `consume(n, timeout)` would wait for all n.
                for message in () if first is None else (first, *consumer.consume(_CHUNK, 0)):
                    self._take(message)
        except BaseException as failure:  # noqa: BLE001  # whatever it is, the worker must end
            self._on_failure(failure)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._known.offer(message.key(), message.value())
            if self.caught_up.is_set():
                self._measure(message)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
            self.caught_up.set()
        else:
            logger.warning("reading %s: %s", self._topic, error.str())

    def _measure(self, message: Message) -> None:
        caused_at_ms = dict(message.headers() or []).get(CAUSED_AT) or b""
        if caused_at_ms.isdigit() and len(caused_at_ms) <= MAX_DIGITS:
            self._staleness.observe(time.time() - int(caused_at_ms) / 1_000)
