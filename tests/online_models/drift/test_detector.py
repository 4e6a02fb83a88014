import random
from datetime import timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.drift import SIGNALS, RunLength, ScoreDrift
from tests.online_models.drift.streams import MS_A_SCORE, alarms, beta, independent

WARMUP = 200
RUN_LENGTHS = (RunLength.scores(20_000), RunLength.time(timedelta(days=30)))


def detector(scores: float = 1e6, warmup: int = WARMUP) -> ScoreDrift:
    return ScoreDrift(RunLength.scores(scores), warmup_scores=warmup)


def some(draw, rng, n):
    return list(islice(independent(draw, rng), n))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    digits=st.sampled_from([1, 2, 17]),
    run_length=st.sampled_from(RUN_LENGTHS),
)
def test_only_the_order_of_the_scores_matters(seed, digits, run_length):
    """Whatever calibration does to the scores, the alarms stay."""
    rng = random.Random(seed)
    scores = [round(score, digits) for score in some(beta(0.3), rng, 600)]
    scores += [round(score, digits) for score in some(beta(0.5), rng, 400)]

    first, second = (ScoreDrift(run_length, warmup_scores=WARMUP) for _ in range(2))
    raw = alarms(first, scores)
    changed = alarms(second, [score**3 / 2 for score in scores])

    assert first.statistic == second.statistic
    assert [(i, a.signal, a.statistic, a.onset_ms) for i, a in raw] == [
        (i, a.signal, a.statistic, a.onset_ms) for i, a in changed
    ]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    at=st.integers(0, 1_200),
    run_length=st.sampled_from(RUN_LENGTHS),
    warmup=st.sampled_from([2, 100, 300]),
)
def test_a_decoded_detector_goes_on_where_the_encoded_one_was(seed, at, run_length, warmup):
    rng = random.Random(seed)
    scores = some(beta(0.3), rng, 900) + some(beta(0.5), rng, 300)
    uninterrupted = ScoreDrift(run_length, warmup_scores=warmup)
    expected = alarms(uninterrupted, scores)

    first = ScoreDrift(run_length, warmup_scores=warmup)
    early = alarms(first, scores[:at])
    second = ScoreDrift.decode(first.encode(), run_length, warmup_scores=warmup)
    late = [(at + i, alarm) for i, alarm in alarms(second, scores[at:], first=at)]

    assert early + late == expected
    assert second.encode() == uninterrupted.encode()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    first=st.integers(2, 300),
    then=st.integers(2, 300),
    share=st.floats(0, 1, exclude_max=True),
)
def test_another_warmup_holds_for_a_reference_that_is_not_set_yet(seed, first, then, share):
    at = int(share * min(first, 256))
    scores = some(beta(0.3), random.Random(seed), 1_000)
    before = detector(1e9, first)
    alarms(before, scores[:at])
    after = ScoreDrift.decode(before.encode(), RunLength.scores(1e9), warmup_scores=then)
    expected = detector(1e9, max(then, at + 1))

    assert alarms(expected, scores) == alarms(after, scores[at:], first=at) == []
    assert after.encode() == expected.encode()


def test_another_warmup_raises_no_alarm_by_itself():
    for seed in range(20):
        rng = random.Random(seed)
        before = detector(100_000, 100)
        alarms(before, some(beta(2 / 7), rng, 150))
        after = ScoreDrift.decode(before.encode(), RunLength.scores(100_000), warmup_scores=200)

        assert alarms(after, some(beta(2 / 7), rng, 1_000)) == []


def test_what_was_owned_in_scores_is_not_held_against_a_budget_of_hours():
    rng = random.Random(5)
    before = detector(1e12)
    alarms(before, some(beta(0.3), rng, 1_000) + some(beta(0.5), rng, 60))
    month = RunLength.time(timedelta(days=30))
    after = ScoreDrift.decode(before.encode(), month, warmup_scores=WARMUP)

    assert before.statistic > 3
    assert after.statistic == 0.0
    assert after.n == before.n
    assert alarms(after, some(beta(0.5), rng, 500), first=1_060)


def test_scores_that_never_vary_never_alarm():
    assert alarms(detector(100), [0.5] * 5_000) == []


def test_an_alarm_says_what_moved_from_where_to_where_and_since_when():
    rng, drift = random.Random(5), detector()
    steady = some(beta(0.2), rng, 3_000)
    alarms(drift, steady)
    assert drift.standings()[0].reference == pytest.approx(sum(steady) / len(steady))

    i, alarm = alarms(drift, some(beta(0.6), rng, 300), first=3_000)[0]

    assert alarm.signal == "score_mean"
    assert alarm.reference == pytest.approx(0.2, abs=0.02)
    assert 0.4 < alarm.value < 0.7
    assert 1.5 < alarm.severity < 4
    assert alarm.statistic >= alarm.threshold == drift.threshold == pytest.approx(6)
    assert alarm.n == 3_000 + i < 3_100
    assert abs(alarm.onset_ms / MS_A_SCORE - 3_001) <= 10
    assert alarm.n_since_onset == alarm.n - alarm.onset_ms // MS_A_SCORE + 1


def test_onsets_lie_near_the_change():
    errors = []
    for seed in range(15):
        rng, drift = random.Random(seed), detector()
        alarms(drift, some(beta(2 / 7), rng, 2_000))
        _, alarm = alarms(drift, some(beta(2 / 7 + 0.1), rng, 1_000), first=2_000)[0]
        errors.append(alarm.onset_ms // MS_A_SCORE - 2_001)

    assert abs(sorted(errors)[len(errors) // 2]) <= 15


def test_a_change_of_the_spread_is_told_under_its_own_name():
    rng, drift = random.Random(5), detector(1e12)
    alarms(drift, some(beta(0.3), rng, 3_000))
    alarms(drift, some(beta(0.3, 1.5), rng, 60), first=3_000)
    mean, spread, tail = drift.standings()

    assert (mean.signal, spread.signal, tail.signal) == SIGNALS
    assert mean.statistic < spread.statistic / 2 < drift.threshold / 2
    assert drift.statistic == pytest.approx(spread.statistic, abs=0.1)
    assert spread.recent > 1.3 * spread.reference
    assert mean.recent == pytest.approx(mean.reference, abs=0.1)


def test_after_an_alarm_the_new_level_becomes_the_reference():
    rng, drift = random.Random(5), detector()
    alarms(drift, some(beta(0.2), rng, 1_000))

    moved = alarms(drift, some(beta(0.6), rng, 5_000))

    assert len(moved) == 1
    assert drift.standings()[0].reference == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("n", [200, 256, 1_000, 20_000])
@pytest.mark.parametrize("kind", ["random", "ever higher"])
def test_state_stays_small(n, kind):
    rng, drift = random.Random(5), detector(1e300, 5_000)
    alarms(drift, (rng.random() if kind == "random" else i / 1e5 for i in range(n)))

    assert len(drift.encode()) < 6_000
