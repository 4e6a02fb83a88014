"""Follow `entity-features`: what is published there is known from the next event on."""

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Message

from agents.entities.known_entities import KnownEntities
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.topic_feed import TopicFeed
from agents.observability import metric_list
from agents.observability.metrics import Metrics

CAUSED_AT: Final = "caused-at"
"""Header: when the oldest event of the batch was handed on by predict, ms since the epoch."""
MAX_DIGITS: Final = 15


class EntityFeed(TopicFeed):
    """Offers every record that appears to what is known."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        known: KnownEntities,
        metrics: Metrics,
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        super().__init__(kafka, topic, name="entity-feed", on_failure=on_failure)
        self._known = known
        self._entities = metrics.gauge(metric_list.KNOWN_ENTITIES)
        self._staleness = metrics.histogram(metric_list.ENTITY_STALENESS_SECONDS)

    def tell(self) -> None:
        """Set the metrics; once a second."""
        self._entities.set(len(self._known))

    def take(self, message: Message) -> None:
        """Take in the features of an entity."""
        self._known.offer(message.key(), message.value())
        if self.caught_up.is_set():
            self._measure(message)

    def _measure(self, message: Message) -> None:
        caused_at_ms = dict(message.headers() or []).get(CAUSED_AT) or b""
        if caused_at_ms.isdigit() and len(caused_at_ms) <= MAX_DIGITS:
            self._staleness.observe(time.time() - int(caused_at_ms) / 1_000)
