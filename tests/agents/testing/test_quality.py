"""Bad data that is planted shows in the score, and raises alerts that say what is wrong."""

from dataclasses import replace
from typing import Any

from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from schemas import topics

GOOD = {
    "action": "home",
    "session_id": "s",
    "platform": "mobile",
    "user_lifecycle": "new",
    "acquisition_channel": "email",
}
SCORE = f'thalweg_quality_score_ratio{{use_case="{PIPELINE.use_case}"}}'


def publish(driver: PipelineDriver, n: int, **fields: Any) -> None:
    driver.publish(*({**GOOD, **fields, "user_id": f"u{i}", "ts": driver.now_ms} for i in range(n)))


def test_a_release_upstream_that_breaks_a_field_is_noticed_and_its_end_too() -> None:
    driver = PipelineDriver(replace(PIPELINE, quality_window=1_000), partitions=2)
    for _ in range(4):
        publish(driver, 250)
    assert driver.metrics.samples()[SCORE] == 1.0
    assert driver.alerts == []

    publish(driver, 120, platform="Android")
    publish(driver, 150, platform=None)
    publish(driver, 250, acquisition_channel=7)
    raised = {alert.signal: alert for alert in driver.alerts}

    assert driver.metrics.samples()[SCORE] < 0.95
    assert raised.keys() == {
        "score",
        "missing_features",
        "platform.unknown_category",
        "platform.null",
        "acquisition_channel.invalid_field",
    }
    assert {alert.kind for alert in driver.alerts} == {"quality"}
    assert raised["platform.unknown_category"].evidence["values"] == {"Android": 120}
    (wrong_type,) = raised["acquisition_channel.invalid_field"].evidence["values"]
    assert wrong_type == "Expected `str | null`, got `int` - at `$.acquisition_channel`"
    assert raised["missing_features"].evidence["worst"].keys() == {
        *("platform_is_mobile", "platform_is_desktop"),
    }
    assert raised["score"].evidence["worst"].keys() >= {"acquisition_channel.invalid_field"}
    assert [record.key() for record in driver.read(topics.ALERTS)] == [
        PIPELINE.use_case.encode()
    ] * len(driver.alerts)

    for _ in range(6):
        publish(driver, 250)
    last = {alert.signal: alert.level for alert in driver.alerts}

    assert driver.metrics.samples()[SCORE] == 1.0
    assert set(last.values()) == {"normal"}


def test_duplicates_and_late_events_are_findings_of_no_field() -> None:
    driver = PipelineDriver(replace(PIPELINE, quality_window=1_000))
    publish(driver, 600)
    for _ in range(2):
        event = GOOD | {"user_id": "twice", "ts": driver.now_ms}
        driver.publish(*(event | {"event_id": f"e{i}"} for i in range(100)))
    driver.publish(*(GOOD | {"user_id": "late", "ts": driver.now_ms - 600_000} for _ in range(100)))

    assert {alert.signal for alert in driver.alerts} == {"duplicate", "late"}
