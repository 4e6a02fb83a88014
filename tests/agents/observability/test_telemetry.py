"""Telemetry: a process's metrics survive the wire."""

import os

import msgspec

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.observability.telemetry import telemetry_record
from schemas.telemetry import Telemetry


def test_a_record_carries_all_samples_of_its_process() -> None:
    metrics = Metrics()
    metrics.counter(metric_list.DEAD_LETTERS, reason="not_json").inc(2)
    metrics.histogram(metric_list.LATENCY_SECONDS).observe_many([0.004, 0.03, 99.0])

    record = telemetry_record("watch-0", metrics, 1_704_067_200_000)

    assert msgspec.json.decode(record, type=Telemetry) == Telemetry(
        process="watch-0", pid=os.getpid(), at=1_704_067_200_000, samples=metrics.samples()
    )


def test_examples_of_what_was_counted_are_told_once() -> None:
    metrics = Metrics()
    counter = metrics.counter(metric_list.QUALITY_FINDINGS, field="platform", finding="null")
    counter.exemplify({"tv": 2})
    counter.exemplify({"tv": 1, "fridge": 1})

    told, again = (
        msgspec.json.decode(telemetry_record("predict-0", metrics, 0), type=Telemetry).exemplars
        for _ in range(2)
    )

    assert told == {counter.name: {"tv": 3, "fridge": 1}}
    assert again == {}
