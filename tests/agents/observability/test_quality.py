"""Levels of data quality: bad data is told, chance and flapping are not."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from math import comb

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.observability.quality import (
    MIN_EVENTS,
    QualityChange,
    QualityLevels,
    Share,
    Signal,
)
from agents.observability.quality_alert import QualityWatch
from agents.observability.standing_alerts import StandingAlerts
from agents.pipeline import Pipeline
from schemas.alerts import Alert
from schemas.events import UserEvent
from schemas.telemetry import Telemetry
from streams.expectations import expect
from streams.features import count, field_value
from streams.label_rule import happens_within
from streams.quality import Tally
from streams.quality_window import TILES, QualityWindow

SIGNAL = Signal("amount", "out_of_range")
HOUR = timedelta(hours=1)
PIPELINE = Pipeline(
    use_case="quality",
    event=UserEvent,
    actions=frozenset({"buy"}),
    features=(count(over=HOUR), field_value("amount")),
    label=happens_within("buy", HOUR),
    champion="binary_logistic_v1",
    quality=(expect("amount", between=(0, 10), required=True),),
    quality_window=1_000,
)
FOUND = {"field": "amount", "finding": "out_of_range"}


def share(bad: int, of: int = 1_000) -> Share:
    return Share(bad, of, of, tolerance=0.01)


def feed(rates: Iterable[int]) -> list[QualityChange]:
    levels = QualityLevels()
    return [change for bad in rates for change in levels.update([(SIGNAL, share(bad))])]


@given(st.lists(st.integers(0, 1_000), max_size=60))
def test_changes_follow_each_other_and_normal_is_forgotten(rates: list[int]) -> None:
    changes = feed(rates)

    assert all(change.level != change.before for change in changes)
    assert all(one.level == other.before for one, other in pairwise(changes))
    assert [change.before for change in changes[:1]] in ([], ["normal"])


@given(st.lists(st.integers(7, 14), min_size=1, max_size=60))
def test_a_share_that_plays_about_its_tolerance_does_not_flap(rates: list[int]) -> None:
    assert feed(rates) == []
    assert [change.level for change in feed([30, *rates])] == ["warning"]


def test_levels_begin_where_they_should() -> None:
    assert [change.level for change in feed([0, 30, 1_000, 100, 6, 5])] == [
        *("warning", "critical", "warning", "normal"),
    ]


@pytest.mark.parametrize("bad", [MIN_EVENTS - 1, 1])
def test_few_events_say_nothing(bad: int) -> None:
    levels = QualityLevels()

    assert levels.update([(SIGNAL, share(bad, of=MIN_EVENTS - 1))]) == []


def test_chance_raises_next_to_no_alarm() -> None:
    """A share that is just tolerable, read off so many windows of independent events."""
    n, p = 1_000, 0.01
    chance = sum(
        comb(n, bad) * p**bad * (1 - p) ** (n - bad)
        for bad in range(200)
        if share(bad, n).lower > p
    )

    assert 0 < chance < 0.005


# ---- the window ----------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3)), min_size=1, max_size=40),
    size=st.integers(1, 400),
)
def test_a_window_holds_the_latest_events_and_not_many_more(
    sizes: list[tuple[int, int]], size: int
) -> None:
    window = QualityWindow(size)
    tallies = [Tally(served=n, duplicates=more) for n, more in sizes]
    for at_ms, tally in enumerate(tallies):
        window.add(tally, at_ms)
    events, largest = window.tally.events, max(tally.events for tally in tallies)

    assert events >= min(size, sum(tally.events for tally in tallies))
    assert events <= size + size / TILES + largest
    latest = [sum(tally.events for tally in tallies[first:]) for first in range(len(tallies) + 1)]
    assert events in latest
    assert len(window._tiles) <= TILES + 2


# ---- the watch -----------------------------------------------------------------------------------


class Predict:
    """As much of a predict process as telemetry shows."""

    def __init__(self, name: str = "predict-0", pid: int = 1) -> None:
        self.name = name
        self.pid = pid
        self.metrics = Metrics()
        self.metrics.counter(metric_list.PREDICTIONS)

    def count(self, served: int, bad: int = 0, **values: int) -> "Predict":
        self.metrics.counter(metric_list.PREDICTIONS).inc(served)
        self.metrics.counter(metric_list.QUALITY_CHECKS, field="amount").inc(served)
        found = self.metrics.counter(metric_list.QUALITY_FINDINGS, **FOUND)
        found.inc(bad)
        found.exemplify(values)
        return self

    def say(self, at: int) -> Telemetry:
        samples = self.metrics.samples()
        return Telemetry(self.name, self.pid, at, samples, self.metrics.take_exemplars())


def gauge(metrics: Metrics, name: str, **labels: str) -> float | None:
    pairs = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return metrics.samples().get(f"{name}{{{pairs}}}")


def test_processes_are_added_up_and_one_that_starts_anew_counts_from_zero() -> None:
    metrics = Metrics()
    watch = QualityWatch(PIPELINE, metrics)
    one, other, successor = Predict(), Predict("predict-1"), Predict(pid=2)
    for process in (one, other):
        watch.fold(process.say(0))
    watch.fold(one.count(100, bad=10).say(1_000))
    watch.fold(other.count(200, bad=20).say(1_000))
    watch.fold(successor.count(100, bad=30).say(2_000))
    watch.fold(Telemetry("learn-0", 7, 3_000, {}))

    found = gauge(metrics, "thalweg_quality_finding_ratio", **FOUND, use_case="quality")
    assert found == 60 / 400
    score = gauge(metrics, "thalweg_quality_score_ratio", use_case="quality")
    assert score == pytest.approx(1 - 60 / (400 * 3))


def test_a_container_that_starts_anew_with_the_same_pid_counts_from_zero() -> None:
    metrics = Metrics()
    watch = QualityWatch(PIPELINE, metrics)
    watch.fold(Predict().say(0))
    watch.fold(Predict().count(100, bad=10).say(1_000))
    watch.fold(Predict().count(50, bad=20).say(2_000))

    found = gauge(metrics, "thalweg_quality_finding_ratio", **FOUND, use_case="quality")
    assert found == 30 / 150


def test_a_last_word_of_who_was_succeeded_is_not_all_that_it_ever_counted() -> None:
    metrics = Metrics()
    watch = QualityWatch(PIPELINE, metrics)
    first, successor = Predict(), Predict(pid=2)
    watch.fold(first.say(0))
    watch.fold(first.count(100, bad=10).say(1_000))
    watch.fold(successor.count(50, bad=20).say(2_000))
    watch.fold(first.count(10).say(2_100))
    watch.fold(successor.count(40).say(3_000))

    found = gauge(metrics, "thalweg_quality_finding_ratio", **FOUND, use_case="quality")
    assert found == 30 / 200


def test_what_is_told_again_is_counted_once() -> None:
    metrics = Metrics()
    watch, predict = QualityWatch(PIPELINE, metrics), Predict()
    said = [predict.count(100, bad=bad).say(at) for at, bad in enumerate((0, 10, 0))]
    for telemetry in (*said, *said):
        watch.fold(telemetry)

    found = gauge(metrics, "thalweg_quality_finding_ratio", **FOUND, use_case="quality")
    assert found == 10 / 200


def test_what_was_counted_before_the_watch_began_is_left_out() -> None:
    metrics = Metrics()
    watch, predict = QualityWatch(PIPELINE, metrics), Predict().count(1_000, bad=1_000)

    assert watch.fold(predict.say(0)) == []
    assert metrics.samples() == {}
    watch.fold(predict.count(10).say(1_000))
    assert gauge(metrics, "thalweg_quality_score_ratio", use_case="quality") == 1.0


def test_a_watch_that_starts_anew_tells_that_what_was_told_before_it_is_over() -> None:
    first, predict = QualityWatch(PIPELINE, Metrics()), Predict()
    first.fold(predict.say(0))
    standing = StandingAlerts("quality")
    for alert in first.fold(predict.count(1_000, bad=1_000).say(1_000)):
        standing.take(msgspec.json.encode(alert))
    successor = QualityWatch(PIPELINE, Metrics())
    successor.begin(standing.of("quality"))
    successor.fold(predict.say(2_000))
    over = successor.fold(predict.count(1_000).say(3_000))

    assert {each.signal for each in over} == {"score", "amount.out_of_range"}
    assert {each.level for each in over} == {"normal"}
    assert all(each.evidence["level_before"] != "normal" for each in over)


def test_an_alert_says_which_field_which_values_and_since_when_and_when_it_is_over() -> None:
    watch, predict = QualityWatch(PIPELINE, Metrics()), Predict()
    alerts: list[Alert] = watch.fold(predict.say(0))
    for second in range(1, 11):
        alerts += watch.fold(predict.count(100).say(second * 1_000))
    assert alerts == []
    predict.count(100, bad=50, **{"-1.0": 40, "99.0": 10})
    alerts += watch.fold(predict.say(11_000))
    (alert,) = alerts

    assert (alert.kind, alert.level, alert.use_case) == ("quality", "warning", "quality")
    assert alert.alert_id == "quality-quality-amount.out_of_range-11000-warning"
    assert alert.value > alert.threshold == 0.01
    assert alert.evidence == {
        "level_before": "normal",
        "since": "1970-01-01T00:00:11.000Z",
        "found": 50,
        "of": 1_000,
        "events": 1_000,
        "field": "amount",
        "finding": "out_of_range",
        "values": {"-1.0": 40, "99.0": 10},
    }

    over: list[Alert] = []
    for second in range(12, 40):
        over += watch.fold(predict.count(100).say(second * 1_000))
    assert [(each.signal, each.level) for each in over] == [("amount.out_of_range", "normal")]


def test_an_alert_computed_again_is_the_same_alert() -> None:
    def alerts() -> list[Alert]:
        watch, predict = QualityWatch(PIPELINE, Metrics()), Predict()
        watch.fold(predict.say(0))
        return watch.fold(predict.count(1_000, bad=900).say(1_000))

    assert alerts() == alerts() != []


def test_the_score_falls_and_its_alert_names_the_worst() -> None:
    watch, predict = QualityWatch(PIPELINE, Metrics()), Predict()
    watch.fold(predict.say(0))
    alerts = watch.fold(predict.count(1_000, bad=900).say(1_000))
    (score,) = (each for each in alerts if each.signal == "score")

    assert score.value == pytest.approx(0.7)
    assert score.threshold == pytest.approx(0.95)
    assert score.evidence["worst"] == {"amount.out_of_range": 0.9}
