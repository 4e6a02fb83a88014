"""How often the detector cries wolf, and how soon it tells of a wolf."""

import math
import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import pytest

from online_models.drift import RunLength, ScoreDrift
from tests.online_models.drift.streams import alarms, beta, daily, independent, resembling

WARMUP = 100
HOUR_MS = 3_600_000


def at_most(expected: float) -> float:
    """So many alarms may come if so many are expected: three standard errors more."""
    return expected + 3 * math.sqrt(expected)


def false_alarms(
    scores: Iterator[float], run_length: float, n: int, *, warmup: int = WARMUP
) -> tuple[int, float]:
    """Tell how many alarms came, and how many of them the promise allows."""
    drift = ScoreDrift(RunLength.scores(run_length), warmup_scores=warmup)
    found = len(alarms(drift, islice(scores, n)))
    return found, (n - warmup * (found + 1)) / run_length


@pytest.mark.parametrize(
    "draw",
    [
        beta(2 / 7),
        beta(0.01),
        beta(0.5, 0.5),
        lambda rng: rng.uniform(0.4, 0.400001),
        lambda rng: rng.choice([0.01, 0.1, 0.1, 0.1, 0.3, 0.3, 0.6]),
        lambda rng: float(rng.random() < 0.3),
        lambda rng: 0.05 if rng.random() < 0.97 else rng.random(),
    ],
    ids=["skewed", "near zero", "at both ends", "narrow", "few values", "two values", "one often"],
)
def test_false_alarms_are_as_rare_as_promised_whatever_the_distribution(draw):
    found, allowed = false_alarms(independent(draw, random.Random(11)), 1_000, 80_000)

    assert 0.6 * allowed < found < at_most(allowed)


@pytest.mark.parametrize("run_length", [1_000, 10_000])
@pytest.mark.parametrize("rho", [0.3, 0.6])
def test_false_alarms_are_as_rare_of_scores_that_resemble_the_last_one(rho, run_length):
    found, allowed = false_alarms(resembling(rho, random.Random(3)), run_length, 80_000)

    assert found < at_most(allowed)


@pytest.mark.parametrize("by", [0.03, 0.06])
def test_false_alarms_are_as_rare_of_scores_that_follow_the_hour(by):
    found, allowed = false_alarms(daily(by, random.Random(3)), 1_000, 80_000, warmup=400)

    assert found < at_most(allowed)


def test_a_promise_in_time_holds_whatever_the_traffic():
    """Ten times as many scores by day as by night, in bursts."""
    rng = random.Random(7)
    run_length = RunLength.time(timedelta(days=2))
    drift = ScoreDrift(run_length, warmup_scores=WARMUP)
    watched_hours, at_ms, found = 0.0, 0, 0
    for _ in range(80_000):
        by_day = at_ms // HOUR_MS % 24 >= 8
        pause = rng.expovariate(40.0 if by_day else 4.0) if rng.random() < 0.5 else 0.0
        at_ms += int(pause * HOUR_MS)
        watched_hours += pause if drift.n >= WARMUP else 0.0
        found += drift.update(rng.betavariate(2, 5), at_ms) is not None
    allowed = watched_hours / run_length.amount

    assert allowed > 20
    assert 0.5 * allowed < found < at_most(allowed)


def test_more_traffic_raises_no_more_alarms_in_the_same_time():
    """The same month, of a hundred and of ten thousand scores a day."""
    found = {}
    for a_day in (100, 10_000):
        rng = random.Random(2)
        drift = ScoreDrift(RunLength.time(timedelta(days=1)), warmup_scores=WARMUP)
        found[a_day] = sum(
            drift.update(rng.random(), n * 24 * HOUR_MS // a_day) is not None
            for n in range(8 * a_day)
        )

    assert found[10_000] < at_most(8)


@pytest.mark.parametrize("run_length", [10_000, 100_000])
@pytest.mark.parametrize(
    ("after", "signals", "within"),
    [
        (beta(2 / 7 + 0.05), {"score_mean"}, 439),
        (beta(2 / 7 + 0.15), {"score_mean"}, 103),
        (beta(2 / 7 - 0.05), {"score_mean"}, 439),
        (beta(2 / 7, 2), {"score_spread", "score_tail"}, 100),
        (beta(2 / 7, 18), {"score_spread"}, 200),
        (
            lambda rng: 0.97 if rng.random() < 0.05 else rng.betavariate(2, 5),
            {"score_tail", "score_mean"},
            500,
        ),
    ],
    ids=["a little higher", "higher", "a little lower", "wider", "narrower", "a tail"],
)
def test_drift_is_seen_sooner_than_by_adwin_and_in_the_spread_too(
    after, signals, within, run_length
):
    """The limits of the mean are ADWIN's median delays; a change of spread it never sees."""
    delays, named = [], []
    for seed in range(9):
        rng = random.Random(seed)
        drift = ScoreDrift(RunLength.scores(run_length), warmup_scores=WARMUP)
        while alarms(drift, islice(independent(beta(2 / 7), rng), 5_000)):
            pass  # one false alarm in 10,000 may be among them
        delay, alarm = alarms(drift, islice(independent(after, rng), 4_000), first=5_000)[0]
        delays.append(delay)
        named.append(alarm.signal)

    assert sorted(delays)[len(delays) // 2] < within
    assert sum(signal in signals for signal in named) > len(named) / 2
