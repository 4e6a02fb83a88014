"""Models that tell classes apart: learned, judged, carried and asked as those of yes and no are."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import metrics

from online_models import catalogue
from online_models.class_evaluation import ClassEvaluation
from online_models.class_scorer import ClassScorer
from online_models.prequential import WINDOW
from online_models.tasks import multiclass
from online_models.unanswered import FAILED, NOT_A_PROBABILITY, UNTRAINED
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

NAMES = catalogue.names("multiclass")
models = pytest.mark.parametrize("model", NAMES)


def make_log(seed: int, n: int) -> list[Outcome]:
    def meaning(features, rng):
        return ("few", "some", "many")[min(int(features[0] + rng.gauss(0, 0.5)) // 4, 2)]

    return log_of(meaning, seed, n)


@pytest.mark.parametrize("model", [name for name in NAMES if not dear(name)])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 999), cuts=cuts(250, n=2))
def test_a_restored_learner_that_replays_the_log_equals_one_never_interrupted(model, seed, cuts):
    replays_to_the_same_bits(model, make_log(seed, 250), cuts)


@pytest.mark.parametrize("model", [name for name in NAMES if dear(name)])
def test_a_restored_forest_equals_one_never_interrupted_too(model):
    replays_to_the_same_bits(model, make_log(3, 120), [(80, 60)])


@models
def test_a_snapshot_is_gone_on_from(model):
    is_gone_on_from(model, make_log(2, 120))


@models
def test_it_learns_what_river_would_learn(model):
    log = make_log(5, 150)
    estimator: Any = catalogue.make(model)
    for outcome in log:
        estimator.learn_one(dict(zip(FEATURES, outcome.features, strict=True)), outcome.label)

    told = [answer.scores for answer in answers(taught(model, log), log)]
    assert told == [
        estimator.predict_proba_one(dict(zip(FEATURES, o.features, strict=True))) for o in log
    ]


@models
def test_it_is_better_than_what_needs_no_model(model):
    progress = taught(model, make_log(1, 300)).progress

    assert progress.prequential.n == progress.base_rate.n == progress.last_class.n == 300
    for baseline in (progress.base_rate, progress.last_class):
        assert progress.prequential.accuracy > baseline.accuracy + 0.1
        assert progress.prequential.macro_f1 > baseline.macro_f1 + 0.1
    assert progress.base_rate.log_loss < progress.last_class.log_loss / 2


PROBABILITIES = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), max_size=4)


@given(answered=st.lists(st.tuples(st.sampled_from("abc"), PROBABILITIES), min_size=1))
def test_figures_are_those_of_river(answered):
    evaluation, accuracy, macro_f1 = ClassEvaluation(), metrics.Accuracy(), metrics.MacroF1()
    losses = []
    for label, scores in answered:
        evaluation.update(label, scores)
        losses.append(-math.log(max(scores.get(label, 0.0), 1e-15)))
        said = max(scores, key=lambda name: scores[name]) if scores else "nothing"
        accuracy.update(label, said)
        if scores:
            macro_f1.update(label, said)

    assert evaluation.n == len(answered)
    assert evaluation.accuracy == pytest.approx(accuracy.get())
    assert evaluation.log_loss == pytest.approx(math.fsum(losses) / len(losses))
    if all(scores for _, scores in answered):
        assert evaluation.macro_f1 == pytest.approx(macro_f1.get())


def test_recent_figures_look_back_on_the_window_alone():
    evaluation = ClassEvaluation()
    for n in range(3 * WINDOW // 2):
        is_right = n >= WINDOW
        evaluation.update("a", {"a": 0.5, "b": 0.25 if is_right else 0.75})
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(evaluation), type=ClassEvaluation)

    assert read == evaluation
    assert read.figures()["recent_accuracy"] == 0.5
    assert read.accuracy == pytest.approx(1 / 3)


def test_before_the_first_outcome_there_is_nothing_to_tell():
    assert all(math.isnan(value) for value in ClassEvaluation().figures().values())


class Says:
    """A model that says what it is told to say."""

    def __init__(self, scores: dict[str, float] | None) -> None:
        self.scores = scores

    def predict_proba_one(self, x: object) -> dict[str, float]:
        if self.scores is None:
            raise ZeroDivisionError
        return self.scores


PRIOR = {"iris": 0.25, "rose": 0.75}


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (None, FAILED),
        ({}, NOT_A_PROBABILITY),
        ({"iris": math.nan, "rose": 0.5}, NOT_A_PROBABILITY),
        ({"iris": 1.5, "rose": -0.5}, NOT_A_PROBABILITY),
    ],
)
def test_a_model_that_fails_is_answered_for_by_the_shares_of_classes(scores, reason):
    scorer = ClassScorer(Says(scores), n_learned=9, base_rate=PRIOR)  # type: ignore[arg-type]

    assert scorer.score({}) == 0.75
    assert (scorer.prediction, scorer.scores, scorer.degraded_reason) == ("rose", PRIOR, reason)


def test_who_has_learned_nothing_names_no_class():
    scorer = learner_of(NAMES[0]).scorer()

    assert scorer.score({}) == 0.0
    assert scorer.degraded_reason == UNTRAINED
    assert (getattr(scorer, "prediction", ""), getattr(scorer, "scores", None)) == (None, {})


@pytest.mark.parametrize("label", [True, 1.0])
def test_what_is_no_class_is_skipped_and_what_has_no_label_is_passed_over(label):
    (outcome,) = make_log(1, 1)
    learner = learner_of(NAMES[0])
    learner.learn(msgspec.structs.replace(outcome, label=label), 0)
    learner.learn(msgspec.structs.replace(outcome, label=None, judged=0.0), 1)

    assert (learner.n_learned, learner.progress.n_skipped, learner.through) == (0, 1, 1)


def test_labels_that_are_never_the_same_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(multiclass, "MOST_CLASSES", 50)
    learner = learner_of("multiclass_hoeffding_adaptive_v1")
    (row,) = make_log(1, 1)
    for n in range(50 + 20):
        learner.learn(msgspec.structs.replace(row, label=f"class {n}"), n)

    assert learner.n_learned == 50
    assert learner.progress.n_skipped == 20
