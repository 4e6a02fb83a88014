"""Drift of the scores, from the detector in a partition to the alert that people read."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agents.deployments import decisions
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.pipeline import DriftPolicy, Pipeline
from agents.prediction.drift_alert import drift_alert
from agents.prediction.predict_plan import PredictPlan
from agents.silence import Silence
from examples.shop.pipeline import PIPELINE
from online_models.drift import DriftAlarm, RunLength, TwinAlarm
from schemas.alerts import Alert
from schemas.errors import InvalidDeclaration
from tests.agents.partition_run import MS, NOON_MS, FakeScorer, PartitionRun, event, served
from tests.agents.record import PUBLISHED_MS, Record

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
    threshold = run.partition.drift.detector.threshold

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
    assert 0.2 < evidence["reference"] < 0.3
    assert evidence["recent"] > 0.6
    assert alert.value >= alert.threshold == threshold
    assert evidence["severity"] > 1
    assert NOON_MS + 490 < evidence["onset_at"] <= evidence["event_at"]
    assert evidence["event_id"] == raised_by.event_id
    assert evidence["event_at"] == raised_by.event_at
    assert (evidence["model"], evidence["model_version"]) == (PIPELINE.champion, 7)


@pytest.mark.parametrize("by", ["", "ada"])
def test_in_a_silence_an_alarm_is_written_down_and_not_counted(by: str) -> None:
    at = datetime.fromtimestamp(PUBLISHED_MS / 1_000, UTC)
    end, why = at + timedelta(hours=1), "the sale"
    silence = Silence(since=at, until=end, why=why, kinds=("drift",), by=by)
    scorer, metrics = Told(), Metrics()
    silent = replace(PIPELINE, silences=() if by else (silence,))
    plan = PredictPlan(silent, metrics, lambda topic: topic.name)
    if by:
        registry, end_ms = plan.deployed.registry, PUBLISHED_MS + 3_600_000
        decided = decisions.silencing(
            registry, "drift", until=end_ms, at=PUBLISHED_MS, by=by, why=why
        )
        plan.deployed.follow(registry.fold(decided, 0))
    run = PartitionRun(plan=plan, serving=served(scorer)).events(*visits(500))
    scorer.level = 0.7
    run.events(*visits(60, first=500))

    assert [alert.action for alert in run.alerts] == [str(silence)]
    assert run.alerts[0].runbook == "docs/operations.md#a-drift-alert"
    counted = {name: n for name, n in metrics.samples().items() if "drift_alarms" in name}
    assert not any(counted.values())


def test_the_same_alarm_computed_again_is_the_same_alert() -> None:
    def alert(raised_at: int) -> Alert:
        alarm = DriftAlarm("score_spread", 0.2, 0.1, 41.0, 40.0, 900)
        return drift_alert(
            TwinAlarm(alarm, is_of_twin=True, moved="world"),
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

    assert run.partition.drift.detector.n == n_watched


def test_only_the_first_score_of_each_visit_is_watched() -> None:
    run = PartitionRun()
    for n, at_ms in enumerate((0, GAP_MS - 1, 2 * GAP_MS - 2, 3 * GAP_MS - 2, 3 * GAP_MS)):
        run.events(event(f"e{n}", NOON_MS + at_ms))

    assert run.partition.drift.detector.n == 2


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


class Degraded(Told):
    degraded_reason = "model_failed"


def test_scores_that_are_not_the_models_are_not_watched() -> None:
    run = PartitionRun(serving=served(Degraded())).events(*visits(3))

    assert {each.source for each in run.predictions} == {"default"}
    assert run.partition.drift.detector.n == 0


def resets(plan: PredictPlan) -> dict[str, float]:
    counted = metric_list.DRIFT_RESETS
    return {
        reason: plan.metrics._metrics.counter(counted, partition=0, reason=reason).value
        for reason in ("model", "schema")
    }


def plan_of(pipeline: Pipeline) -> PredictPlan:
    return PredictPlan(pipeline, Metrics(), lambda topic: topic.name)


def test_another_champion_sets_a_reference_of_its_own() -> None:
    """Its scores are others, and nothing changed in the world."""
    (other,) = PIPELINE.challengers
    run = PartitionRun(serving=served(Told()), plan=plan_of(PIPELINE)).events(*visits(500))
    promoted = plan_of(replace(PIPELINE, champion=other, challengers=(PIPELINE.champion,)))
    higher = Told()
    higher.level = 0.7
    run = PartitionRun(run.compacted(), plan=promoted, serving=served(higher, other))
    run.events(*visits(400, first=500))

    assert run.alerts == []
    assert run.partition.drift.detector.n == 400
    assert resets(promoted) == {"model": 1, "schema": 0}


def test_other_features_set_a_reference_of_their_own() -> None:
    run = PartitionRun(serving=served(Told()), plan=plan_of(PIPELINE)).events(*visits(500))
    fewer = plan_of(replace(PIPELINE, features=PIPELINE.features[:-1]))
    run = PartitionRun(run.compacted(), plan=fewer, serving=served(Told()))
    run.events(*visits(2, first=500))

    assert run.partition.drift.detector.n == 2
    assert resets(fewer) == {"model": 0, "schema": 1}


def test_what_an_earlier_version_left_behind_is_deleted() -> None:
    run = PartitionRun([(b"sdrift", b"anything")]).events(*visits(1))

    assert dict(run.compacted())[b"sdrift"] is None
    assert run.partition.drift.detector.n == 1


def test_a_budget_is_time_or_scores() -> None:
    month = timedelta(days=30)
    for impossible in (
        {"false_alarm_every": month, "scores_per_false_alarm": 1_000},
        {"false_alarm_every": timedelta(0)},
        {"scores_per_false_alarm": 0},
        {"warmup_scores": 1},
    ):
        with pytest.raises(InvalidDeclaration):
            DriftPolicy(**impossible)

    assert DriftPolicy().run_length(4) == RunLength.scores(100_000)
    assert DriftPolicy(false_alarm_every=month).run_length(4) == RunLength.time(4 * month)
