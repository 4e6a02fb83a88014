"""Whether a promise is kept, found out from a past that is drawn anew."""

import random
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.drift import RunLength
from online_models.drift.resampling import DAY_MS, ENOUGH_PROMISED, Kept, Scored, _drawn, check

POLICY = RunLength.scores(400)


def past(n_days: int, *, weekly: float = 0.0) -> list[list[Scored]]:
    """Days of 60 scores in two partitions; where asked, those of each other week are higher."""
    rng = random.Random(n_days)
    return [
        [
            Scored(
                rng.betavariate(2, 5) + weekly * (day // 7 % 2),
                day * DAY_MS + n * DAY_MS // 60,
                n % 2,
            )
            for n in range(60)
        ]
        for day in range(n_days)
    ]


def kept(days: list[list[Scored]], length: int, run_length: RunLength = POLICY) -> Kept:
    return check(days, length, run_length, warmup_scores=50, most_scores=20_000, seed=3)


def test_where_days_resemble_each_other_the_promise_is_kept():
    for length in (1, 7):
        found = kept(past(60), length)
        assert found.verdict == "kept"
        assert ENOUGH_PROMISED <= found.promised < ENOUGH_PROMISED + 1
        assert found.scores > found.promised * 400  # warm-ups do not count


def test_weeks_that_differ_break_it():
    found = kept(past(140, weekly=0.05), 7)

    assert found.verdict == "broken"
    assert found.alarms > 1.5 * found.promised


def test_a_promise_in_time_is_one_of_all_partitions_together():
    """Of two partitions each promises twice as long: together, three alarms a day are allowed."""
    both = RunLength.time(timedelta(hours=8)).times(2)
    found = check(past(60), 1, both, warmup_scores=2, most_scores=20_000, seed=3)
    days = found.scores / 60

    assert found.verdict == "kept"
    assert 2 * days < found.promised <= 3 * days


def test_little_is_said_to_be_too_little():
    found = check(past(20), 1, POLICY, warmup_scores=50, most_scores=900, seed=3)

    assert found.scores == 900
    assert found.verdict == "too little to say"
    assert check([[], []], 1, POLICY, warmup_scores=50, most_scores=9, seed=3).scores == 0


@settings(max_examples=20)
@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_runs_are_days_that_followed_each_other_at_their_hours(length, rng):
    days = past(9)
    drawn = _drawn(days, length, rng)
    whole = [next(drawn) for _ in range(60 * length * 3)]
    of_day = [whole[at : at + 60] for at in range(0, len(whole), 60)]
    known = [[each.score for each in day] for day in days]
    order = [known.index([each.score for each in day]) for day in of_day]

    assert [each.at_ms for each in whole] == sorted(each.at_ms for each in whole)
    assert [each.at_ms % DAY_MS for each in of_day[0]] == [each.at_ms % DAY_MS for each in days[0]]
    for at in range(0, len(order), length):
        run = order[at : at + length]
        assert run == [*range(run[0], run[0] + length)]
