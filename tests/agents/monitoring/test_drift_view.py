"""When a signal is said to have moved, and when to be back."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agents.monitoring.drift_view import FALSE_ALARMS, REFERENCE_DAYS, DriftView
from online_models.sketch import Sketch
from schemas.sketches import SCORE, SketchMinute
from tests.agents.monitoring.records import USE_CASE, day_of

DRAW = random.Random(5)
USUAL, HIGHER, SLIGHTLY = (0.0, 8.0), (8.0, 8.0), (3.0, 8.0)


def drawn(shape: tuple[float, float], n: int = 300) -> list[int]:
    return [round(DRAW.gauss(*shape)) for _ in range(n)]


def after(view: DriftView, days: dict[int, tuple[float, float]], *, n: int = 300):
    """Let days pass; tell the changes of level as they came."""
    return [
        (shift.before, shift.reading.level, shift.reading.day)
        for day, shape in days.items()
        for shift in view.fold(day_of(day, {"amount": drawn(shape, n)}))
    ]


def days(first: int, last: int, shape: tuple[float, float]) -> dict[int, tuple[float, float]]:
    return dict.fromkeys(range(first, last + 1), shape)


def test_a_signal_that_moved_is_told_once_and_so_is_its_return():
    view = DriftView(USE_CASE)
    week = after(view, days(0, REFERENCE_DAYS - 1, USUAL))
    usual = after(view, days(7, 10, USUAL))
    moved = after(view, days(11, 14, HIGHER))
    back = after(view, days(15, 20, USUAL))

    assert (week, usual) == ([], [])
    assert moved == [("normal", "critical", 11)]
    assert back == [("critical", "normal", 16)]


def test_a_small_change_is_a_warning():
    view = DriftView(USE_CASE)
    after(view, days(0, 8, USUAL), n=1_000)
    moved = after(view, days(9, 12, SLIGHTLY), n=1_000)
    (reading,) = view.readings()

    assert moved == [("normal", "warning", 9)]
    assert reading.comparison is not None
    assert reading.p <= FALSE_ALARMS


def test_without_a_change_no_signal_of_twenty_moves_in_half_a_year():
    view = DriftView(USE_CASE)
    names = [f"feature_{n}" for n in range(20)]
    shifts = [
        shift
        for day in range(180)
        for shift in view.fold(day_of(day, {name: drawn(USUAL, 60) for name in names}))
    ]

    assert shifts == []
    assert {reading.day for reading in view.readings()} == {
        177
    }  # the last day but one: the last is not over


def test_days_that_few_users_come_on_are_taken_together():
    view = DriftView(USE_CASE)
    after(view, days(0, 7, USUAL))
    told = after(view, days(8, 40, HIGHER), n=12)
    (reading,) = view.readings()

    assert told == [("normal", "critical", 12)]  # the fifth day of 12 users
    assert reading.comparison is not None
    assert 50 <= reading.comparison.n_recent < 62


def test_models_are_held_against_themselves():
    view = DriftView(USE_CASE)
    for day in range(12):
        view.fold(day_of(day, {SCORE: drawn(USUAL)}, model="a", partition=0))
        if day > 2:
            view.fold(day_of(day, {SCORE: drawn(HIGHER)}, model="b", partition=0))

    told = {(each.signal, each.model): each.level for each in view.readings()}
    assert told == {(SCORE, "a"): "normal", (SCORE, "b"): "normal"}


def test_a_model_that_left_is_forgotten():
    view = DriftView(USE_CASE)
    view.fold(day_of(0, {SCORE: drawn(USUAL)}, model="left", partition=0))
    for day in range(1, 40):
        view.fold(day_of(day, {SCORE: drawn(USUAL)}, model="serves", partition=0))

    assert [each.model for each in view.readings()] == ["serves"]


@given(st.randoms(use_true_random=False))
def test_in_which_parts_and_in_which_order_a_day_comes_does_not_matter(draw):
    """Partitions, workers, and what was late: within a day all add up."""
    whole, parts = DriftView(USE_CASE), DriftView(USE_CASE)
    for day in range(10):
        values = [draw.randint(-3, 3) for _ in range(60)]
        whole.fold(day_of(day, {"amount": values}))
        cuts = sorted(draw.randint(0, 60) for _ in range(draw.randint(0, 3)))
        pieces = [values[a:b] for a, b in pairwise([0, *cuts, 60])]
        draw.shuffle(pieces)
        for n, piece in enumerate(pieces):
            parts.fold(day_of(day, {"amount": piece}, minute=draw.randint(0, 50), partition=n))

    assert parts.readings() == whole.readings()
    assert whole.readings()[0].comparison is not None


def test_what_cannot_be_read_changes_nothing():
    view = DriftView(USE_CASE)
    broken = SketchMinute("u", 0, 0, "", ["a", "b"], [Sketch().encode(), b"\x80"])
    try:
        view.fold(broken)
    except ValueError as error:
        told = str(error)

    assert "ends within a number" in told
    assert view.readings() == []
