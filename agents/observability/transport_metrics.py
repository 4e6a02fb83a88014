"""What the Kafka transport tells, as metrics. Called from its threads."""

import logging
import threading
from typing import NamedTuple

from agents.kafka.restorer import Restoration
from agents.observability import metric_list
from agents.observability.metrics import Metrics

logger = logging.getLogger(__name__)


class _Progress(NamedTuple):
    """What was told of a partition last."""

    cancelled: threading.Event
    ratio: float
    n_records: int


class TransportMetrics:
    """Implements `agents.kafka.app.Observer`."""

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = metrics.histogram(metric_list.TRANSACTION_SECONDS)
        self._committed = metrics.counter(metric_list.TRANSACTIONS, result="committed")
        self._retried = metrics.counter(metric_list.TRANSACTIONS, result="retried")
        self._partitions = metrics.gauge(metric_list.ASSIGNED_PARTITIONS)
        self._rebalances = metrics.counter(metric_list.REBALANCES)
        self._progress = metrics.gauge(metric_list.RESTORE_PROGRESS)
        self._restored = metrics.counter(metric_list.RESTORED_KEYS)
        self._standby = metrics.gauge(metric_list.STANDBY_PARTITIONS)
        self._restorations: dict[int, _Progress] = {}

    def on_transaction(self, seconds: float, n_records: int) -> None:
        """Count a commit."""
        self._seconds.observe(seconds)
        self._committed.inc()

    def on_transaction_retried(self, reason: str) -> None:
        """Count an abort or a replaced producer, and say why."""
        self._retried.inc()
        logger.warning("transaction tried again: %s", reason)

    def on_assigned(self, n_partitions: int) -> None:
        """Tell what is ours."""
        self._partitions.set(n_partitions)
        self._rebalances.inc()
        if self._restorations:
            self._tell_progress()

    def on_restore(self, restoration: Restoration) -> None:
        """Tell how far state is back, over all partitions."""
        before = self._restorations.get(restoration.partition)
        # Its event stands for a restoration: the restoration would keep the state alive.
        n_before = 0
        if before is not None and before.cancelled is restoration.cancelled:
            n_before = before.n_records
        self._restored.inc(restoration.n_records - n_before)
        self._restorations[restoration.partition] = _Progress(
            restoration.cancelled, restoration.ratio, restoration.n_records
        )
        self._tell_progress()

    def on_standby(self, partitions: frozenset[int]) -> None:
        """Tell how much of the state of others is here."""
        self._standby.set(len(partitions))

    def _tell_progress(self) -> None:
        told = list(self._restorations.values())  # other threads may add to it
        coming = [each for each in told if not each.cancelled.is_set()]
        ratio = sum(each.ratio for each in coming) / len(coming) if coming else 1.0
        self._progress.set(ratio)
