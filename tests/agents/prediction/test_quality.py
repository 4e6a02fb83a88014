"""What predict counts of the quality of events: each once, however its batch is cut."""

from typing import Any

import msgspec

from agents.observability.metrics import Metrics
from examples.shop.pipeline import PIPELINE
from tests.agents.buggy_plan import BuggyPlan
from tests.agents.partition_run import NOON_MS, PartitionRun
from tests.agents.record import Record

GOOD = {
    "user_id": "u",
    "action": "home",
    "ts": NOON_MS,
    "session_id": "s",
    "platform": "mobile",
    "user_lifecycle": "new",
    "acquisition_channel": "email",
}


def event(**fields: Any) -> Record:
    return Record(msgspec.json.encode(GOOD | fields))


def test_findings_are_counted_once_though_a_record_makes_the_code_raise() -> None:
    metrics = Metrics()
    plan = BuggyPlan(lambda name: "features" if name == "poison" else None, metrics=metrics)
    PartitionRun(plan=plan).events(
        event(),
        event(platform="fridge"),
        event(event_id="poison", platform="tv"),
        event(platform=None),
        event(event_id="twice"),
        event(event_id="twice"),
        event(platform=7),
        Record(b"{"),
    )
    told = {
        name: value
        for name, value in metrics.samples().items()
        if name.startswith(("thalweg_quality", "thalweg_features_missing")) and value
    }
    n_served = 4

    assert told == {
        **{
            f'thalweg_quality_checks_total{{field="{each.field}"}}': n_served
            for each in PIPELINE.quality
        },
        'thalweg_quality_nulls_total{field="platform"}': 1,
        'thalweg_quality_findings_total{field="platform",finding="null"}': 1,
        'thalweg_quality_findings_total{field="platform",finding="unknown_category"}': 1,
        'thalweg_quality_findings_total{field="platform",finding="invalid_field"}': 1,
        'thalweg_quality_findings_total{field="*",finding="not_json"}': 1,
        'thalweg_features_missing_total{feature="platform_is_mobile"}': 1,
        'thalweg_features_missing_total{feature="platform_is_desktop"}': 1,
    }
    exemplars = metrics.take_exemplars()
    unknown = 'thalweg_quality_findings_total{field="platform",finding="unknown_category"}'
    wrong_type = 'thalweg_quality_findings_total{field="platform",finding="invalid_field"}'
    assert exemplars[unknown] == {"fridge": 1}
    assert list(exemplars[wrong_type]) == ["Expected `str | null`, got `int` - at `$.platform`"]


def test_features_at_their_defaults_are_counted_once_each_however_batches_are_cut() -> None:
    metrics = Metrics()
    plan = BuggyPlan(lambda name: "features" if name == "poison" else None, metrics=metrics)
    PartitionRun(plan=plan).events(
        event(),
        event(event_id="poison"),
        event(action="product_view"),
        Record(msgspec.json.encode(GOOD | {"user_id": "v", "action": "purchase"}), b"v"),
    )
    at_default = metrics.samples()

    def told(feature: str) -> float | None:
        return at_default.get(f'thalweg_features_default_total{{feature="{feature}"}}')

    assert told("event_count_1h") == 0
    assert told("click_count_1h") == 2
    assert told("seconds_since_purchase") == 3  # a purchase looks at the one before it
    assert told("session_count_30d") == 3
    assert told("session_events") is None
    assert told("is_click") is None
