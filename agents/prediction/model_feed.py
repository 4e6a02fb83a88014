"""The models that predict serves: followed on `models`, swapped in between two batches."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from agents.kafka.client_settings import KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from online_models.scorer import Scorer
from online_models.signing import Verifier
from online_models.snapshot import decode
from schemas.errors import SnapshotRefused

logger = logging.getLogger(__name__)

LEARNED_SINCE: Final = "learned-since"
"""Header of a snapshot: wall time (ms) at which the oldest label that is new in it was known."""

_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Served:
    """One model in service, as of one snapshot."""

    name: str
    version: int
    created_at_ms: int
    scorer: Scorer


@dataclass(slots=True)
class Serving:
    """The newest good snapshot of each model; a batch looks here once, at its start."""

    by_name: dict[str, Served] = field(default_factory=dict)


class ModelFeed:
    """Loads every good snapshot that appears; a bad one is refused and the last good one stays.

    Parameters
    ----------
    models
        Names to follow; others are passed over.
    schema
        Hash of the features that the pipeline computes.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        models: frozenset[str],
        schema: str,
        verifier: Verifier,
        metrics: Metrics,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.serving = Serving()
        self.caught_up = threading.Event()
        """Set once what was published before the start is loaded."""
        self._kafka = kafka
        self._topic = topic
        self._models = models
        self._schema = schema
        self._verifier = verifier
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

    def tell_ages(self) -> None:
        """Set the age of each model's snapshot."""
        now_ms = time.time_ns() // 1_000_000
        for served in list(self.serving.by_name.values()):
            age_s = (now_ms - served.created_at_ms) / 1_000
            self._metrics.gauge(metric_list.MODEL_AGE_SECONDS, model=served.name).set(age_s)

    def _run(self) -> None:
        consumer = Consumer(self._kafka.reader())
        try:
            consumer.assign([TopicPartition(self._topic, 0, 0)])
            # The newest of each model, while older ones are still being read.
            newest: dict[str, Message] = {}
            while not self._closing.is_set():
                message = consumer.poll(_POLL_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    newest[(message.key() or b"").decode("utf-8", "replace")] = message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    for name, snapshot in newest.items():
                        self._load(name, snapshot)
                    newest.clear()
                    self.caught_up.set()
                else:
                    logger.warning("reading %s: %s", self._topic, error.str())
        except BaseException as failure:  # noqa: BLE001  # whatever it is, the worker must end
            self._on_failure(failure)
        finally:
            consumer.close()

    def _load(self, name: str, message: Message) -> None:
        blob = message.value()
        if name not in self._models or blob is None:
            return
        try:
            snapshot = decode(blob, self._verifier, model=name, schema=self._schema)
        except SnapshotRefused as refusal:
            logger.warning("refused a snapshot of %s: %s", name, refusal)
            self._metrics.counter(metric_list.SNAPSHOTS, model=name, result="refused").inc()
            return
        manifest = snapshot.manifest
        self.serving.by_name[name] = Served(
            name, manifest.version, manifest.created_at, snapshot.learner.scorer()
        )
        metrics = self._metrics
        metrics.counter(metric_list.SNAPSHOTS, model=name, result="loaded").inc()
        metrics.gauge(metric_list.MODEL_VERSION, model=name).set(manifest.version)
        # Headers are not signed: anything may stand there.
        learned_since_ms = dict(message.headers() or []).get(LEARNED_SINCE) or b""
        if learned_since_ms.isdigit() and self.caught_up.is_set():
            freshness_s = time.time() - int(learned_since_ms) / 1_000
            metrics.histogram(metric_list.FRESHNESS_SECONDS, model=name).observe(freshness_s)
