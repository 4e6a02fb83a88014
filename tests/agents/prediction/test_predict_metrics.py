"""What predict tells of its drift detectors."""

import random

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from agents.serving.samples import parse
from examples.shop.pipeline import PIPELINE
from online_models.drift import SIGNALS, RunLength, ScoreDrift

GAUGES = (
    *(metric_list.DRIFT_STATISTIC, metric_list.DRIFT_THRESHOLD),
    *(metric_list.DRIFT_MEAN, metric_list.DRIFT_REFERENCE),
)


def test_evidence_is_told_under_the_name_of_its_signal() -> None:
    """Scores that only spread out are no evidence that their mean has moved."""
    metrics = Metrics()
    told = PredictPlan(PIPELINE, metrics, lambda topic: topic.name).metrics
    rng = random.Random(5)
    drift = ScoreDrift(RunLength.scores(1e12), warmup_scores=200)
    for concentration, n in ((7.0, 3_000), (1.5, 60)):
        for _ in range(n):
            drift.update(rng.betavariate(0.3 * concentration, 0.7 * concentration), at_ms=0)
    told.drift(3, drift)

    by_signal = {
        signal: metrics.gauge(metric_list.DRIFT_STATISTIC, partition=3, signal=signal).value or 0.0
        for signal in SIGNALS
    }
    assert by_signal["score_mean"] < by_signal["score_spread"] / 2


def test_all_that_was_told_of_a_partition_goes_with_it() -> None:
    metrics = Metrics()
    told = PredictPlan(PIPELINE, metrics, lambda topic: topic.name).metrics
    for partition in (2, 3):
        told.drift(partition, ScoreDrift(RunLength.scores(1e6), warmup_scores=100))
    told.no_drift(3)

    names = {each.name for each in GAUGES}
    left = [sample for sample in map(parse, metrics.samples()) if sample.name in names]
    assert {sample.labels["partition"] for sample in left} == {"2"}
    assert {sample.name for sample in left} == names
