"""Follow `models`: what is published there is in service from the next batch on."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.served_models import LEARNED_SINCE, ServedModels
from online_models.chunks import SnapshotParts

logger = logging.getLogger(__name__)

MAX_DIGITS: Final = 15
"""Of a time in ms."""
_POLL_S: Final = 0.1


class ModelFeed:
    """Offers every snapshot that appears to the models in service, from a thread of its own."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        served: ServedModels,
        metrics: Metrics,
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.caught_up = threading.Event()
        """Set once what was published before the start is loaded."""
        self._kafka = kafka
        self._topic = topic
        self._served = served
        self._metrics = metrics
        self._on_failure = on_failure
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-feed", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End following."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(self._kafka.reader())
        try:
            consumer.assign([TopicPartition(self._topic, 0, 0)])
            parts = SnapshotParts(self._served.is_in_use)
            # The newest of each model, while older ones are still being read.
            newest: dict[str, tuple[bytes | None, Message]] = {}
            told: dict[str, str] = {}
            seen_to = 0  # what stands before was seen, and is read again for `sought` alone
            sought: frozenset[str] = frozenset()
            while not self._closing.is_set():
                if missing := self._served.missing():
                    sought |= missing
                    consumer.assign([TopicPartition(self._topic, 0, 0)])
                    parts = SnapshotParts(self._served.is_in_use)
                message = consumer.poll(_POLL_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    offset = message.offset() or 0
                    whole = parts.add(message.key() or b"", message.value())
                    if whole is not None and (offset >= seen_to or whole.model in sought):
                        newest[whole.model] = whole.blob, message
                    seen_to = max(seen_to, offset + 1)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    for name, (blob, message) in newest.items():
                        self._offer(name, blob, message)
                    newest.clear()
                    told = self._tell_incomplete(parts.incomplete(), told)
                    sought = frozenset()
                    self.caught_up.set()
                else:
                    logger.warning("reading %s: %s", self._topic, error.str())
        except BaseException as failure:  # noqa: BLE001  # whatever it is, the worker must end
            self._on_failure(failure)
        finally:
            consumer.close()

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
