"""What the Kafka transport tells, as metrics. Called from its threads."""

import logging

from agents import metric_list
from agents.kafka.restorer import Restoration
from agents.metrics import Metrics

logger = logging.getLogger(__name__)


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
        self._restorations: dict[int, tuple[float, int]] = {}

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

    def on_restore(self, restoration: Restoration) -> None:
        """Tell how far state is back, over all partitions."""
        _, n_before = self._restorations.get(restoration.partition, (0.0, 0))
        n_new = restoration.n_records - n_before
        self._restored.inc(n_new if n_new >= 0 else restoration.n_records)
        self._restorations[restoration.partition] = (restoration.ratio, restoration.n_records)
        ratios = [ratio for ratio, _ in self._restorations.values()]
        self._progress.set(sum(ratios) / len(ratios))
