"""Drift of the scores, from the detector in a partition to the alert that people read."""

import math

import pytest

from agents.prediction.drift_alert import drift_alert
from examples.shop.pipeline import PIPELINE
from online_models.drift import DriftAlarm
from schemas.alerts import Alert
from tests.agents.partition_run import MS, NOON_MS, FakeScorer, PartitionRun, event, served
from tests.agents.record import Record

GAP_MS = PIPELINE.drift.visit_gap // MS


class Told(FakeScorer):
    """Gives scores that spread over a tenth from a level that a test sets."""

    level = 0.2

    def __init__(self, n_learned: int = 10_000) -> None:
        super().__init__(n_learned)
        self._n = 0

    def score(self, features: dict[str, float]) -> float:
        self._n += 1
        return self.level + 0.1 * math.fmod(self._n * 0.618034, 1.0)


def visits(n: int, *, first: int = 0) -> list[Record]:
    """One event each of so many users."""
    return [event(f"e{i}", NOON_MS + i, user=f"u{i}") for i in range(first, first + n)]


def test_scores_that_move_raise_one_alert_in_the_batch_that_shows_it() -> None:
    scorer = Told()
    run = PartitionRun(serving=served(scorer)).events(*visits(500))
    assert run.alerts == []
    before = run.partition.drift

    scorer.level = 0.7
    run.events(*visits(60, first=500))
    (alert,) = run.alerts
    (output,) = run.by_topic["alerts"]
    evidence = dict(alert.evidence)
    n = evidence["scores_since_reset"]
    raised_by = run.predictions[n - 1]

    assert 500 < n < 560
    assert output in run.last_batch
    assert output.key == b"purchase-intent"
    assert dict(output.headers or ())["ce_id"].decode() == alert.alert_id
    assert (alert.kind, alert.level, alert.use_case) == ("drift", "warning", "purchase-intent")
    assert alert.signal == "score_mean"
    assert 0.2 < evidence["reference"] < 0.3 < evidence["recent"]
    assert alert.value > alert.threshold == before.threshold
    assert evidence["event_id"] == raised_by.event_id
    assert evidence["event_at"] == raised_by.event_at
    assert (evidence["model"], evidence["model_version"]) == (PIPELINE.champion, 7)


def test_the_same_alarm_computed_again_is_the_same_alert() -> None:
    def alert(raised_at: int) -> Alert:
        alarm = DriftAlarm("score_spread", 0.2, 0.1, 41.0, 40.0, 900)
        return drift_alert(
            alarm,
            use_case="intent",
            partition=3,
            event_id="e1",
            event_at=NOON_MS,
            raised_at=raised_at,
            model="m",
            model_version=1,
        )

    assert alert(1).alert_id == alert(2).alert_id == "drift-intent-3-e1-score_spread"


@pytest.mark.parametrize(("n_learned", "n_watched"), [(1_999, 0), (2_000, 3)])
def test_scores_of_a_young_model_are_not_watched(n_learned: int, n_watched: int) -> None:
    assert PIPELINE.drift.model_warmup_outcomes == 2_000
    run = PartitionRun(serving=served(Told(n_learned))).events(*visits(3))

    assert run.partition.drift.n == n_watched


def test_only_the_first_score_of_each_visit_is_watched() -> None:
    run = PartitionRun()
    for n, at_ms in enumerate((0, GAP_MS - 1, 2 * GAP_MS - 2, 3 * GAP_MS - 2, 3 * GAP_MS)):
        run.events(event(f"e{n}", NOON_MS + at_ms))

    assert run.partition.drift.n == 2


def test_a_rebuilt_partition_raises_the_alert_that_was_coming() -> None:
    scorer = Told()
    run = PartitionRun(serving=served(scorer)).events(*visits(500))
    scorer.level = 0.7
    run.events(*visits(5, first=500))
    assert run.alerts == []
    successor = PartitionRun(run.compacted(), serving=run.serving)
    n = scorer._n
    run.events(*visits(60, first=505))
    scorer._n = n
    successor.events(*visits(60, first=505))

    assert successor.by_topic["alerts"] == run.by_topic["alerts"] != []
