"""Injected drifts change what they say, and detectors are counted as by hand."""

import random
from collections import Counter
from dataclasses import astuple
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import drift

from benchmarks.drift import injection
from benchmarks.drift.datasets import Dataset, Row
from benchmarks.drift.episodes import DRIFTS, MAX_DELAY, Drift, Episode, episodes
from benchmarks.drift.equal_rate import RATE, at_rate
from benchmarks.drift.families import BY_INPUT, NEVER, PERIODIC
from benchmarks.drift.injected import Measured, ahead, total
from benchmarks.drift.kaplan_meier import delays, run_lengths, survival
from benchmarks.drift.quick_kswin import QuickKSWIN
from benchmarks.drift.replay import Alarms, alarms, counted, raised

NAMES = ("a", "b", "c")
values = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0])
features = st.fixed_dictionaries(dict.fromkeys(NAMES, values))
rows = st.lists(st.builds(Row, features, st.sampled_from("xyz")), min_size=3, max_size=40).map(
    lambda some: [*some, Row(dict.fromkeys(NAMES, 0.0), "x"), Row(dict.fromkeys(NAMES, 9.0), "y")]
)
seeds = st.integers(0, 100).map(random.Random)


def labels(some):
    return Counter(row.label for row in some)


def distinct(some):
    return Counter((*row.features.items(), row.label) for row in some)


@given(rows, seeds)
def test_a_prior_takes_from_one_class_alone(some, rng):
    left = injection.class_prior(some, rng)
    taken = labels(some) - labels(left)

    assert distinct(left) <= distinct(some)
    assert len(taken) <= 1


def test_a_prior_leaves_a_quarter_and_is_blind_to_features():
    some = [Row({"a": float(at % 2)}, at % 4 == 0) for at in range(40_000)]
    left = injection.class_prior(some, random.Random(1))
    (scarce,) = labels(some) - labels(left)
    of_it = [row for row in left if row.label == scarce]
    before = [row for row in some if row.label == scarce]

    assert len(of_it) / len(before) == pytest.approx(0.25, abs=0.02)
    assert sum(row.features["a"] for row in of_it) / len(of_it) == pytest.approx(
        sum(row.features["a"] for row in before) / len(before), abs=0.02
    )


@given(rows, seeds)
def test_a_swap_leaves_features_and_moves_one_class_into_another(some, rng):
    swapped = injection.label_swap(some, rng)
    lost, won = labels(some) - labels(swapped), labels(swapped) - labels(some)

    assert [row.features for row in swapped] == [row.features for row in some]
    assert len(lost) == len(won) == 1
    assert [*lost.values()] == [*won.values()]
    assert lost.keys().isdisjoint(labels(swapped))


@given(rows, seeds)
def test_a_permutation_leaves_labels_and_all_values_of_a_row(some, rng):
    permuted = injection.feature_permutation(some, rng)

    assert [row.label for row in permuted] == [row.label for row in some]
    assert [sorted(row.features.values()) for row in permuted] == [
        sorted(row.features.values()) for row in some
    ]
    of = {
        name: [
            other
            for other in NAMES
            if [row.features[name] for row in permuted] == [row.features[other] for row in some]
        ]
        for name in NAMES
    }
    assert all(of.values())


def test_a_permutation_is_never_none():
    some = [Row({"a": 0.0, "b": 1.0}, "x")]

    for seed in range(20):
        assert injection.feature_permutation(some, random.Random(seed)) != some


@given(rows, seeds)
def test_a_filter_leaves_the_lower_half_of_one_feature(some, rng):
    try:
        left = injection.feature_filter(some, rng)
    except ValueError:
        assert len(some) > 10  # one row in ten has to go
        return

    assert distinct(left) in [
        distinct(
            row
            for row in some
            if row.features[name] <= median(each.features[name] for each in some)
        )
        for name in NAMES
    ]
    assert len(left) <= 0.9 * len(some)


# ---- episodes ------------------------------------------------------------------------------------

RNG = random.Random(1)
POINTS = [(RNG.gauss(0, 1), RNG.gauss(0, 1)) for _ in range(500)]
PLANE = Dataset(
    "plane", "binary_logistic_v2", [Row({"a": a, "b": b}, a + 0.2 * b > 0) for a, b in POINTS]
)


@pytest.fixture(scope="module")
def drawn():
    return episodes(PLANE, 2)


def mean(some):
    return sum(some) / len(some)


def test_episodes_repeat(drawn):
    assert episodes(PLANE, 1) == drawn[:1]


def test_an_episode_is_calm_until_its_drift(drawn):
    for each in drawn:
        swapped = each.after[Drift("label swap", "abrupt")]
        half = len(each.before.errors) // 2

        assert mean(each.before.errors[:half]) == pytest.approx(
            mean(each.before.errors[half:]), abs=0.05
        )
        assert mean(swapped.errors[:100]) > mean(each.before.errors) + 0.2


def test_what_is_gradual_begins_later_and_lasts_longer(drawn):
    abrupt, gradual = (Drift("label swap", pace) for pace in ("abrupt", "gradual"))
    for each in drawn:
        assert len(each.after[abrupt].errors) == MAX_DELAY
        assert len(each.after[gradual].errors) == gradual.width + MAX_DELAY
        assert mean(each.after[gradual].errors[:50]) < mean(each.after[abrupt].errors[:50])


def test_a_frozen_twin_does_not_see_labels_swapped(drawn):
    for each in drawn:
        for kind, moves in (("label swap", False), ("class prior", True)):
            after = each.after[Drift(kind, "abrupt")]
            distance = abs(mean(after.scores) - mean(each.before.scores))

            assert (distance > 0.1) == moves


# ---- counting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [7, 500, 1_234, 4_000])
def test_what_is_periodic_has_the_counts_of_a_division(drawn, period):
    found = counted(alarms(PERIODIC.of(period), each, "errors") for each in drawn)

    for drifted, counts in found.items():
        lasts = drifted.width + MAX_DELAY
        before = [len(each.before.errors) for each in drawn]
        false = sum(n // period for n in before)
        true = [(n + lasts) // period - n // period for n in before]
        missed = sum(each == 0 for each in true)
        first = [period - n % period for n, each in zip(before, true, strict=True) if each]

        assert (counts.false, counts.true, counts.missed) == (false, sum(true), missed)
        assert counts.delay == sum(first)
        assert counts.f1_of_alarms == 2 * sum(true) / (2 * sum(true) + false + missed)
        assert counts.f1 == 2 * len(first) / (2 * len(first) + false + missed)


def test_what_never_fires_finds_nothing_and_is_never_wrong(drawn):
    every = [alarms(NEVER.of(1), each, "scores") for each in drawn]
    counts = total(counted(every).values())

    assert (counts.f1, counts.recall, counts.false_per_1000) == (0, 0, 0)
    assert run_lengths(every).median is None
    assert delays(every, "abrupt").median is None


@pytest.mark.parametrize("family", BY_INPUT["errors"], ids=lambda family: family.name)
def test_a_copy_goes_on_from_where_the_detector_is(drawn, family):
    """Drifts share what came before them: as if each detector had seen it all by itself."""
    drifted = Drift("label swap", "abrupt")
    each = Episode(drawn[0].before, {kind: drawn[0].after[kind] for kind in (*DRIFTS[:1], drifted)})
    found = alarms(family.of(family.default), each, "errors")

    assert raised(family.make(family.default), each.before.errors + each.after[drifted].errors) == [
        *found.before,
        *(found.n_before + at for at in found.after[drifted]),
    ]


@pytest.fixture(scope="module")
def measured(drawn):
    """Two detectors of errors, as if there were one dataset."""
    return [
        Measured(family, {}, {"plane": at_rate(family, drawn, "errors")}, {})
        for family in (PERIODIC, BY_INPUT["errors"][1])
    ]


def test_at_the_rate_a_detector_has_that_rate(measured):
    for each in measured:
        for counts in each.counts_at_rate().values():
            assert counts.false_per_1000 == pytest.approx(RATE)


def test_what_is_no_other_is_not_ahead(measured):
    periodic, adwin = measured
    by, error = ahead(adwin, periodic)

    assert ahead(adwin, adwin) == (0, 0)
    assert by == -ahead(periodic, adwin)[0]
    assert error == pytest.approx(ahead(periodic, adwin)[1])
    assert error > 0


def test_episodes_add_up_to_all(measured):
    for each in measured:
        assert astuple(total(each.by_episode())) == pytest.approx(
            astuple(total(each.counts_at_rate().values()))
        )


@pytest.mark.parametrize("family", BY_INPUT["errors"][:-2], ids=lambda family: family.name)
def test_each_detector_is_told_what_it_wants(family):
    """Errors for correctness, or the other way round, and it would see nothing."""
    rng = random.Random(3)
    detector = family.make(family.default)
    fewer = [float(rng.random() < 0.1) for _ in range(1_000)]
    more = [float(rng.random() < 0.7) for _ in range(300)]

    assert len(raised(detector, fewer)) <= 3  # EDDM, by chance
    assert raised(detector, more)


def test_the_quick_kswin_is_rivers():
    rng = random.Random(2)
    steps = [0.0, 0.3, 0.1, 0.6]
    for draw in (rng.random, lambda: float(rng.random() < 0.5), lambda: rng.randrange(5) / 5):
        some = [draw() + steps[at // 150] for at in range(600)]
        found = []
        for make in (QuickKSWIN, drift.KSWIN):
            detector = make(0.01, seed=1)
            alarmed = []
            for at, value in enumerate(some):
                detector.update(value)
                if detector.drift_detected:
                    alarmed.append(at)
            found.append(alarmed)

        assert found[0] == found[1] != []


# ---- Kaplan-Meier --------------------------------------------------------------------------------


def test_survival_is_as_by_hand():
    """Of six: seen at 2 (of 6), lost after 3, 2 seen at 4 (of 4), lost after 5, seen at 6."""
    found = survival([2, 4, 4, 6], [3, 5])

    assert found.at(1) == 1
    assert found.at(2) == pytest.approx(5 / 6)
    assert found.at(4) == found.at(5) == pytest.approx(5 / 6 * 2 / 4)
    assert found.at(6) == 0
    assert found.median == 4


def test_a_run_ends_with_an_alarm_or_with_the_drift():
    """Runs of 10 and 30, and of 60 and 50 that nobody saw the end of."""
    some = [Alarms([10, 40], 100, {}), Alarms([], 50, {})]

    assert run_lengths(some) == survival([10, 30], [60, 50])


def test_delays_are_those_of_one_pace():
    abrupt, gradual = Drift("label swap", "abrupt"), Drift("label swap", "gradual")
    some = [Alarms([], 9, {abrupt: [3, 4], gradual: [7]}), Alarms([], 9, {abrupt: [], gradual: []})]

    assert delays(some, "abrupt") == survival([3], [MAX_DELAY])
    assert delays(some, "gradual") == survival([7], [gradual.width + MAX_DELAY])
