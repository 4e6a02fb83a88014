"""Follow `models`: what is published there is in service from the next batch on."""

import logging
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Message

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.topic_feed import TopicFeed
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.served_models import LEARNED_SINCE, ServedModels
from online_models.chunks import SnapshotParts

logger = logging.getLogger(__name__)

MAX_DIGITS: Final = 15
"""Of a time in ms."""


class ModelFeed(TopicFeed):
    """Offers every snapshot that appears to the models in service."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        served: ServedModels,
        metrics: Metrics,
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        super().__init__(kafka, topic, name="model-feed", on_failure=on_failure)
        self._served = served
        self._metrics = metrics
        self._parts = SnapshotParts(served.is_in_use)
        self._newest: dict[str, tuple[bytes | None, Message]] = {}
        """Of each model, while older ones are still being read."""
        self._told: dict[str, str] = {}
        self._seen_to = 0
        """What stands before was seen, and is read again for `sought` alone."""
        self._sought: frozenset[str] = frozenset()

    def begins_anew(self) -> bool:
        """Tell whether a version came into use whose snapshot was passed over."""
        missing = self._served.missing()
        if missing:
            self._sought |= missing
            self._parts = SnapshotParts(self._served.is_in_use)
        return bool(missing)

    def rest(self) -> None:
        """Give up what was replaced."""
        self._served.give_up_retired()

    def take(self, message: Message) -> None:
        """Take in a snapshot, or a part of one."""
        offset = message.offset() or 0
        whole = self._parts.add(message.key() or b"", message.value())
        if whole is not None and (offset >= self._seen_to or whole.model in self._sought):
            self._newest[whole.model] = whole.blob, message
        self._seen_to = max(self._seen_to, offset + 1)

    def at_lull(self) -> None:
        """Offer the newest of each model."""
        for name, (blob, message) in self._newest.items():
            self._offer(name, blob, message)
        self._newest.clear()

    def at_end(self) -> None:
        """Tell what is still incomplete, having offered the newest of each model."""
        self.at_lull()
        self._told = self._tell_incomplete(self._parts.incomplete(), self._told)
        self._sought = frozenset()

    def _tell_incomplete(self, lacking: dict[str, str], told: dict[str, str]) -> dict[str, str]:
        for name, reason in lacking.items():
            if told.get(name) != reason:
                logger.warning("the newest snapshot of %s waits: %s", name, reason)
        return lacking

    def _offer(self, name: str, blob: bytes | None, message: Message) -> None:
        is_news = self._served.offer(name, blob) and self.caught_up.is_set()
        # Headers are not signed: anything may stand there.
        learned_since_ms = dict(message.headers() or []).get(LEARNED_SINCE) or b""
        if is_news and learned_since_ms.isdigit() and len(learned_since_ms) <= MAX_DIGITS:
            freshness_s = time.time() - int(learned_since_ms) / 1_000
            metric = self._metrics.histogram(metric_list.FRESHNESS_SECONDS, model=name)
            metric.observe(freshness_s)
