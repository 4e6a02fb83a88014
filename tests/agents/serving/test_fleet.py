"""Figures of the whole system from telemetry of processes that come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.serving.fleet import FORGET_MS, RECENT_MS, SILENT_MS, Fleet
from schemas.telemetry import Telemetry

PREDICTIONS = metric_list.PREDICTIONS

# Each step of a process: it counts so many, or it is killed and counts from zero again.
steps = st.lists(st.one_of(st.integers(0, 100), st.just("killed")), max_size=30)


def said(process: str, at: int, metrics: Metrics, *, pid: int = 1) -> Telemetry:
    return Telemetry(process=process, pid=pid, at=at, samples=metrics.samples())


@given(steps_by_process=st.lists(steps, max_size=3))
def test_totals_are_the_sum_of_all_that_was_counted_through_all_restarts(steps_by_process) -> None:
    fleet, counted = Fleet(), 0
    for number, steps in enumerate(steps_by_process):
        metrics, pid = Metrics(), 1
        for at, step in enumerate(steps):
            if step == "killed":
                metrics, pid = Metrics(), pid + 1
                continue
            metrics.counter(PREDICTIONS).inc(step)
            counted += step
            fleet.fold(said(f"predict-{number}", at, metrics, pid=pid))

    assert fleet.total(PREDICTIONS) == counted


@given(counts=st.lists(st.integers(0, 1_000), min_size=2, max_size=10))
def test_a_rate_is_the_growth_between_the_last_two_records(counts: list[int]) -> None:
    fleet, metrics = Fleet(), Metrics()
    for second, count in enumerate(counts):
        metrics.counter(PREDICTIONS).inc(count)
        fleet.fold(said("predict-0", 500 * second, metrics))

    assert fleet.per_second(PREDICTIONS, 500 * len(counts)) == 2 * counts[-1]


def test_rates_add_up_over_processes_and_end_when_a_process_falls_silent() -> None:
    fleet = Fleet()
    for process, silent_after in (("predict-0", 2), ("predict-1", 9)):
        metrics = Metrics()
        for second in range(silent_after):
            metrics.counter(PREDICTIONS).inc(10)
            fleet.fold(said(process, second * 1_000, metrics))

    assert fleet.per_second(PREDICTIONS, 3_000) == 20
    assert fleet.per_second(PREDICTIONS, 1_000 + SILENT_MS + 1) == 10
    assert fleet.per_second(PREDICTIONS, 8_000 + SILENT_MS + 1) is None


def test_a_record_that_comes_again_or_late_changes_nothing() -> None:
    fleet, metrics = Fleet(), Metrics()
    metrics.counter(PREDICTIONS).inc(5)
    early = said("predict-0", 1_000, metrics)
    metrics.counter(PREDICTIONS).inc(5)
    late = said("predict-0", 2_000, metrics)
    for record in (early, late, early, late):
        fleet.fold(record)

    assert fleet.total(PREDICTIONS) == 10


def test_buckets_of_the_last_while_leave_out_what_was_counted_before() -> None:
    fleet, metrics = Fleet(), Metrics()
    latency = metrics.histogram(metric_list.LATENCY_SECONDS)
    for second, value in enumerate([9.0, 0.0015, 0.0015, 0.2, 0.2, 0.2]):
        latency.observe(value)
        fleet.fold(said("watch-0", second * 1_000, metrics))

    recent = fleet.recent_buckets(metric_list.LATENCY_SECONDS, 5_000, over_ms=4_000)

    assert {bound: count for bound, count in recent if count} == {0.002: 1, 0.2: 3}


def test_what_a_process_counted_before_we_knew_it_is_not_recent() -> None:
    fleet, metrics = Fleet(), Metrics()
    metrics.histogram(metric_list.LATENCY_SECONDS).observe_many([0.001] * 1_000)
    fleet.fold(said("watch-0", 0, metrics))

    assert not fleet.recent_buckets(metric_list.LATENCY_SECONDS, 0, over_ms=RECENT_MS)
    assert fleet.total(PREDICTIONS) == 0
    assert sum(n for _, n in fleet.buckets(metric_list.LATENCY_SECONDS)) == 1_000


@pytest.mark.parametrize(
    ("ready", "silence_ms", "state"),
    [(1, 0, "ready"), (0, 0, "starting"), (None, 0, "starting"), (1, SILENT_MS + 1, "down")],
)
def test_a_process_is_what_it_says_while_it_speaks(
    ready: int | None, silence_ms: int, state: str
) -> None:
    fleet, metrics = Fleet(), Metrics()
    if ready is not None:
        metrics.gauge(metric_list.READY).set(ready)
    fleet.fold(said("predict-0", 0, metrics))

    assert fleet.processes["predict-0"].state(silence_ms) == state


def test_a_process_that_ends_in_good_order_is_not_down_but_gone() -> None:
    fleet, metrics = Fleet(), Metrics()
    metrics.gauge(metric_list.UP).set(1)
    fleet.fold(said("predict-0", 0, metrics))
    metrics.gauge(metric_list.UP).set(0)
    fleet.fold(said("predict-0", 1_000, metrics))

    assert fleet.processes == {}


def test_memory_is_bounded_by_the_processes_of_late() -> None:
    fleet = Fleet()
    for number in range(100):
        at = number * FORGET_MS // 10
        for later in (0, 1):
            metrics = Metrics()
            metrics.counter(PREDICTIONS).inc(later)
            fleet.fold(said(f"predict-{number}", at + later, metrics))
        fleet.forget(at)

    assert len(fleet.processes) <= 11
    assert len(fleet._recent) <= 11


def test_totals_by_label_come_largest_first_without_what_never_happened() -> None:
    fleet, metrics = Fleet(), Metrics()
    for reason, count in (("too_late", 1), ("not_json", 5), ("empty", 3), ("not_utf8", 0)):
        metrics.counter(metric_list.DEAD_LETTERS, reason=reason).inc(count)
    fleet.fold(said("predict-0", 0, metrics))

    assert list(fleet.totals_by(metric_list.DEAD_LETTERS, "reason").items()) == [
        *(("not_json", 5), ("empty", 3), ("too_late", 1)),
    ]
