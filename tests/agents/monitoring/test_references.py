"""What signals are held against, whoever chose it, and that it is the same after a restart."""

import dataclasses

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.monitoring import drift_days
from agents.monitoring.drift_view import FORGOTTEN_DAYS, REFERENCE_DAYS, DriftView, Reading
from agents.monitoring.global_view import GlobalView
from agents.monitoring.reference_feed import take
from agents.monitoring.references import Chosen, NoReference, as_row, choose
from agents.observability.metrics import Metrics
from online_models.sketch import Sketch
from schemas.alerts import Level
from schemas.sketches import SketchMinute, SketchReference
from tests.agents.monitoring.records import USE_CASE, day_of, encoded
from tests.agents.record import Record

Kept = dict[bytes, SketchReference]
Made = tuple[bytes, SketchReference | None]


def usual(day: int, *, by: int = 0, n: int = 180) -> SketchMinute:
    return day_of(day, {"clicks": [cell % 9 + by for cell in range(n)]})


def chosen_of(
    records: list[SketchMinute], first: int, last: int, signal: str | None = None
) -> Chosen:
    return choose(
        *(records, first, last),
        use_case=USE_CASE,
        at_ms=5,
        by="ada@desk",
        why="a good week",
        signal=signal,
    )


def chosen(first: int, last: int, records: list[SketchMinute]) -> list[SketchReference]:
    return chosen_of(records, first, last).references


HISTORY = [
    *(usual(day) for day in range(60)),
    *(usual(day, by=40 * (day >= 66)) for day in range(60, 76)),
]
"""What `clicks` are changes on day 66."""


def watched(
    records: list[SketchMinute], kept: Kept, *, start: int = 0, first: int = 0
) -> tuple[list[tuple[Level, str]], dict[str, float]]:
    """Let a `watch` begin that has to read back what is before `start`, and follow to the end.

    What it makes becomes part of what is kept, as it does through the topic.
    """
    values = [encoded(each) for each in records]
    metrics = Metrics()
    view = GlobalView(
        *(USE_CASE, metrics, lambda a, b: ((n, values[n]) for n in range(max(a, first), b))),
        {**kept},
    )
    view.read_back(start)
    alerts: list[tuple[Level, str]] = []
    for offset in range(start, len(values)):
        found = view.fold([Record(values[offset], offset=offset)], now_ms=9)  # type: ignore[list-item]
        alerts += [(alert.level, str(alert.evidence["day"])) for alert in found]
        for key, value in view.references(now_ms=9):
            take(kept, key, value)
    return alerts, metrics.samples()


def test_the_first_week_is_kept_once():
    kept: Kept = {}
    view = DriftView(USE_CASE)
    made: list[Made] = []
    for record in HISTORY:
        view.fold(record)
        made += view.made(now_ms=7)
    (key, reference), *others = made
    assert reference is not None
    take(kept, key, msgspec.json.encode(reference))

    assert others == []
    assert kept == {reference.key: reference}
    assert (reference.first_day, reference.last_day) == (0, REFERENCE_DAYS - 1)
    assert Sketch.decode(reference.sketch).n == REFERENCE_DAYS * 180
    assert (reference.at, reference.by) == (7, "watch")


@pytest.mark.parametrize("restart", [0, 3, 8, 40, 66, 67, 68, 70, 75])
def test_a_successor_that_finds_the_last_days_alone_says_the_same(restart):
    """The topic keeps thirty days: what is left of it is not the reference of what comes."""
    kept: Kept = {}
    before, _ = watched(HISTORY[:restart], kept)
    after, told = watched(HISTORY, kept, start=restart, first=max(0, restart - 30))
    whole, told_at_once = watched(HISTORY, {})

    assert before + after == whole == [("critical", "1970-03-08")]
    assert told == told_at_once


def test_without_what_is_kept_it_would_not():
    """The counter-example: what is left of the topic began after the change."""
    days = [*HISTORY, *(usual(day, by=40) for day in range(76, 80))]
    kept = {each.key: each for each in chosen(0, 6, HISTORY)}
    kept = {key: msgspec.structs.replace(each, after_day=6) for key, each in kept.items()}
    level = 'thalweg_shift_level{model="",signal="clicks"}'

    assert watched(days, kept, start=76, first=67)[1][level] == 2.0
    assert watched(days, {}, start=76, first=67)[1][level] == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"sketch": b"x"},
        {"first_day": 10**9},
        {"last_day": -(10**9)},
        {"after_day": 10**9},
        {"at": 10**30},
    ],
)
def test_what_is_no_reference_leaves_the_one_that_is_known(wrong):
    """It would end `drift reference`, `drift show --since` and the page until it is made anew."""
    (good,) = chosen(0, 6, HISTORY)
    garbage = msgspec.json.encode(msgspec.structs.asdict(good) | wrong)
    kept: Kept = {good.key: good}
    for key in (good.key, b"another"):
        take(kept, key, garbage)

    assert kept == {good.key: good}


def test_a_chosen_reference_holds_for_the_days_that_are_not_over():
    """Held against the days since the change, what came with it is as it should be."""
    kept = {each.key: each for each in chosen(66, 73, HISTORY)}
    (reference,) = kept.values()
    days = [usual(day, by=40 * (day < 80)) for day in range(76, 90)]
    alerts, _ = watched([*HISTORY, *days], kept, start=len(HISTORY))

    assert (reference.after_day, reference.by) == (73, "ada@desk")
    assert alerts == [("critical", "1970-03-22")]
    assert kept == {reference.key: reference}


def test_a_choice_takes_the_place_of_what_was_said_before():
    view = DriftView(USE_CASE)
    for record in HISTORY:
        view.fold(record)
    (before,) = view.readings()
    for reference in chosen(66, 73, HISTORY):
        view.hold_against(reference)
        view.hold_against(msgspec.structs.replace(reference, at=99))  # come back from the topic
    (after,) = view.readings()

    assert before.level == "critical"
    assert (after.level, after.day) == ("normal", None)
    assert view.fold(usual(76, by=40)) == []


def test_its_own_reference_come_back_from_the_topic_changes_nothing():
    view = DriftView(USE_CASE)
    told: list[Made] = []
    for record in HISTORY[:12]:
        view.fold(record)
        told += view.made(now_ms=7)
    before = view.readings()
    for _, reference in told:
        assert reference is not None
        view.hold_against(reference)

    assert view.readings() == before
    assert before[0].day is not None


def test_a_signal_that_is_forgotten_takes_its_reference_along():
    kept: Kept = {}
    days = [day_of(day, {"others": [0] * 60}) for day in range(12, 16 + FORGOTTEN_DAYS)]
    watched([*HISTORY[:12], *days], kept)

    assert [reference.signal for reference in kept.values()] == ["others"]


def test_a_signal_that_has_not_come_yet_is_not_forgotten():
    """Not by who begins, nor for days before its reference, on which it did not come."""
    reference = chosen(0, 6, HISTORY)[0]
    later = msgspec.structs.replace(reference, after_day=100)
    for each, gap in ((reference, 20), (later, 40)):
        view = DriftView(USE_CASE)
        view.hold_against(each)
        for day in (*range(60, 64), *range(64 + gap, 66 + gap)):
            view.fold(day_of(day, {"others": [0] * 60}))
            if day in (60, 65 + gap):
                view.fold(usual(day))

        assert [one.reference for one in view.readings() if one.signal == "clicks"] == [each]


@settings(max_examples=20)
@given(st.data())
def test_days_add_up_to_a_reference_in_whatever_parts_and_order_they_come(data):
    first = data.draw(st.integers(60, 65))
    last = data.draw(st.integers(first, 70))
    (reference,) = chosen(first, last, data.draw(st.permutations(HISTORY[58:])))
    sketch = Sketch()
    for record in HISTORY[first : last + 1]:
        sketch += Sketch.decode(record.sketches[0])

    assert reference.sketch == sketch.encode()
    assert as_row(reference)["users"] == sketch.n


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (70, 69, "is before"),
        (900, 901, "no sketches from"),
        (70, 75, "the last day that is over in event time is 1970-03-15"),
    ],
)
def test_days_that_nothing_can_be_held_against_are_refused(first, last, said):
    with pytest.raises(NoReference, match=said):
        chosen(first, last, HISTORY)


def test_signals_of_too_few_users_keep_the_reference_they_have():
    both = [day_of(0, {"clicks": [1] * 60, "rare": [1] * 9}), usual(9)]
    found = chosen_of(both, 0, 0)

    assert [each.signal for each in found.references] == ["clicks"]
    assert found.left_out == ["rare"]
    with pytest.raises(NoReference, match="no signal has 50 users"):
        chosen_of(both, 0, 0, signal="rare")


@pytest.mark.parametrize("value", [b"", b"{", b'{"use_case": 7}'])
def test_what_is_no_reference_is_passed_over(value):
    kept: Kept = {}
    take(kept, b"k", value)

    assert kept == {}


# ---- days of the past ----------------------------------------------------------------------------


def test_each_day_is_compared_and_weeks_are_told_at_a_glance():
    kept = chosen(0, 6, HISTORY)
    readings = drift_days.days([*HISTORY, usual(77)], kept, USE_CASE)
    (history,) = drift_days.histories(readings)

    assert [each.day for each in readings] == [*range(76)]
    assert (history.compared, history.moved) == (76, 10)
    assert history.largest.level == "critical"
    assert history.weeks == "." * 9 + "CCC"  # day 66 was a Sunday
    assert drift_days.first_monday(readings) == "1969-12-29"


def test_the_days_of_the_past_are_those_that_were_told_of():
    kept: Kept = {}
    whole, _ = watched(HISTORY, kept)
    levels = ["normal"]
    changes = []
    for each in drift_days.days(HISTORY, kept.values(), USE_CASE):
        if each.level != levels[-1]:
            changes.append((each.level, each.day))
        levels.append(each.level)

    assert changes == [("critical", 66)]
    assert len(whole) == 1


def test_no_day_is_no_history():
    assert drift_days.histories([]) == []
    assert drift_days.days([usual(0)], [], USE_CASE) == []


def test_those_that_moved_most_come_first_and_weeks_without_a_day_are_blank():
    def reading(signal: str, day: int, level: str) -> Reading:
        (known,) = drift_days.days(HISTORY[:9], chosen(0, 6, HISTORY), USE_CASE)[-1:]
        return dataclasses.replace(known, signal=signal, day=day, level=level)  # type: ignore[arg-type]

    found = drift_days.histories(
        [
            *(reading("calm", 4, "normal"), reading("calm", 32, "normal")),
            *(reading("moved", 18, "warning"), reading("moved", 19, "normal")),
        ]
    )

    assert [(each.signal, each.weeks) for each in found] == [("moved", "  w  "), ("calm", ".   .")]
