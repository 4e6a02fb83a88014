"""What the transport tells while state comes back."""

from agents.kafka.restorer import Restoration
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.observability.transport_metrics import TransportMetrics


def test_progress_is_that_of_the_partitions_that_are_coming_and_counts_each_record_once() -> None:
    metrics = Metrics()
    told = TransportMetrics(metrics)
    progress = metrics.gauge(metric_list.RESTORE_PROGRESS)
    restored = metrics.counter(metric_list.RESTORED_KEYS)
    first, second = Restoration(0), Restoration(1)

    first.n_records, first.ratio = 100, 0.5
    told.on_restore(first)
    first.n_records, first.ratio = 200, 1.0
    told.on_restore(first)
    second.n_records, second.ratio = 10, 0.1
    told.on_restore(second)
    assert (progress.value, restored.value) == (0.55, 210)

    second.cancelled.set()  # another worker's now
    told.on_restore(first)
    assert (progress.value, restored.value) == (1.0, 210)


def test_a_partition_that_comes_a_second_time_is_read_a_second_time() -> None:
    metrics = Metrics()
    told = TransportMetrics(metrics)
    for n_records in (100, 150):
        again = Restoration(0)
        again.n_records, again.ratio = n_records, 1.0
        told.on_restore(again)

    assert metrics.counter(metric_list.RESTORED_KEYS).value == 250


def test_with_nothing_left_to_come_everything_is_back() -> None:
    metrics = Metrics()
    told = TransportMetrics(metrics)
    called_off = Restoration(0)
    called_off.ratio = 0.2
    called_off.cancelled.set()
    told.on_restore(called_off)

    assert metrics.gauge(metric_list.RESTORE_PROGRESS).value == 1.0


def test_transactions_are_counted_by_how_they_went() -> None:
    metrics = Metrics()
    told = TransportMetrics(metrics)
    told.on_transaction(0.004, 500)
    told.on_transaction_retried("stale generation")
    told.on_assigned(4)

    assert metrics.counter(metric_list.TRANSACTIONS, result="committed").value == 1
    assert metrics.counter(metric_list.TRANSACTIONS, result="retried").value == 1
    assert metrics.gauge(metric_list.ASSIGNED_PARTITIONS).value == 4
    assert metrics.counter(metric_list.REBALANCES).value == 1
