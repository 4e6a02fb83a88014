"""The model of the page."""

import datetime as dt
from dataclasses import replace

import msgspec
import orjson
import pytest

from agents.observability import metric_list
from agents.observability.metric_spec import GaugeSpec
from agents.observability.metrics import Metrics
from agents.serving.fleet import SILENT_MS
from agents.serving.overview import MAX_ALERTS, Overview
from agents.serving.timeline import SPAN_S
from agents.silence import Silence
from examples.shop.pipeline import PIPELINE
from schemas.alerts import Alert
from schemas.deployments import Deployment
from schemas.telemetry import Telemetry


def overview() -> Overview:
    return Overview(PIPELINE, "exactly_once")


def said(process: str, at: int, metrics: Metrics) -> Telemetry:
    return Telemetry(process=process, pid=1, at=at, samples=metrics.samples())


def alert(number: int, raised_at: dt.datetime) -> Alert:
    raised_ms = int(raised_at.timestamp() * 1000)
    return Alert(f"a{number}", "drift", "warning", "u", "score_mean", 0.2, 0.1, raised_ms)


def test_before_any_telemetry_nothing_is_known_and_nothing_is_wrong() -> None:
    frame = overview().frame(1_000)

    assert frame["heard_at"] is None
    assert frame["processes"] == frame["problems"] == frame["lag"] == frame["alerts"] == []
    assert frame["numbers"]["events_per_second"] is None
    assert frame["numbers"]["latency_p99_seconds"] is None


def test_every_frame_is_json() -> None:
    page, metrics = overview(), Metrics()
    for spec in metric_list.ALL:
        labels = dict.fromkeys(spec.labels, "0")
        if isinstance(spec, GaugeSpec):
            metrics.gauge(spec, **labels).set(1)
    page.fold(said("predict-0", 0, metrics), 0)

    assert orjson.loads(orjson.dumps(page.with_history(0)))["processes"][0]["state"] == "ready"


def test_the_history_of_a_replayed_past_has_its_own_times() -> None:
    page, metrics = overview(), Metrics()
    for second in range(1, 61):
        metrics.counter(metric_list.PREDICTIONS).inc(second)
        page.fold(said("predict-0", second * 1_000, metrics), now_ms=10_000_000)
    history = page.with_history(60_900)["history"]

    assert [point["at"] for point in history] == list(range(1, 61))
    # A second's point is taken as it begins, before that second's record is in.
    assert [point["predictions"] for point in history[2:]] == list(range(2, 60))


def test_the_history_is_bounded_and_a_gap_in_it_costs_nothing() -> None:
    page = overview()
    page.frame(0)
    history = page.with_history(10_000_000_000)["history"]

    assert len(history) == SPAN_S
    assert history[-1]["at"] == 10_000_000


def test_a_clock_that_is_ahead_does_not_run_away_with_the_charts() -> None:
    page = overview()
    page.fold(said("predict-0", 9_999_999, Metrics()), now_ms=5_000)

    assert [point["at"] for point in page.with_history(6_000)["history"]] == [5, 6]


def test_problems_name_who_is_down_who_is_not_ready_and_what_is_slow() -> None:
    page, silent, starting, watch = overview(), Metrics(), Metrics(), Metrics()
    silent.gauge(metric_list.READY).set(1)
    starting.gauge(metric_list.READY).set(0)
    starting.gauge(metric_list.RESTORE_PROGRESS).set(0.625)
    watch.gauge(metric_list.READY).set(1)
    now_ms = SILENT_MS + 3_000
    page.fold(said("learn-0", 0, silent), now_ms)
    page.fold(said("watch-0", now_ms - 1_000, watch), now_ms)
    watch.histogram(metric_list.LATENCY_SECONDS).observe_many([0.8] * 10)
    labels = {"group": "store", "topic": "feature-updates"}
    watch.gauge(metric_list.LAG_RECORDS, **labels).set(70)
    watch.gauge(metric_list.LAG_SECONDS, **labels).set(12)
    page.fold(said("watch-0", now_ms, watch), now_ms)
    page.fold(said("predict-0", now_ms, starting), now_ms)

    assert [problem["text"] for problem in page.frame(now_ms + 1_000)["problems"]] == [
        "learn-0 has been silent for 9 s",
        "predict-0 is not ready: 62% of its state is restored",
        "store is 12 s behind on feature-updates",
        "median latency is 875 ms, its goal at most 100 ms",
        "p99 latency is 998 ms, its goal at most 500 ms",
    ]


def test_what_the_archive_gathers_is_not_told_as_what_waits() -> None:
    page = overview()
    for process, n in (("predict-0", 3), ("store-0", 4), ("archive-0", 20_000)):
        metrics = Metrics()
        metrics.gauge(metric_list.IN_FLIGHT_RECORDS).set(n)
        page.fold(said(process, 0, metrics), 0)

    assert page.frame(0)["numbers"]["in_flight_records"] == 7


def test_the_archive_may_lag_while_it_gathers() -> None:
    page, metrics = overview(), Metrics()
    metrics.gauge(metric_list.READY).set(1)
    for group, seconds in (("archive", 61.0), ("learn", 4.0)):
        labels = {"group": group, "topic": "outcomes"}
        metrics.gauge(metric_list.LAG_SECONDS, **labels).set(seconds)
    page.fold(said("watch-0", 0, metrics), 0)
    frame = page.frame(0)

    assert {row["group"]: row["seconds"] for row in frame["lag"]} == {"archive": 61.0, "learn": 4.0}
    assert frame["problems"] == []

    metrics.gauge(metric_list.LAG_SECONDS, group="archive", topic="outcomes").set(91.0)
    page.fold(said("watch-0", 1_000, metrics), 1_000)
    assert [row["text"] for row in page.frame(1_000)["problems"]] == [
        "archive is 91 s behind on outcomes"
    ]


def test_models_stand_beside_the_baselines_they_must_beat() -> None:
    page, metrics = overview(), Metrics()
    for model, auc in ((PIPELINE.champion, 0.84), (metric_list.BASELINE_RATE, 0.5)):
        metrics.gauge(metric_list.MODEL_ROC_AUC, model=model).set(auc)
    page.fold(said("learn-0", 0, metrics), 0)
    rows = page.frame(0)["models"]

    assert [row["part"] for row in rows] == ["champion", "challenger", "baseline", "baseline"]
    assert [row.get("roc_auc") for row in rows] == [0.84, None, 0.5, None]


def test_whether_a_model_is_quick_enough_to_serve_is_told_as_of_the_slowest_worker() -> None:
    page = overview()
    for process, p99_s in (("predict-0", 0.003), ("predict-1", 0.001)):
        metrics = Metrics()
        metrics.gauge(metric_list.MODEL_ASKING_SECONDS, model=PIPELINE.champion).set(p99_s)
        metrics.gauge(metric_list.MODEL_MAY_SERVE, model=PIPELINE.champion).set(p99_s < 0.002)
        page.fold(said(process, 0, metrics), 0)
    champion, challenger, *_ = page.frame(0)["models"]

    assert (champion["asking_p99_seconds"], champion["may_serve"]) == (0.003, False)
    assert "may_serve" not in challenger


def test_drift_is_told_by_partition_in_their_order() -> None:
    page, metrics = overview(), Metrics()
    for partition in (10, 2):
        labels = {"partition": partition, "signal": "score_mean"}
        metrics.gauge(metric_list.DRIFT_STATISTIC, **labels).set(partition / 4)
        metrics.counter(metric_list.DRIFT_ALARMS, **labels).inc(partition)
    page.fold(said("predict-0", 0, metrics), 0)

    assert page.frame(0)["drift"] == [
        {"partition": "2", "signal": "score_mean", "statistic": 0.5, "alarms": 2},
        {"partition": "10", "signal": "score_mean", "statistic": 2.5, "alarms": 10},
    ]


def test_data_quality_is_told_by_field_those_expected_first() -> None:
    page, metrics = overview(), Metrics()
    shop, other = {"use_case": PIPELINE.use_case}, {"use_case": "other"}
    fields = [each.field for each in PIPELINE.quality]
    metrics.gauge(metric_list.QUALITY_SCORE, **shop).set(0.93)
    metrics.gauge(metric_list.QUALITY_SCORE, **other).set(0.1)
    metrics.gauge(metric_list.QUALITY_NULL_RATIO, field=fields[1], **shop).set(0.2)
    for field, finding, ratio in (
        ("*", "not_json", 0.01),
        (fields[1], "null", 0.2),
        (fields[1], "unknown_category", 0.0),
    ):
        labels = {"field": field, "finding": finding}
        metrics.gauge(metric_list.QUALITY_FINDING_RATIO, **labels, **shop).set(ratio)
    page.fold(said("watch-0", 0, metrics), 0)
    quality = page.frame(0)["quality"]

    assert quality["score"] == 0.93
    assert [row["field"] for row in quality["fields"]] == [*fields, "*"]
    assert quality["fields"][0]["findings"] == {}
    assert quality["fields"][1] == {
        "field": fields[1],
        "findings": {"null": 0.2},
        "null_ratio": 0.2,
    }
    assert quality["fields"][-1]["findings"] == {"not_json": 0.01}


def test_parity_is_told_by_feature_the_worst_first() -> None:
    page, metrics = overview(), Metrics()
    assert page.frame(0)["parity"] == {"compared": 0, "missing": 0, "extra": 0, "mismatches": {}}

    metrics.counter(metric_list.PARITY_COMPARED).inc(200)
    metrics.counter(metric_list.PARITY_MISSING).inc(3)
    metrics.counter(metric_list.PARITY_EXTRA).inc(1)
    for feature, n in (("event_count_1h", 4), ("click_rate_7d", 9)):
        metrics.counter(metric_list.PARITY_MISMATCHES, feature=feature).inc(n)
    page.fold(said("watch-0", 0, metrics), 0)
    parity = page.frame(0)["parity"]

    assert list(parity.pop("mismatches").items()) == [("click_rate_7d", 9), ("event_count_1h", 4)]
    assert parity == {"compared": 200, "missing": 3, "extra": 1}


def test_an_alert_is_held_against_the_known_incidents() -> None:
    page = overview()
    page.fold_alert(alert(1, dt.datetime(2024, 2, 28, 23, 59, tzinfo=dt.UTC)))
    page.fold_alert(alert(2, dt.datetime(2024, 3, 3, 23, 59, tzinfo=dt.UTC)))

    assert [told["incident"] for told in page.alerts()] == ["viral article", None]


def test_an_alert_about_past_events_happened_when_they_did() -> None:
    page = overview()
    replayed = alert(1, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    replayed.evidence = {"event_at": int(dt.datetime(2024, 3, 1, tzinfo=dt.UTC).timestamp() * 1000)}
    page.fold_alert(replayed)
    (told,) = page.alerts()

    assert told["happened_at"] == replayed.evidence["event_at"] < told["raised_at"]
    assert told["incident"] == "viral article"


@pytest.mark.parametrize("at", ["yesterday", None, [], 10**30, -(10**18), float("nan")])
def test_an_alert_that_cannot_have_happened_does_not_end_the_page(at: object) -> None:
    page = overview()
    wrong = alert(1, dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    wrong.evidence = {"event_at": at}
    page.fold_alert(msgspec.json.decode(msgspec.json.encode(wrong), type=Alert))
    page.fold_alert(alert(2, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)))

    assert [told["alert_id"] for told in page.frame(0)["alerts"]] == ["a2"]
    assert orjson.dumps(page.frame(0))


@pytest.mark.parametrize(
    "evidence",
    [
        {"onset_at": "yesterday"},
        {"onset_at": 10**20},
        {"recent": "less"},
        {"reference": []},
        {"users": 10**30},
    ],
)
def test_an_alert_that_the_page_cannot_draw_does_not_end_it(evidence: dict[str, object]) -> None:
    page = overview()
    for wrong in (
        msgspec.structs.replace(
            alert(1, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)), evidence=evidence
        ),
        Alert("a3", *("drift", "warning", "u", "score_mean"), 0.2, 0.1, 10**30, {"event_at": 1}),
    ):
        page.fold_alert(msgspec.json.decode(msgspec.json.encode(wrong), type=Alert))
    page.fold_alert(alert(2, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)))

    assert [told["alert_id"] for told in page.frame(0)["alerts"]] == ["a2"]
    assert orjson.dumps(page.with_history(0))


def test_a_decision_of_no_time_takes_effect_and_does_not_end_the_page() -> None:
    page = overview()
    challenger = PIPELINE.challengers[0]
    promoted = Deployment(
        kind="promoted",
        use_case=PIPELINE.use_case,
        model=challenger,
        at=10**30,
        by="ada",
        replaces=PIPELINE.champion,
    )
    page.fold_deployment(promoted, offset=3)
    frame = page.frame(1_000)

    assert orjson.dumps(frame)
    assert [row["model"] for row in frame["models"] if row["part"] == "champion"] == [challenger]


def test_a_process_whose_number_has_no_form_in_json_is_none() -> None:
    told = {"process": "p", "pid": 10**30, "at": 1, "samples": {}}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(told), type=Telemetry)


def test_alerts_come_newest_first_once_each_and_boundedly() -> None:
    page = overview()
    for number in [*range(MAX_ALERTS + 10), MAX_ALERTS + 9]:
        page.fold_alert(alert(number, dt.datetime(2024, 1, 1, tzinfo=dt.UTC)))
    ids = [told["alert_id"] for told in page.alerts()]

    assert ids == [f"a{number}" for number in range(MAX_ALERTS + 9, 9, -1)]


def test_every_alert_on_either_line_is_in_the_list_that_it_leads_to() -> None:
    page, begin = overview(), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    for number in range(50):
        told = alert(number, begin)
        told.evidence = {"event_at": told.raised_at - number * 60_000}
        page.fold_alert(told)
    frame = page.frame(int(begin.timestamp() * 1000))
    listed = {row["alert_id"] for row in frame["alerts"]}

    for line in (frame["happened"], frame["happened_in_event_time"]):
        assert {mark["alert"] for mark in line["marks"] if mark["kind"] == "alert"} == listed


def test_who_is_promoted_is_the_champion_of_the_page_however_often_it_is_told() -> None:
    page = overview()
    challenger = PIPELINE.challengers[0]
    promoted = Deployment(
        kind="promoted",
        use_case=PIPELINE.use_case,
        model=challenger,
        at=0,
        by="ada",
        replaces=PIPELINE.champion,
    )

    def parts() -> dict[str, str]:
        return {row["model"]: row["part"] for row in page.frame(1_000)["models"]}

    before = parts()
    for _ in range(2):
        page.fold_deployment(promoted, offset=3)

    assert before[PIPELINE.champion] == "champion"
    assert parts() == before | {PIPELINE.champion: "challenger", challenger: "champion"}


def test_the_page_tells_the_silences_that_are_not_over_declared_and_decided() -> None:
    begin, end = (dt.datetime.fromtimestamp(second, dt.UTC) for second in (1, 3))
    declared = Silence(since=begin, until=end, why="sale")
    page = Overview(replace(PIPELINE, silences=(declared,)), "exactly_once")
    decided = Deployment(
        kind="silenced",
        use_case=PIPELINE.use_case,
        model="",
        at=1_000,
        by="ada",
        why="labels are mended",
        alert_kind="accuracy",
        until=2_000,
    )
    page.fold_deployment(decided, 0)
    frames = [page.frame(at) for at in (1_000, 2_000, 3_000)]

    assert frames[0]["silences"] == [
        {"kinds": [], "since": 1_000, "until": 3_000, "by": None, "why": "sale"},
        {
            "kinds": ["accuracy"],
            "since": 1_000,
            "until": 2_000,
            "by": "ada",
            "why": "labels are mended",
        },
    ]
    assert frames[1]["silences"] == frames[0]["silences"][:1]
    assert frames[2]["silences"] == []
    assert frames[0]["changed"]["text"].startswith("ada silenced accuracy alerts until 1970")
