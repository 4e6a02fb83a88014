import random
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.drift import DriftAlarm, ScoreDrift

WARMUP = 200
Draw = Callable[[random.Random], float]


def detector(scores_per_false_alarm: float = 1e6) -> ScoreDrift:
    return ScoreDrift(scores_per_false_alarm=scores_per_false_alarm, warmup_scores=WARMUP)


def beta(mean: float, concentration: float = 7) -> Draw:
    return lambda rng: rng.betavariate(mean * concentration, (1 - mean) * concentration)


def alarms(drift: ScoreDrift, scores: Iterable[float]) -> list[tuple[int, DriftAlarm]]:
    found = ((i, drift.update(score)) for i, score in enumerate(scores, start=1))
    return [(i, alarm) for i, alarm in found if alarm is not None]


@pytest.mark.parametrize(
    ("draw", "at_most"),
    [
        (beta(2 / 7), 1.3),
        (beta(0.01), 1.3),
        (beta(0.5, 0.5), 1.3),
        (lambda rng: rng.uniform(0.4, 0.400001), 1.3),
        # With few values there is less to see, and less to be alarmed by.
        (lambda rng: rng.choice([0.01, 0.1, 0.1, 0.1, 0.3, 0.3, 0.6]), 10),
    ],
    ids=["skewed", "near zero", "at both ends", "narrow", "few values"],
)
def test_false_alarms_are_as_rare_as_promised_whatever_the_distribution(draw, at_most):
    promised, n = 1_000, 200_000
    rng = random.Random(11)
    false = alarms(detector(promised), (draw(rng) for _ in range(n)))
    watched = n - WARMUP * (len(false) + 1)

    assert 0.8 <= watched / len(false) / promised <= at_most


@pytest.mark.parametrize(
    ("before", "after", "signal", "within"),
    [
        (beta(2 / 7), beta(2 / 7 + 0.05), "score_mean", 440),
        (beta(2 / 7), beta(2 / 7 + 0.15), "score_mean", 103),
        (beta(2 / 7), beta(2 / 7 - 0.05), "score_mean", 440),
        (beta(2 / 7), beta(2 / 7, 2), "score_spread", 100),
        (beta(2 / 7), beta(2 / 7, 18), "score_spread", 200),
    ],
    ids=["a little higher", "higher", "a little lower", "wider", "narrower"],
)
def test_drift_is_seen_sooner_than_by_adwin_and_in_the_spread_too(before, after, signal, within):
    """The limits of the mean are ADWIN's median delays; a change of spread it never sees."""
    delays, signals = [], []
    for seed in range(15):
        rng, drift = random.Random(seed), detector()
        assert alarms(drift, (before(rng) for _ in range(5_000))) == []
        delay, alarm = alarms(drift, (after(rng) for _ in range(2_000)))[0]
        delays.append(delay)
        signals.append(alarm.signal)

    assert sorted(delays)[len(delays) // 2] < within
    assert signals.count(signal) > len(signals) / 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), digits=st.sampled_from([1, 2, 17]))
def test_only_the_order_of_the_scores_matters(seed, digits):
    """Whatever calibration does to the scores, the alarms stay."""
    rng = random.Random(seed)
    scores = [round(beta(0.3)(rng), digits) for _ in range(600)]
    scores += [round(beta(0.5)(rng), digits) for _ in range(200)]

    raw = alarms(detector(20_000), scores)
    cubed = alarms(detector(20_000), (score**3 / 2 for score in scores))

    assert [(i, a.signal, a.statistic) for i, a in raw] == [
        (i, a.signal, a.statistic) for i, a in cubed
    ]
    assert raw


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), at=st.integers(0, 1_200))
def test_a_decoded_detector_goes_on_where_the_encoded_one_was(seed, at):
    rng = random.Random(seed)
    scores = [beta(0.3)(rng) for _ in range(900)] + [beta(0.5)(rng) for _ in range(300)]
    uninterrupted = detector(20_000)
    expected = alarms(uninterrupted, scores)

    first = detector(20_000)
    early = alarms(first, scores[:at])
    second = ScoreDrift.decode(first.encode(), scores_per_false_alarm=20_000, warmup_scores=WARMUP)
    late = [(at + i, alarm) for i, alarm in alarms(second, scores[at:])]

    assert early + late == expected
    assert second.encode() == uninterrupted.encode()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    first=st.integers(2, 300),
    then=st.integers(2, 300),
    at=st.integers(0, 400),
)
def test_another_warmup_holds_for_a_reference_that_is_not_set_yet(seed, first, then, at):
    rng = random.Random(seed)
    scores = [beta(0.3)(rng) for _ in range(1_000)]
    policy = {"scores_per_false_alarm": 1e9}
    before = ScoreDrift(**policy, warmup_scores=first)
    alarms(before, scores[:at])
    after = ScoreDrift.decode(before.encode(), **policy, warmup_scores=then)
    found = alarms(after, scores[at:])

    warmed_up_with = first if at >= first else max(then, at + 1)
    expected = ScoreDrift(**policy, warmup_scores=warmed_up_with)
    assert alarms(expected, scores) == found == []
    assert after.encode() == expected.encode()


def test_a_longer_warmup_raises_no_alarm_by_itself():
    policy = {"scores_per_false_alarm": 100_000}
    for seed in range(20):
        rng = random.Random(seed)
        before = ScoreDrift(**policy, warmup_scores=100)
        alarms(before, (beta(2 / 7)(rng) for _ in range(150)))
        after = ScoreDrift.decode(before.encode(), **policy, warmup_scores=200)

        assert alarms(after, (beta(2 / 7)(rng) for _ in range(1_000))) == []


def test_scores_that_never_vary_never_alarm():
    assert alarms(detector(100), [0.5] * 5_000) == []


def test_an_alarm_says_what_moved_from_where_to_where():
    rng, drift = random.Random(5), detector()
    steady = [beta(0.2)(rng) for _ in range(3_000)]
    alarms(drift, steady)
    assert drift.standings()[0].reference == pytest.approx(sum(steady) / len(steady))

    _, alarm = alarms(drift, (beta(0.6)(rng) for _ in range(300)))[0]

    assert alarm.signal == "score_mean"
    assert alarm.reference == pytest.approx(0.2, abs=0.02)
    assert alarm.value > 0.25
    assert alarm.statistic > alarm.threshold == drift.threshold
    assert 3_000 < alarm.n < 3_100


def test_each_signal_stands_for_itself():
    rng, drift = random.Random(5), detector(1e12)
    alarms(drift, (beta(0.3)(rng) for _ in range(3_000)))
    alarms(drift, (beta(0.3, 1.5)(rng) for _ in range(60)))
    location, spread = drift.standings()

    assert (location.signal, spread.signal) == ("score_mean", "score_spread")
    assert location.statistic < spread.statistic / 2 < drift.threshold / 2
    assert spread.statistic == drift.statistic
    assert spread.recent > 1.3 * spread.reference
    assert location.recent == pytest.approx(location.reference, abs=0.1)


def test_after_an_alarm_the_new_level_becomes_the_reference():
    rng, drift = random.Random(5), detector()
    alarms(drift, (beta(0.2)(rng) for _ in range(1_000)))

    moved = alarms(drift, (beta(0.6)(rng) for _ in range(5_000)))

    assert len(moved) == 1
    assert drift.standings()[0].reference == pytest.approx(0.6, abs=0.02)


def test_state_stays_small():
    rng, drift = random.Random(5), ScoreDrift(scores_per_false_alarm=1e9, warmup_scores=5_000)
    alarms(drift, (rng.random() for _ in range(20_000)))

    assert len(drift.encode()) < 6_000
