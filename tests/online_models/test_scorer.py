import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import base

from online_models import catalogue
from online_models.linear import fold
from online_models.scorer import Scorer
from online_models.unanswered import FAILED, NOT_A_PROBABILITY, UNTRAINED

NAMES = [f"f{i}" for i in range(5)]
values = st.floats(-1e4, 1e4)
vectors = st.fixed_dictionaries(dict.fromkeys(NAMES, values))
histories = st.lists(st.tuples(vectors, st.booleans()), min_size=3, max_size=60)


def trained(history) -> base.Classifier:
    model = catalogue.make("binary_logistic_v1")
    for x, y in history:
        model.learn_one(x, y)
    return model


@given(history=histories, question=vectors)
def test_a_folded_model_gives_rivers_number(history, question):
    model = trained(history)

    folded = fold(model)

    if folded is not None:  # None: too badly conditioned to be folded
        assert folded(question) == pytest.approx(model.predict_proba_one(question)[True], abs=1e-12)


def test_ordinary_features_can_be_folded():
    history = [
        ({name: float(i * j % 7) for j, name in enumerate(NAMES)}, i % 3 == 0) for i in range(50)
    ]

    assert fold(trained(history)) is not None


def test_features_far_from_zero_are_left_to_river():
    """`w·x - w·mean` would have no digits left."""
    model = catalogue.make("binary_logistic_v1")
    for i in range(100):
        model.learn_one({"at": 1e12 + i, "clicks": float(i % 5)}, i % 2 == 0)

    assert fold(model) is None


@given(history=histories, question=vectors, missing=st.sampled_from(NAMES), extra=values)
def test_missing_and_unknown_features_are_treated_as_river_treats_them(
    history, question, missing, extra
):
    model = trained(history)
    question = {name: value for name, value in question.items() if name != missing}
    question["never seen"] = extra

    score = Scorer(model, n_learned=len(history)).score(question)

    assert score == pytest.approx(model.predict_proba_one(question)[True], abs=1e-12)


@pytest.mark.parametrize("name", catalogue.names("binary"))
@settings(max_examples=20)
@given(
    history=histories,
    question=st.fixed_dictionaries({name: st.floats() for name in NAMES}),
)
def test_the_answer_is_a_probability_whatever_the_features(name, history, question):
    model = catalogue.make(name)
    for x, y in history:
        model.learn_one(x, y)

    score = Scorer(model, n_learned=len(history)).score(question)

    assert 0.0 <= score <= 1.0


class Oracle(base.Classifier):
    """Says what it is told to say."""

    def __init__(self, answer: float | Exception) -> None:
        self.answer = answer

    def learn_one(self, x, y):
        pass

    def predict_proba_one(self, x, **kwargs):
        if isinstance(self.answer, Exception):
            raise self.answer
        return {True: self.answer, False: 1.0 - self.answer}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ZeroDivisionError(), FAILED),
        (math.nan, NOT_A_PROBABILITY),
        (math.inf, NOT_A_PROBABILITY),
        (-0.1, NOT_A_PROBABILITY),
        (1.1, NOT_A_PROBABILITY),
    ],
)
def test_a_broken_model_is_replaced_by_the_base_rate_until_it_recovers(answer, reason):
    oracle = Oracle(answer)
    scorer = Scorer(oracle, n_learned=10, base_rate=0.2)

    assert (scorer.score({}), scorer.degraded_reason) == (0.2, reason)

    oracle.answer = 0.7

    assert (scorer.score({}), scorer.degraded_reason) == (0.7, None)


def test_a_model_that_never_learned_is_not_asked():
    scorer = Scorer(Oracle(0.9), n_learned=0)

    assert (scorer.score({}), scorer.degraded_reason) == (0.5, UNTRAINED)


def test_a_label_never_seen_is_improbable():
    tree = catalogue.make("binary_hoeffding_tree_v1")
    tree.learn_one({"clicks": 1.0}, False)

    assert Scorer(tree, n_learned=1, base_rate=0.3).score({"clicks": 1.0}) == 0.0
