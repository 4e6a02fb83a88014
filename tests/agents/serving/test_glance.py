"""What one glance tells: since when, what changed, what happened, against which goals."""

import datetime as dt
import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.pipeline import Incident
from agents.serving.happenings import SHOWN, SPANS_MS, happenings, in_event_time
from agents.serving.health import KEPT, Health, Spell
from agents.serving.shift_told import ShiftTold
from agents.serving.tiles import tiles
from examples.shop.pipeline import PIPELINE
from online_models.registry import Change
from schemas.alerts import Alert
from schemas.deployments import Deployment
from tests.agents.serving.garden_pipeline import PIPELINE as GARDEN
from tests.agents.serving.test_overview import overview, said

NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
TROUBLE = [{"id": "x", "text": "x is silent"}]


def alert(raised_at: int) -> Alert:
    return Alert(f"a{raised_at}", "drift", "warning", "u", "score_mean", 0.2, 0.1, raised_at)


def promoted(at: int, **fields: Any) -> Deployment:
    known = {"kind": "promoted", "use_case": PIPELINE.use_case, "model": PIPELINE.challengers[0]}
    return Deployment(**{**known, "at": at, "by": "ada@desk", "why": "better", **fields})


@given(st.lists(st.sampled_from(["unknown", "well", "troubled"]), max_size=200))
def test_since_is_when_the_present_state_began_and_spells_are_its_troubled_runs(
    states: list[str],
) -> None:
    health = Health()
    for second, state in enumerate(states):
        health.note(TROUBLE * (state == "troubled"), heard=state != "unknown", now_ms=second)

    runs = [(s, [n for n, _ in g]) for s, g in itertools.groupby(enumerate(states), lambda x: x[1])]
    last_state, last_run = runs[-1] if runs else ("unknown", [])
    assert health.state == last_state
    assert health.since == (None if last_state == "unknown" else last_run[0])
    ended = [
        (run[0], run[-1] + 1 if run[-1] + 1 < len(states) else None)
        for state, run in runs
        if state == "troubled"
    ]
    assert [(spell.began_at, spell.ended_at) for spell in health.spells] == ended[-KEPT:]


@given(st.lists(st.integers(NOW_MS - 2 * SPANS_MS[-1], NOW_MS), max_size=100))
def test_the_line_shows_the_newest_of_all_that_happened_within_a_week(times: list[int]) -> None:
    told = happenings([alert(at) for at in times], [], [], [], NOW_MS)

    within = sorted(at for at in times if at >= NOW_MS - SPANS_MS[-1])
    assert [mark["at"] for mark in told["marks"]] == within[-SHOWN:]
    assert all(told["from"] <= mark["at"] <= told["until"] for mark in told["marks"])
    shorter = [span for span in SPANS_MS if span < NOW_MS - told["from"]]
    assert all(within[0] < NOW_MS - span for span in shorter)


def test_trouble_decisions_alerts_and_incidents_of_now_stand_on_one_line_in_order() -> None:
    today = dt.datetime.fromtimestamp(NOW_MS / 1000, dt.UTC).date()
    incidents = [
        Incident(name=name, first=day, last=day)
        for name, day in (("flu", today), ("old", dt.date(2020, 1, 1)))
    ]
    told = happenings(
        [alert(NOW_MS - 3 * MINUTE_MS)],
        [Change(7, promoted(NOW_MS - 2 * MINUTE_MS))],
        [Spell(NOW_MS - MINUTE_MS, None, "learn-0 is silent")],
        incidents,
        NOW_MS,
    )

    assert [(mark["kind"], mark["text"]) for mark in told["marks"]] == [
        ("incident", "flu"),
        ("alert", "warning: drift of score mean"),
        ("deployment", f"ada@desk promoted {PIPELINE.challengers[0]}: better"),
        ("trouble", "learn-0 is silent"),
    ]
    assert told["marks"][-1]["until"] is None


def test_each_tile_stands_beside_its_goal_and_says_when_it_is_missed() -> None:
    numbers = {
        "latency_p50_seconds": 0.2,
        "predictions_per_second": 3.0,
        "error_ratio": 0.002,
        "features_missing_ratio": 0.009,
    }
    outcomes = {"window_positives": 30.0, "window_negatives": 400.0}
    champion = {"part": "champion", "window_roc_auc": 0.5, "age_seconds": 60.0, **outcomes}

    def missed(*, waits: bool) -> list[str]:
        told = tiles(PIPELINE, numbers, [champion], None, waits=waits)
        return [tile["name"] for tile in told if tile["missed"]]

    assert missed(waits=False) == ["latency_p50", "error_ratio", "roc_auc"]
    assert missed(waits=True) == ["latency_p50", "predictions_per_second", "error_ratio", "roc_auc"]
    champion["window_positives"] = 29.0  # too few to know
    assert missed(waits=False) == ["latency_p50", "error_ratio"]
    of_classes = {"part": "champion", "recent_accuracy": 0.5}
    told = {tile["name"]: tile for tile in tiles(GARDEN, {}, [of_classes], None, waits=False)}
    assert told["accuracy"]["missed"]
    assert "roc_auc" not in told


def test_the_frame_says_since_when_and_which_decision_took_effect_last() -> None:
    page, ready = overview(), Metrics()
    ready.gauge(metric_list.READY).set(1)
    assert (page.frame(0)["since"], page.frame(0)["changed"]) == (None, None)

    page.fold(said("predict-0", 1_000, ready), 1_000)
    page.fold_deployment(promoted(500), 3)
    page.fold_deployment(promoted(600, by="late", expects=-1), 4)  # takes no effect: ada was faster
    page.fold_deployment(promoted(500), 3)
    page.frame(1_000)
    frame = page.frame(2_000)

    assert frame["since"] == 1_000
    assert frame["changed"]["text"] == f"ada@desk promoted {PIPELINE.challengers[0]}"
    assert [mark["kind"] for mark in frame["happened"]["marks"]] == ["deployment"]


def test_few_predictions_miss_their_goal_only_while_events_wait() -> None:
    def misses(group: str, topic: str) -> bool:
        page, metrics = overview(), Metrics()
        metrics.gauge(metric_list.LAG_SECONDS, group=group, topic=topic).set(7.0)
        for second in (1, 2):
            metrics.counter(metric_list.PREDICTIONS).inc(5)
            page.fold(said("predict-0", second * 1_000, metrics), second * 1_000)
        told = {tile["name"]: tile for tile in page.frame(3_000)["tiles"]}
        assert told["predictions_per_second"]["value"] == 5
        return bool(told["predictions_per_second"]["missed"])

    assert misses("predict", "user-events")
    assert not misses("archive", "predictions")
    assert not misses("learn", "outcomes")


def test_the_promise_of_a_month_is_told_as_spent_and_troubles_nobody_yet() -> None:
    page, watch = overview(), Metrics()
    watch.gauge(metric_list.READY).set(1)
    page.fold(said("watch-0", 1_000, watch), 1_000)
    watch.histogram(metric_list.LATENCY_SECONDS).observe_many([0.01] * 80 + [0.06] * 20)
    page.fold(said("watch-0", 2_000, watch), 2_000)
    frame = page.frame(2_000)
    promise = next(tile for tile in frame["tiles"] if tile["name"] == "prompt_ratio")

    assert (promise["value"], promise["missed"], promise["is_budget"]) == (0.8, True, True)
    assert frame["problems"] == []


def test_errors_and_missing_features_are_shares_of_the_last_minute() -> None:
    page, predict, watch = overview(), Metrics(), Metrics()
    for second in (1, 2):
        predict.counter(metric_list.EVENTS, topic="user-events").inc(1_000)
        predict.counter(metric_list.DEGRADED, reason="no_model").inc(3)
        predict.counter(metric_list.DEGRADED, reason="late").inc(50)  # no error
        predict.counter(metric_list.DEAD_LETTERS, reason="processing_failed").inc(1)
        page.fold(said("predict-0", second * 1_000, predict), second * 1_000)
    for feature, ratio, use_case in (
        *(("platform", 0.02, PIPELINE.use_case), ("hour", 0.01, PIPELINE.use_case)),
        ("amount", 0.9, "other"),
    ):
        labels = {"feature": feature, "use_case": use_case}
        watch.gauge(metric_list.FEATURES_MISSING_RATIO, **labels).set(ratio)
    page.fold(said("watch-0", 2_000, watch), 2_000)
    told = {tile["name"]: tile["value"] for tile in page.frame(2_000)["tiles"]}

    assert told["error_ratio"] == 0.004
    assert told["features_missing_ratio"] == 0.02


@given(
    st.lists(st.integers(0, NOW_MS), max_size=80),
    st.none() | st.tuples(st.integers(0, NOW_MS), st.integers(0, NOW_MS)),
)
def test_on_the_line_of_event_time_alerts_stand_when_what_they_tell_of_happened(
    times: list[int], seen: tuple[int, int] | None
) -> None:
    alerts = [alert(NOW_MS - n) for n in range(len(times))]
    for each, at in zip(alerts, times, strict=True):
        each.evidence = {"event_at": at}
    begins_at, reached = sorted(seen) if seen is not None else (None, None)
    told = in_event_time(
        [*alerts, alert(NOW_MS)], PIPELINE.incidents, begins_at=begins_at, reached=reached
    )

    known = times + [at for at in (begins_at, reached) if at is not None]
    if not known:
        assert told is None
        return
    assert told is not None
    marks = told["marks"]
    assert all(told["from"] <= mark["at"] <= mark["until"] <= told["until"] for mark in marks)
    assert max(known) == told["until"]
    if len(times) + len(PIPELINE.incidents) <= SHOWN:
        assert sorted(times) == [mark["at"] for mark in marks if mark["kind"] == "alert"]


def test_in_a_replay_alerts_stand_within_the_incident_that_explains_them() -> None:
    page = overview()
    bug = PIPELINE.incidents[1]
    at = dt.datetime.combine(bug.first, dt.time(12), dt.UTC)
    replayed = alert(NOW_MS)
    replayed.evidence = {"event_at": int(at.timestamp() * 1000)}
    page.fold_alert(replayed)
    months = [dt.datetime(2024, month, 1, tzinfo=dt.UTC) for month in (1, 7)]
    begins_at, reached = (int(each.timestamp() * 1000) for each in months)
    page.shifts = ShiftTold(begins_at, reached)
    line = page.frame(NOW_MS)["happened_in_event_time"]

    incident = next(mark for mark in line["marks"] if mark["text"] == bug.name)
    told = next(mark for mark in line["marks"] if mark["kind"] == "alert")
    assert line["is_past"]
    assert incident["at"] <= told["at"] <= incident["until"]
    assert not {mark["id"] for mark in page.frame(NOW_MS)["happened"]["marks"]} & {incident["id"]}


def test_a_champion_that_became_worse_needs_a_look_and_a_challenger_does_not() -> None:
    page, learn = overview(), Metrics()
    learn.gauge(metric_list.READY).set(1)
    for model in (PIPELINE.champion, PIPELINE.challengers[0]):
        learn.gauge(metric_list.MODEL_ACCURACY_LEVEL, model=model).set(2)
    page.fold(said("learn-0", 1_000, learn), 1_000)

    assert [problem["text"] for problem in page.frame(1_000)["problems"]] == [
        f"{PIPELINE.champion} is worse than it was: its accuracy is at the level critical"
    ]
