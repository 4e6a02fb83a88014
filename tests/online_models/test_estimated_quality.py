"""Quality without labels: right while scores are worth what they were, and blind where not."""

import math
import random
from itertools import pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]  # says no types

from online_models.calibration import Calibration, Reliability, pool_adjacent
from online_models.estimated_quality import estimate
from online_models.prequential import Prequential
from online_models.standard_error import roc_auc_error

groups = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(any), min_size=1, max_size=30
)


@given(groups)
def test_pools_are_those_of_the_isotonic_regression(of_groups):
    positives = [positive for positive, _ in of_groups]
    weights = [positive + negative for positive, negative in of_groups]
    shares = [positive / weight for positive, weight in zip(positives, weights, strict=True)]
    fitted = IsotonicRegression().fit_transform(range(len(shares)), shares, sample_weight=weights)

    pools = pool_adjacent(positives, weights)

    assert [share for share, size in pools for _ in range(size)] == pytest.approx(list(fitted))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=200), st.data())
def test_a_calibration_never_falls_and_is_a_share(outcomes, data):
    reliability = Reliability()
    for label, score in outcomes:
        reliability.update(label, score)
    calibrated = reliability.calibration()
    asked = sorted(data.draw(st.lists(st.floats(0, 1), min_size=2)))

    worth = [calibrated(score) for score in asked]

    assert all(0 <= share <= 1 for share in worth)
    assert all(below <= above for below, above in pairwise(worth))


def test_who_counts_nothing_cannot_calibrate():
    with pytest.raises(ValueError, match="no outcome"):
        Reliability().calibration()


def test_old_outcomes_are_forgotten():
    reliability = Reliability(half_life=100)
    for n in range(4_000):
        reliability.update(n < 2_000, 0.3)

    assert reliability.calibration()(0.3) < 1e-5


def test_counts_outlive_the_largest_number():
    """Weights grow without end, and half-lives may be short."""
    reliability = Reliability(half_life=1)
    for n in range(5_000):
        reliability.update(n % 2 == 0, 0.3)

    assert reliability.calibration()(0.3) == pytest.approx(1 / 3, abs=1e-3)


def naive(scores, calibrated):
    """The mean over all pairs of predictions, weighted by how likely they are a pair."""
    won = pairs = 0.0
    for i, above in enumerate(scores):
        for j, below in enumerate(scores):
            if i != j:
                weight = calibrated(above) * (1 - calibrated(below))
                won += weight * ((above > below) + (above == below) / 2)
                pairs += weight
    return won / pairs


@given(st.lists(st.sampled_from([0.05, 0.1, 0.3, 0.6, 0.95]), min_size=2, max_size=25))
def test_the_estimate_is_that_of_all_pairs(scores):
    def calibrated(score):
        return 0.1 + 0.6 * score

    assert estimate(scores, calibrated).roc_auc == pytest.approx(naive(scores, calibrated))


def test_nothing_is_estimated_of_nothing():
    found = estimate([], lambda score: score)

    assert math.isnan(found.roc_auc)
    assert math.isnan(found.log_loss)
    assert math.isnan(estimate([0.4, 0.2], lambda score: 0.0).roc_auc)


class World:
    """Scores that are wrong by a curve of their own, and outcomes."""

    def __init__(self, seed: int, power: float = 2.0) -> None:
        self.chance = random.Random(seed)
        self.power = power

    def draw(self, n: int, alpha: float = 2.0) -> list[tuple[bool, float]]:
        scores = [self.chance.betavariate(alpha, 5) for _ in range(n)]
        return [(self.chance.random() < score**self.power, score) for score in scores]


def calibrated_on(world: World, n: int = 20_000) -> Calibration:
    reliability = Reliability(half_life=n)
    for label, score in world.draw(n):
        reliability.update(label, score)
    return reliability.calibration()


def realised(outcomes: list[tuple[bool, float]]) -> Prequential:
    figures = Prequential()
    for label, score in outcomes:
        figures.update(label, score)
    return figures


@pytest.mark.parametrize("alpha", [2.0, 1.0, 4.0], ids=["as before", "lower", "higher"])
def test_the_estimate_is_what_comes_whoever_is_asked_about(alpha):
    """Also of other people than those whose outcomes are known."""
    world = World(7)
    calibrated = calibrated_on(world)
    errors, losses = [], []
    for _ in range(40):
        outcomes = world.draw(2_000, alpha)
        found = estimate((score for _, score in outcomes), calibrated)
        truth = realised(outcomes)
        error = roc_auc_error(found.roc_auc, round(found.positives), round(found.negatives))
        errors.append((truth.roc_auc - found.roc_auc) / error)
        losses.append(truth.log_loss - found.log_loss)

    assert sum(abs(error) < 3 for error in errors) >= 39
    assert abs(fmean(errors)) < 0.75
    assert abs(fmean(losses)) < 0.01


def test_the_estimate_does_not_see_that_the_world_answers_differently():
    calibrated = calibrated_on(World(7))
    changed = World(8)
    outcomes = [(changed.chance.random() < 0.15, score) for _, score in changed.draw(2_000)]

    found, truth = estimate((score for _, score in outcomes), calibrated), realised(outcomes)

    assert found.roc_auc > 0.75
    assert abs(truth.roc_auc - 0.5) < 0.05
