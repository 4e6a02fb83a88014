"""Each condition of the table of levels, planted: told once, with evidence, and told to be over.

Without a broker; the drill on the real system is `tests/agents/learning/test_alert_drill.py`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.observability.metrics import Metrics
from agents.observability.quality_alert import QualityWatch
from agents.observability.runbooks import RUNBOOKS
from agents.observability.serving_alert import MIN_ANSWERS, SIGNALS
from agents.observability.slow_answers import MIN_PREDICTIONS
from schemas.alerts import Alert
from tests.agents.learning.test_accuracy_guard import Run
from tests.agents.observability.test_quality import PIPELINE as CHECKED
from tests.agents.observability.test_quality import Predict
from tests.agents.observability.test_serving import AFTER_MS, answers, begun
from tests.markdown import anchors, sections

DOCS = Path(__file__).resolve().parents[3] / "docs"


def accuracy() -> list[Alert]:
    """Labels turn round, and who learns that soonest is put back."""
    alerts: list[Alert] = Run().learn_until(4_000).driver.alerts
    return alerts


def quality() -> list[Alert]:
    """A field goes bad, gets worse, and is mended."""
    watch, predict, told = QualityWatch(CHECKED, Metrics()), Predict(), list[Alert]()
    told += watch.fold(predict.say(0))
    for second, bad in enumerate([0] * 5 + [5] * 10 + [60] * 10 + [0] * 40, 1):
        told += watch.fold(predict.count(100, bad=bad).say(second * 1_000))
    return [alert for alert in told if alert.signal == "amount.out_of_range"]


def serving() -> list[Alert]:
    """Nobody answers; then no model does; then all answers come too late; each is mended."""
    watch, told, late_s = begun(), list[Alert](), CHECKED.goals.latency_p99_emergency.seconds + 1
    steps: list[tuple[float, str, float]] = [
        *((0.0, "model", 0.02), (1.0, "", 0.0), (1.0, "", 0.0), (0.0, "model", 0.02)),
        *((0.0, "rules", 0.02), (0.0, "rules", 0.02), (0.0, "model", 0.02)),
        *((0.0, "model", late_s), (0.0, "model", late_s), (0.0, "model", 0.02)),
        *((0.0, "model", 0.02), (0.0, "model", 0.02)),
    ]
    for n, (waits_s, source, latency_s) in enumerate(steps):
        at = n * AFTER_MS
        watch.waiting(waits_s)
        if source:
            watch.predictions(answers(MIN_ANSWERS, source), at)
            watch.latencies([latency_s] * MIN_PREDICTIONS, at)
        told += watch.look(at)
    return told


PLANTED: Mapping[str, Callable[[], list[Alert]]] = {
    "accuracy": accuracy,
    "quality": quality,
    "serving": serving,
}


@pytest.fixture(scope="module")
def told() -> dict[str, list[Alert]]:
    return {kind: plant() for kind, plant in PLANTED.items()}


def test_every_level_of_the_table_is_told_and_told_to_be_over(told: Any) -> None:
    assert [alert.level for alert in told["accuracy"]][:2] == ["warning", "critical"]
    assert told["accuracy"][-1].level == "normal"
    assert [alert.level for alert in told["quality"]] == ["warning", "critical", "normal"]
    assert [(alert.signal, alert.level) for alert in told["serving"]] == [
        (signal, level) for signal in SIGNALS for level in ("emergency", "normal")
    ]
    table = sections((DOCS / "monitoring.md").read_text(encoding="utf-8"), 2)["Levels"]
    levels = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert {alert.level for alerts in told.values() for alert in alerts} == levels


@pytest.mark.parametrize("kind", PLANTED)
def test_every_alert_says_on_what_it_rests_and_where_to_read_on(told: Any, kind: str) -> None:
    page, anchor = RUNBOOKS[kind].removeprefix("docs/").split("#")
    known = anchors((DOCS / page).read_text(encoding="utf-8"))

    assert anchor in known
    for alert in told[kind]:
        assert alert.runbook == RUNBOOKS[kind]
        assert "since" in alert.evidence
        assert len(alert.evidence) > 2
        assert alert.action
        worsens = {"warning": ("normal",), "critical": ("normal", "warning")}
        if alert.evidence.get("level_before") in worsens.get(alert.level, ()):
            assert (alert.value < alert.threshold) == (kind == "accuracy")
        if alert.level == "emergency":
            assert alert.value >= alert.threshold
    ids = [alert.alert_id for alert in told[kind]]
    assert len(set(ids)) == len(ids)
