"""Models that estimate amounts: learned, judged, carried and asked as those of yes and no are."""

import math
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import metrics

from online_models import catalogue
from online_models.accuracy import AccuracyWatch
from online_models.amount_evaluation import AmountEvaluation
from online_models.amount_scorer import AmountScorer
from online_models.prequential import WINDOW
from online_models.tasks.regression import closeness
from online_models.unanswered import FAILED, NOT_A_NUMBER, UNTRAINED
from schemas.labels import LARGEST_AMOUNT
from schemas.outcomes import Outcome
from tests.online_models.conftest import FEATURES

from .laws import (
    answers,
    cuts,
    dear,
    is_gone_on_from,
    learner_of,
    log_of,
    replays_to_the_same_bits,
    taught,
)

NAMES = catalogue.names("regression")
models = pytest.mark.parametrize("model", NAMES)


def make_log(seed: int, n: int) -> list[Outcome]:
    return log_of(lambda x, rng: 100.0 + 5.0 * x[0] + rng.gauss(0, 1), seed, n)


@pytest.mark.parametrize("model", [name for name in NAMES if not dear(name)])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 999), cuts=cuts(300, n=2))
def test_a_restored_learner_that_replays_the_log_equals_one_never_interrupted(model, seed, cuts):
    replays_to_the_same_bits(model, make_log(seed, 300), cuts)


@pytest.mark.parametrize("model", [name for name in NAMES if dear(name)])
def test_a_restored_forest_equals_one_never_interrupted_too(model):
    replays_to_the_same_bits(model, make_log(3, 200), [(120, 60)])


@models
def test_a_snapshot_is_gone_on_from(model):
    is_gone_on_from(model, make_log(2, 120))


@models
def test_it_learns_what_river_would_learn(model):
    log = make_log(5, 150)
    estimator: Any = catalogue.recipe(model).make()
    for outcome in log:
        estimator.learn_one(dict(zip(FEATURES, outcome.features, strict=True)), outcome.label)

    assert [answer.score for answer in answers(taught(model, log), log)] == [
        estimator.predict_one(dict(zip(FEATURES, o.features, strict=True))) for o in log
    ]


@models
def test_it_is_better_than_what_needs_no_model(model):
    progress = taught(model, make_log(1, 600)).progress

    assert progress.prequential.n == progress.base_rate.n == progress.last_class.n == 600
    own = progress.prequential.figures()
    for baseline in (progress.base_rate, progress.last_class):
        assert own["recent_mae"] < 0.8 * baseline.figures()["recent_mae"]


AMOUNTS = st.floats(-1e6, 1e6)


@given(answered=st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1))
def test_figures_are_those_of_river(answered):
    evaluation, mae, rmse, r2 = AmountEvaluation(), metrics.MAE(), metrics.RMSE(), metrics.R2()
    for label, estimate in answered:
        evaluation.update(label, estimate)
        for metric in (mae, rmse, r2):
            metric.update(label, estimate)

    assert evaluation.n == len(answered)
    assert evaluation.mae == pytest.approx(mae.get())
    assert evaluation.rmse == pytest.approx(rmse.get())
    if len({label for label, _ in answered}) > 1 and evaluation.total_squares > 1e-3:
        assert evaluation.r2 == pytest.approx(r2.get(), rel=1e-6, abs=1e-6)
    assert evaluation.figures()["recent_mae"] == pytest.approx(mae.get())


def test_recent_figures_look_back_on_the_window_alone():
    evaluation = AmountEvaluation()
    for n in range(3 * WINDOW // 2):
        evaluation.update(float(n), n + (1.0 if n >= WINDOW else 3.0))
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(evaluation), type=AmountEvaluation)

    assert read == evaluation
    assert read.figures()["recent_mae"] == 2.0
    assert read.mae == pytest.approx(7 / 3)


def test_before_the_first_outcome_there_is_nothing_to_tell():
    assert all(math.isnan(value) for value in AmountEvaluation().figures().values())


class Says:
    """A model that says what it is told to say."""

    def __init__(self, amount: object) -> None:
        self.amount = amount

    def predict_one(self, x: object) -> object:
        if isinstance(self.amount, Exception):
            raise self.amount
        return self.amount


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (ZeroDivisionError(), FAILED),
        (None, FAILED),
        (math.nan, NOT_A_NUMBER),
        (-math.inf, NOT_A_NUMBER),
    ],
)
def test_a_model_that_fails_is_answered_for_by_the_mean(amount, reason):
    scorer = AmountScorer(Says(amount), n_learned=9, base_rate=7.5)  # type: ignore[arg-type]

    assert (scorer.score({}), scorer.degraded_reason) == (7.5, reason)


def test_who_has_learned_nothing_says_so():
    scorer = learner_of(NAMES[0]).scorer()

    assert (scorer.score({}), scorer.degraded_reason) == (0.0, UNTRAINED)


@pytest.mark.parametrize("label", [True, "7", math.nan, math.inf, 2 * LARGEST_AMOUNT])
def test_what_is_no_amount_is_skipped_and_what_has_no_label_is_passed_over(label):
    (outcome,) = make_log(1, 1)
    learner = learner_of(NAMES[0])
    learner.learn(msgspec.structs.replace(outcome, label=label), 0)
    learner.learn(msgspec.structs.replace(outcome, label=None, judged=0.0), 1)

    assert (learner.n_learned, learner.progress.n_skipped, learner.through) == (0, 1, 1)


amounts = st.floats(-1e9, 1e9)


@given(label=amounts, estimate=amounts, base_rate=amounts, unit=st.sampled_from([1e-3, 0.5, 1e6]))
def test_closeness_has_bounds_and_no_unit(label, estimate, base_rate, unit):
    found = closeness(label, estimate, base_rate)

    assert 0.0 <= found <= 1.0
    if label != base_rate:
        assert closeness(label, label, base_rate) == 1.0
    if label != estimate:
        assert closeness(label, estimate, label) == 0.0
    assert closeness(label, base_rate, base_rate) == 0.5
    farther, nearer = sorted((abs(estimate - label), abs(base_rate - label)), reverse=True)
    if nearer > 0.0 and farther / nearer > 1 + 1e-9:
        assert (found > 0.5) == (abs(estimate - label) == nearer)
    if abs(label) + abs(estimate) + abs(base_rate) > 1.0:
        in_unit = closeness(label * unit, estimate * unit, base_rate * unit)
        assert in_unit == pytest.approx(found, abs=1e-5)


def levels(seed: int, *spreads: float, n: int = 8_000) -> Iterator[str]:
    """Tell each level that a watch enters, of estimates that are so far off one after the other.

    Amounts have a heavy tail, and those of a visit of three are alike.
    """
    rng, watch = random.Random(seed), AccuracyWatch()
    for at in range(n * len(spreads)):
        if at % 3 == 0:
            label, error = rng.paretovariate(1.5), rng.gauss(0.0, 1.0)
        before = watch.level
        watch.hold(closeness(label, label + error * spreads[at // n], base_rate=3.0), at)
        if watch.level != before:
            yield watch.level


def test_a_model_that_comes_as_close_as_ever_is_never_called_worse():
    assert [[*levels(seed, 0.5, 0.5)] for seed in range(4)] == [[]] * 4


def test_one_that_comes_no_closer_than_the_mean_is_critical_and_back_when_it_does():
    for seed in range(2):
        assert [*levels(seed, 0.5, 2.0, 0.5)] == ["warning", "critical", "warning", "normal"]
