"""Which features are held against which, when a drift alert is explained."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.monitoring.attribution import WEEK, NoAttribution, explain, needed_from
from online_models.sketch import Sketch, value_cell
from schemas.alerts import Alert
from schemas.sketches import SCORE, SketchMinute
from tests.agents.monitoring.records import USE_CASE

HOUR, DAY = 3_600_000, 86_400_000
ONSET = 100 * DAY + 9 * HOUR + 17 * 60_000
"""At 9:17, not on the hour."""


def alert(
    onset: object = ONSET, event_at: object = ONSET + 5 * HOUR, *, kind: str = "drift"
) -> Alert:
    return Alert(
        *("a", kind, "warning", USE_CASE, "score_mean", 9.0, 8.0, 0),
        evidence={"onset_at": onset, "event_at": event_at, "moved": "world"},
    )


def of_hour(at: int, signals: dict[str, list[float]], *, model: str = "") -> SketchMinute:
    cells = {name: [value_cell(value) for value in values] for name, values in signals.items()}
    return SketchMinute(
        *(USE_CASE, at, -1, model, [*cells]),
        [
            Sketch.of({cell: each.count(cell) for cell in each}, squares=len(each)).encode()
            for each in cells.values()
        ],
    )


def traffic(first: int, end: int, *, moved_from: int, n: int = 8) -> list[SketchMinute]:
    """Hours of eight users each: what they bought, and what hour it was."""
    draw = random.Random(first)
    return [
        of_hour(
            hour * HOUR,
            {
                "bought": [draw.choice((1.0, 2.0, 8.0)) for _ in range(n)],
                "clicked": [draw.choice((1.0, 2.0)) + 4 * (hour * HOUR >= moved_from)] * n,
                "hour_of_day": [float(hour % 24)] * n,
            },
        )
        for hour in range(first // HOUR, end // HOUR)
    ]


FIRST = ONSET - 9 * DAY


@pytest.mark.parametrize("hours", [8, 24, 40])
def test_the_feature_that_moved_is_named_and_what_follows_the_clock_is_not(hours):
    since = ONSET - ONSET % HOUR
    # The newest hour is not over.
    records = traffic(FIRST, ONSET + (hours + 1) * HOUR, moved_from=since)
    found = explain(alert(), records)

    assert [move.feature for move in found.found.moves] == ["clicked"]
    assert found.onset_at == since
    assert found.is_over is (hours >= 24)
    assert found.until == since + min(hours, 24) * HOUR


def test_the_span_is_one_of_whole_days_to_and_with_that_of_the_alert():
    since = ONSET - ONSET % HOUR
    records = traffic(FIRST, ONSET + 5 * DAY, moved_from=since)
    for after, days in ((5 * HOUR, 1), (30 * HOUR, 2), (3 * DAY, 4)):
        found = explain(alert(event_at=ONSET + after), records)
        assert (found.until - found.onset_at, found.is_over) == (days * DAY, True)
    early = explain(
        alert(event_at=ONSET + 3 * DAY), traffic(FIRST, ONSET + 40 * HOUR, moved_from=0)
    )
    assert (early.until - early.onset_at, early.is_over) == (DAY, False)


def test_nothing_that_lies_before_the_week_or_after_the_span_counts():
    since = ONSET - ONSET % HOUR
    week = traffic(ONSET - WEEK * DAY, ONSET + 2 * DAY, moved_from=since)
    other = [
        of_hour(at, {"bought": [512.0] * 900, "new": [1.0] * 900})
        for at in (needed_from(alert()) - HOUR, since + 26 * HOUR)
    ]
    scores = [of_hour(since, {SCORE: [0.5] * 900, "bought": [512.0] * 900}, model="m")]

    assert explain(alert(), week + other + scores) == explain(alert(), week)


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(draw):
    records = traffic(FIRST, ONSET + DAY, moved_from=ONSET, n=3)
    shuffled = [*records]
    draw.shuffle(shuffled)

    assert explain(alert(), shuffled) == explain(alert(), records)


def test_what_cannot_be_read_is_passed_over():
    records = traffic(FIRST, ONSET + 2 * DAY, moved_from=ONSET)
    broken = SketchMinute(USE_CASE, ONSET, -1, "", ["bought"], [b"\x80"])

    assert explain(alert(), [broken, *records]) == explain(alert(), records)


@pytest.mark.parametrize(
    "other",
    [
        *(alert(kind="shift"), alert(None), alert(0), alert("yesterday"), alert(10**20)),
        *(alert(event_at=each) for each in (None, "yesterday", 10**20)),
    ],
)
def test_an_alert_without_an_onset_is_not_explained(other):
    with pytest.raises(NoAttribution, match="no drift alert with an onset"):
        explain(other, [])


def test_few_users_are_held_against_four_weeks():
    """More of the past makes it surer only where there is not much of it."""
    since = ONSET - ONSET % HOUR
    week = explain(alert(), traffic(FIRST, ONSET + 2 * DAY, moved_from=since))
    few = explain(
        alert(event_at=ONSET + 3 * DAY), traffic(FIRST, ONSET + 5 * DAY, moved_from=since)
    )
    four = traffic(ONSET - 30 * DAY, ONSET + 5 * DAY, moved_from=since, n=2)
    many = explain(alert(event_at=ONSET + 3 * DAY), four, 28)

    assert [each.is_thin for each in (week, few, many)] == [False, True, False]
    assert [*many.n_users] == [28 * 48, 4 * 48]
    assert many.before_from == needed_from(alert(), 28) == since - 28 * DAY


def test_where_nobody_came_it_says_so():
    found = explain(alert(), [])
    row = found.as_row()

    assert (row["features"], row["n_compared"], row["is_over"]) == ([], 0, False)
    assert "too few users" in row["told"]
