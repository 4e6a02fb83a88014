"""Actions that were never seen: from the detector in a partition to the alert that people read."""

from dataclasses import replace

import pytest

from agents.observability.metrics import Metrics
from agents.pipeline import DriftPolicy
from agents.prediction.predict_plan import PredictPlan
from examples.shop.pipeline import PIPELINE
from schemas.alerts import Alert
from tests.agents.partition_run import NOON_MS, PartitionRun, event
from tests.agents.record import Record

ORDINARY = ("home", "search", "product_view", "cart")
POLICY = DriftPolicy(scores_per_false_alarm=1_000, actions_share=0.5, answers_share=0.0)


def plan(metrics: Metrics, policy: DriftPolicy = POLICY) -> PredictPlan:
    return PredictPlan(replace(PIPELINE, drift=policy), metrics, lambda topic: topic.name)


PLAN = plan(Metrics())


def visits(n: int) -> list[Record]:
    """All actions of so many users, one of whom in ten asks for help."""
    return [
        event(f"e{i}-{action}", NOON_MS + i, user=f"u{i}", action=action)
        for i in range(n)
        for action in (*ORDINARY, *(() if i % 10 else ("support_chat",)))
    ]


def trouble(n: int) -> list[Record]:
    """What never happened before, to so many users."""
    return [
        event(f"b{i}", NOON_MS + 1_000 + i, user=f"b{i}", action="checkout_bug") for i in range(n)
    ]


def of_actions(run: PartitionRun) -> list[Alert]:
    return [alert for alert in run.alerts if alert.signal == "action_mix"]


def test_an_action_that_never_came_raises_one_alert_that_names_it() -> None:
    metrics = Metrics()
    run = PartitionRun(plan=plan(metrics)).events(*visits(600))
    assert of_actions(run) == []
    run.events(*trouble(9))
    (alert,) = of_actions(run)

    assert (alert.kind, alert.level) == ("drift", "warning")
    assert alert.evidence["action"] == "checkout_bug"
    assert alert.evidence["moved"] == "world"
    assert alert.evidence["reference"] == 0.0 < alert.evidence["recent"]
    assert NOON_MS + 1_000 <= alert.evidence["onset_at"] <= alert.evidence["event_at"]
    assert alert.runbook == "docs/operations.md#a-drift-alert"
    labels = 'partition="0",signal="action_mix"'
    assert metrics.samples()[f"thalweg_drift_alarms_total{{{labels}}}"] == 1


@pytest.mark.parametrize("at", range(0, 9, 2))
def test_whoever_takes_over_raises_the_same_alert(at: int) -> None:
    whole = PartitionRun(plan=PLAN).events(*visits(600)).events(*trouble(9))
    first = PartitionRun(plan=PLAN).events(*visits(600))
    if at:
        first.events(*trouble(9)[:at])
    second = PartitionRun(first.compacted(), plan=PLAN).events(*trouble(9)[at:])

    assert len(of_actions(whole)) == 1
    assert [*of_actions(first), *of_actions(second)] == of_actions(whole)


def test_where_actions_have_no_share_they_are_not_watched() -> None:
    without = plan(Metrics(), replace(POLICY, actions_share=0.0))
    run = PartitionRun(plan=without).events(*visits(600)).events(*trouble(9))

    assert of_actions(run) == []
    assert not any(b"actions" in key for key, _ in run.compacted())
