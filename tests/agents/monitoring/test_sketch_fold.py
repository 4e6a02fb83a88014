"""What is counted of predictions and features, and how much of it."""

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.monitoring.sketch_fold import (
    DAY_MS,
    MINUTE_MS,
    MOST_SCORES_A_SECOND,
    SketchFold,
)
from online_models.sketch import Sketch, score_cell, value_cell
from schemas import topics
from schemas.sketches import SCORE, SketchMinute
from tests.agents.record import Record

predicted = st.tuples(
    st.sampled_from(["ada", "bob", "eve"]),
    st.floats(0, 1),
    st.integers(0, 3 * MINUTE_MS),
    st.integers(0, 2),
)


class _Keyed(Record):
    """A record of a user, in a partition."""

    def __init__(self, user: str, value: bytes | None, partition: int = 0) -> None:
        super().__init__(value)
        self._user, self._partition = user.encode(), partition

    def key(self) -> bytes:
        return self._user

    def partition(self) -> int:
        return self._partition


def keyed(user: str, value: bytes | None, partition: int = 0) -> Any:
    return _Keyed(user, value, partition)


def prediction(user, score, at, partition=0, *, source="model") -> Any:
    told = {"score": score, "source": source, "model": "m", "event_at": at, "more": 1}
    return keyed(user, msgspec.json.encode(told), partition)


def update(user, at, **features) -> Any:
    told = {"user_id": user, "as_of": at, "schema": "s", "features": features}
    return keyed(user, msgspec.json.encode(told))


def taken(fold: SketchFold) -> dict[tuple[int, int, str], Sketch]:
    return {
        (record.event_at, record.partition, signal): Sketch.decode(encoded)
        for record in fold.take(10.0, is_last=True)
        for signal, encoded in zip(record.signals, record.sketches, strict=True)
    }


def added_up(records: Iterable[SketchMinute]) -> dict[tuple[int, int], Sketch]:
    found: dict[tuple[int, int], Sketch] = {}
    for record in records:
        of, sketch = (record.event_at, record.partition), Sketch.decode(record.sketches[0])
        found[of] = found.get(of, Sketch()) + sketch
    return found


@given(st.lists(predicted, max_size=40), st.integers(0, 40))
def test_each_score_is_counted_once_in_its_minute_and_partition(drawn, cut):
    fold = SketchFold("u", "binary")
    fold.predictions(prediction(*each) for each in drawn[:cut])
    before = taken(fold)
    fold.predictions(prediction(*each) for each in drawn[cut:])
    found = taken(fold)
    for of, sketch in before.items():
        found[of] = found.get(of, Sketch()) + sketch

    minutes = {(at // MINUTE_MS * MINUTE_MS, partition, SCORE) for _, _, at, partition in drawn}
    assert found.keys() == minutes
    for (minute, partition, _), sketch in found.items():
        cells = [
            score_cell(score)
            for _, score, at, where in drawn
            if (at // MINUTE_MS * MINUTE_MS, where) == (minute, partition)
        ]
        assert sketch.counts == {cell: cells.count(cell) for cell in cells}
    per_user = [sum(each[0] == user for each in drawn) for user in ("ada", "bob", "eve")]
    assert sum(each.squares for each in found.values()) == sum(n * n for n in per_user)


def test_features_are_counted_by_name_and_what_is_no_number_is_left_out():
    fold = SketchFold("u", "binary")
    fold.features(
        [
            update("ada", 5, amount=3.0, clicks=0.0),
            update("ada", 6, amount=3.0),
            update("bob", DAY_MS, amount=4.0),
            keyed("eve", None),
            keyed("eve", b"{"),
        ]
    )
    found = taken(fold)

    assert found == {
        (0, -1, "amount"): Sketch({value_cell(3.0): 2}, squares=4),
        (0, -1, "clicks"): Sketch({0: 1}, squares=1),
        (DAY_MS, -1, "amount"): Sketch({value_cell(4.0): 1}, squares=1),
    }


def test_what_no_model_answered_and_what_is_no_prediction_is_left_out():
    fold = SketchFold("u", "binary")
    fold.predictions(
        [
            prediction("ada", 0.5, 0, source="rules"),
            keyed("ada", None),
            keyed("ada", b"[]"),
            keyed("ada", b'{"score": "x"}'),
        ]
    )

    assert fold.take(10.0) == []


@pytest.mark.parametrize("task", ["regression", "bandit"])
def test_amounts_and_rewards_are_no_probabilities(task):
    fold = SketchFold("u", task)
    fold.predictions([prediction("ada", 250.0, 0)])

    assert taken(fold) == {(0, 0, SCORE): Sketch({value_cell(250.0): 1}, squares=1)}


def test_ten_thousand_features_with_long_names_find_room_in_the_topic():
    names = [f"{n:05}{'x' * 300}" for n in range(10_000)]
    fold = SketchFold("u", "binary")
    fold.features(update(f"u{n}", 0, **dict.fromkeys(names, 1.5**n)) for n in range(20))
    told = fold.take(10.0, is_last=True)

    assert [name for each in told for name in each.signals] == names
    assert max(len(msgspec.json.encode(each)) for each in told) < topics.SKETCHES.max_record_bytes
    assert {Sketch.decode(each).n for record in told for each in record.sketches} == {20}


def test_yesterdays_users_are_forgotten_before_todays(monkeypatch):
    """However many came until then, a user who comes twice a day is one user."""
    monkeypatch.setattr("agents.monitoring.sketch_fold.MOST_USERS", 100)
    fold = SketchFold("u", "binary")
    for day in range(3):
        of_day = [prediction(f"u{n}", 0.5, day * DAY_MS) for n in range(60)]
        fold.predictions(of_day * 2)
    squares = [sketch.squares for sketch in taken(fold).values()]

    assert squares == [60 * 2**2] * 3


def test_of_many_minutes_hours_are_told():
    """A replay runs through months in a minute."""
    fold = SketchFold("u", "binary")
    replayed = [prediction(f"u{n}", 0.5, n * MINUTE_MS) for n in range(150)]
    fold.predictions(replayed)
    first = fold.take(10.0, is_last=True)
    fold.predictions(replayed)
    hours = fold.take(10.0, is_last=True)
    fold.predictions(replayed[:1])
    fold.take(10.0, is_last=True)
    fold.predictions(replayed[:5])

    told = [(each.event_at // MINUTE_MS, each.minutes) for each in first]
    assert told == [*((n, 1) for n in range(60)), (60, 60), (120, 60)]
    assert [(each.event_at // MINUTE_MS, each.minutes) for each in hours] == [
        *((0, 60), (60, 60), (120, 60)),
    ]
    assert [Sketch.decode(each.sketches[0]).n for each in hours] == [60, 60, 30]
    assert [each.minutes for each in fold.take(10.0, is_last=True)] == [1] * 5  # it is over


def test_of_half_a_year_at_once_no_more_is_kept_than_its_hours():
    fold = SketchFold("u", "binary")
    fold.predictions(prediction("u", 0.5, n * DAY_MS // 100) for n in range(18_000))

    assert len(fold.take(10.0)) < 60 + 180 * 24


@given(st.lists(st.lists(predicted, max_size=9), min_size=1, max_size=30))
def test_the_newest_minute_is_told_once_it_is_over_or_a_minute_went_by(drawn):
    whole, fold = SketchFold("u", "binary"), SketchFold("u", "binary")
    records, waited, before = [], 0, -1
    for each in drawn:
        values = [prediction(*value) for value in each]
        whole.predictions(values)
        fold.predictions(values)
        told = fold.take(10.0)
        records += told
        left = fold._begun.keys()
        waited = waited + 1 if left == {before} else 0
        before = next(iter(left), -1)

        assert waited < 6
        assert all(record.event_at // MINUTE_MS != minute for record in told for minute in left)
    records += fold.take(10.0, is_last=True)

    assert added_up(records) == added_up(whole.take(10.0, is_last=True))


def test_when_more_comes_than_there_is_time_for_fewer_users_are_counted_and_each_of_them_whole():
    n_users = 2_000
    fold = SketchFold("u", "binary")
    all_of_them = [prediction(f"u{n}", 0.5, 0) for n in range(n_users)] * 2
    fold.predictions(all_of_them)
    seconds = len(all_of_them) / (4 * MOST_SCORES_A_SECOND)  # four times as fast as there is time
    fold.take(seconds, is_last=True)
    shares = dict(fold.shares)
    fold.predictions(all_of_them)
    ((_, sketch),) = taken(fold).items()

    assert shares == {"scores": 0.25, "features": 1.0}
    assert math.isclose(sketch.n / len(all_of_them), 0.25, abs_tol=0.04)
    assert sketch.n % 2 == 0
    assert fold.shares["scores"] == 1.0  # it was slow since
