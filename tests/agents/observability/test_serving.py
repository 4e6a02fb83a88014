"""An emergency is told once, and once that it is over; and a watch that starts anew knows of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.observability.serving_alert import MIN_ANSWERS, ServingWatch
from agents.observability.standing_alerts import StandingAlerts
from examples.shop.pipeline import PIPELINE
from online_models.rules import when
from schemas.alerts import Alert
from tests.agents.record import Record

AFTER_MS = PIPELINE.emergency_after // timedelta(milliseconds=1)


def answers(n: int, source: str, *degraded: str) -> Any:
    value = msgspec.json.encode({"source": source, "degraded": degraded})
    return [Record(value, offset=offset) for offset in range(n)]


def begun(pipeline: Any = PIPELINE) -> ServingWatch:
    watch = ServingWatch(pipeline)
    watch.begin([], now_ms=0)
    return watch


def levels(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(each.signal, each.level) for each in alerts]


def test_events_that_wait_for_nobody_are_an_emergency_until_somebody_answers() -> None:
    watch = begun()
    watch.predictions(answers(1, "model"), 1_000)
    watch.waiting(5.0)
    before = watch.look(AFTER_MS)
    told = [alert for at in range(1, 6) for alert in watch.look(AFTER_MS + 1_000 * at)]
    watch.waiting(0.0)
    watch.predictions(answers(1, "model"), AFTER_MS + 6_000)
    over = watch.look(AFTER_MS + 6_500)

    assert before == []
    assert levels(told) == [("predictions_stopped", "emergency")]
    assert told[0].evidence["since_at"] == 1_000
    assert levels(over) == [("predictions_stopped", "normal")]


def test_a_quiet_night_is_no_emergency() -> None:
    watch = begun()
    watch.waiting(0.0)

    assert watch.look(100 * AFTER_MS) == []


@pytest.mark.parametrize("known", ["answered", "learned"])
def test_answers_of_no_model_though_there_is_one_are_an_emergency(known: str) -> None:
    with_rules = replace(PIPELINE, rules=(when("event_count_1h", above=100, score=0.9),))
    watch = begun(with_rules)
    if known == "answered":
        watch.predictions(answers(1, "model"), 0)
    else:
        name = f'thalweg_model_evaluated_outcomes{{model="{PIPELINE.champion}"}}'
        watch.learned({name: 7.0}, PIPELINE.champion)
    watch.predictions(answers(MIN_ANSWERS - 1, "rules", "no_model"), 1_000)
    too_few = watch.look(AFTER_MS + 900)
    watch.predictions(answers(1, "default", "no_model"), AFTER_MS + 1_000)
    told = watch.look(AFTER_MS + 1_000) + watch.look(AFTER_MS + 2_000)
    watch.predictions(answers(1, "model"), AFTER_MS + 3_000)
    over = watch.look(AFTER_MS + 3_000)

    assert too_few == []
    assert levels(told) == [("models_absent", "emergency")]
    assert told[0].action == "rules answer"
    assert told[0].evidence["degraded"] == {"no_model": MIN_ANSWERS}
    assert levels(over) == [("models_absent", "normal")]


def test_a_pipeline_that_has_learned_nothing_yet_misses_no_model() -> None:
    watch = begun()
    watch.predictions(answers(1_000, "default", "no_model"), 0)
    watch.predictions(answers(1_000, "default", "no_model"), 2 * AFTER_MS)

    assert watch.look(2 * AFTER_MS) == []


def test_a_model_that_has_not_learned_enough_to_answer_is_not_missed() -> None:
    watch = begun()
    watch.learned(
        {f'thalweg_model_evaluated_outcomes{{model="{PIPELINE.champion}"}}': 7.0}, PIPELINE.champion
    )
    watch.predictions(answers(1, "default", "no_model"), 0)
    watch.predictions(answers(1_000, "default", "model_untrained"), 2 * AFTER_MS)
    in_its_beginning = watch.look(2 * AFTER_MS)
    watch.predictions(answers(1, "model"), 3 * AFTER_MS)
    watch.predictions(answers(1_000, "default", "model_untrained"), 3 * AFTER_MS)
    watch.predictions(answers(1, "default", "model_untrained"), 4 * AFTER_MS)

    assert in_its_beginning == []
    assert levels(watch.look(4 * AFTER_MS)) == [("models_absent", "emergency")]


def test_one_answer_of_a_model_is_enough() -> None:
    watch = begun()
    for second in range(60):
        watch.predictions(answers(MIN_ANSWERS, "rules"), second * 1_000)
        watch.predictions(answers(1, "ensemble"), second * 1_000)

        assert watch.look(second * 1_000) == []


def test_answers_that_come_too_late_are_an_emergency_until_they_come_in_time() -> None:
    watch, line_s = begun(), PIPELINE.goals.latency_p99_emergency.total_seconds()
    told = []
    for n, n_late in enumerate((0, 5, 50, 50, 2, 0)):
        at = n * AFTER_MS
        watch.predictions(answers(1, "model"), at)
        watch.latencies([line_s + 0.01] * n_late + [0.02] * (200 - n_late), at)
        told.append(levels(watch.look(at + AFTER_MS)))
    raised = watch.raised

    slow = "predictions_slow"
    assert told == [[], [], [(slow, "emergency")], [], [(slow, "normal")], []]
    assert raised == frozenset()


@pytest.mark.parametrize("signal", ["predictions_stopped", "models_absent", "predictions_slow"])
def test_a_clock_that_is_set_back_delays_no_emergency(signal: str) -> None:
    watch, hour_ms = begun(), 3_600_000
    watch.predictions(answers(1, "model"), hour_ms)
    if signal == "predictions_stopped":
        watch.waiting(5.0)
    else:
        watch.predictions(answers(1, "rules", "no_model"), hour_ms)
    watch.latencies([60.0] * 100, hour_ms)
    set_back = watch.look(7)
    if signal != "predictions_stopped":
        watch.predictions(answers(MIN_ANSWERS, "rules", "no_model"), AFTER_MS + 7)
    told = watch.look(AFTER_MS + 7)

    assert set_back == []
    assert (signal, "emergency") in levels(told)


def test_an_emergency_of_late_answers_says_on_what_it_rests() -> None:
    watch = begun()
    watch.latencies([6.0] * 200, 1_000)
    (alert,) = watch.look(1_000 + AFTER_MS)

    assert (alert.value, alert.threshold) == (6.0, 5.0)
    assert alert.evidence["predictions_late"] == alert.evidence["predictions"] == 200
    assert (alert.evidence["since_at"], alert.evidence["longest_seconds"]) == (1_000, 6.0)
    assert alert.runbook == "docs/operations.md#a-serving-alert"


@given(st.lists(st.tuples(st.sampled_from(["model", "rules", ""]), st.integers(0, 20_000))))
def test_each_signal_is_raised_and_lowered_by_turns_whoever_starts_anew(
    steps: list[tuple[str, int]],
) -> None:
    watch, standing, told, now_ms = begun(), StandingAlerts(PIPELINE.use_case), list[Alert](), 0
    for source, ms in steps:
        now_ms += ms
        watch.waiting(0.0 if source else 1.0)
        watch.predictions(answers(MIN_ANSWERS, source) if source else [], now_ms)
        for alert in watch.look(now_ms):
            told.append(alert)
            standing.take(msgspec.json.encode(alert))
        successor = ServingWatch(PIPELINE)
        successor.begin(standing.of("serving"), now_ms)
        assert successor._raised == watch._raised

    for signal in ("predictions_stopped", "models_absent"):
        of_it = [each.level for each in told if each.signal == signal]
        assert of_it == ["emergency", "normal"] * (len(of_it) // 2) + ["emergency"] * (
            len(of_it) % 2
        )
