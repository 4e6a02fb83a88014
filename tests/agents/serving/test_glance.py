"""What one glance tells: since when, what changed, what happened, against which goals."""

import datetime as dt
import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.pipeline import Incident
from agents.serving.happenings import SHOWN, SPANS_MS, happenings
from agents.serving.health import KEPT, Health, Spell
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
        ("incident", "incident: flu"),
        ("alert", "warning: drift of score mean"),
        ("deployment", f"ada@desk promoted {PIPELINE.challengers[0]}: better"),
        ("trouble", "learn-0 is silent"),
    ]
    assert told["marks"][-1]["until"] is None


def test_each_tile_stands_beside_its_goal_and_says_when_it_is_missed() -> None:
    numbers = {"latency_p50_seconds": 0.2, "predictions_per_second": 3.0}
    champion = {"part": "champion", "window_roc_auc": 0.5, "age_seconds": 60.0}

    def missed(*, waits: bool) -> list[str]:
        told = tiles(PIPELINE, numbers, [champion], None, waits=waits)
        return [tile["name"] for tile in told if tile["missed"]]

    assert missed(waits=False) == ["latency_p50", "roc_auc"]
    assert missed(waits=True) == ["latency_p50", "predictions_per_second", "roc_auc"]
    assert "roc_auc" not in {tile["name"] for tile in tiles(GARDEN, {}, [], None, waits=False)}


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
