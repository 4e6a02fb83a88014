"""The harness for drift detectors, held against what can be known without it."""

import random
from itertools import islice, pairwise

import pytest

from benchmarks.drift.detectors import CANDIDATES, Candidate
from benchmarks.drift.measures import Delays, Effort, delays, false_alarms
from benchmarks.drift.streams import (
    CHANGES,
    DAY_MS,
    STABLE,
    STEADY,
    Scored,
    daily,
    in_blocks,
    independent,
    resembling,
)

EFFORT = Effort(n_seeds=4, n_stable=25_000)
BY_NAME = {each.name: each for each in CANDIDATES}


def scores(stream, n):
    return [each.score for each in islice(stream(random.Random(1)), n)]


def autocorrelation(values):
    mean = sum(values) / len(values)
    products = sum((a - mean) * (b - mean) for a, b in pairwise(values))
    return products / sum((value - mean) ** 2 for value in values)


def test_what_looks_at_nothing_has_the_figures_of_nothing():
    periodic, never = BY_NAME["periodic, each 10,000"], BY_NAME["never"]
    stream = independent(STEADY)

    assert false_alarms(periodic, stream, EFFORT) == EFFORT.n_stable // 10_000
    assert false_alarms(never, stream, EFFORT) == 0
    assert delays(never, STEADY, EFFORT) == Delays([], EFFORT.n_seeds)


def test_a_delay_counts_from_the_first_score_that_is_another():
    above = Candidate("above 2", lambda: lambda score, _: score > 2)
    tenth = iter([*[0.0] * 9, 3.0] * EFFORT.n_seeds)

    assert delays(above, lambda _: next(tenth), EFFORT) == Delays([10] * EFFORT.n_seeds, 0)


def test_alarms_before_the_change_are_no_finds():
    early = Candidate("early", lambda: lambda _, at_ms: at_ms < DAY_MS)

    assert delays(early, STEADY, EFFORT).n_missed == EFFORT.n_seeds


@pytest.mark.parametrize("name", ["mean +.05", "mean +.15", "wider", "narrower", "5 % to .97"])
def test_changes_change_what_they_say(name):
    before = scores(independent(STEADY), 20_000)
    after = scores(independent(CHANGES[name]), 20_000)
    mean = sum(after) / len(after) - sum(before) / len(before)
    expected = {"mean +.05": 0.05, "mean +.15": 0.15, "5 % to .97": 0.05 * (0.97 - 2 / 7)}

    assert mean == pytest.approx(expected.get(name, 0.0), abs=0.006)


def test_dependence_is_what_it_is_said_to_be():
    assert autocorrelation(scores(STABLE["Beta(2, 5)"], 20_000)) == pytest.approx(0, abs=0.03)
    assert autocorrelation(scores(resembling(0.6), 20_000)) == pytest.approx(0.57, abs=0.04)
    assert autocorrelation(scores(daily(0.06), 20_000)) == pytest.approx(0.066, abs=0.03)


def test_blocks_keep_the_order_and_the_hours_of_their_days():
    days = [
        [Scored(day + hour / 100, day * DAY_MS + hour) for hour in range(3)] for day in (1, 2, 3)
    ]
    drawn = list(islice(in_blocks(days, 2)(random.Random(1)), 12))
    by_day = [[each.score for each in drawn[at : at + 3]] for at in range(0, 12, 3)]

    assert [each.at_ms for each in drawn] == [
        day * DAY_MS + hour for day in range(4) for hour in range(3)
    ]
    assert all(day[0] + 0.02 == pytest.approx(day[2]) for day in by_day)
    assert all(
        second[0] == first[0] + 1 for first, second in zip(by_day[::2], by_day[1::2], strict=True)
    )


@pytest.mark.parametrize("stream", STABLE)
def test_the_promise_holds_in_the_harness_too(stream):
    found = false_alarms(BY_NAME["bets, 1 per 10,000"], STABLE[stream], EFFORT)

    assert found <= 2.5 + 3 * 2.5**0.5
