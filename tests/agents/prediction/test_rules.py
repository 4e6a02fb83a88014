"""While no model answers, rules do: and nobody asks them otherwise."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import base

from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import Served
from agents.prediction.wording import PRIOR
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.catalogue import make
from online_models.rules import RuleBook, when
from online_models.scorer import Scorer
from online_models.unanswered import FAILED
from schemas.errors import InvalidDeclaration

PIPELINE = replace(
    SHOP,
    rules=(
        when("is_checkout", above=0.5, score=0.9),
        when("event_count_10m", above=1, below=4, score=0.6),
    ),
)
numbers = st.floats(-10, 10)


def event(driver, action):
    return {"user_id": "ada", "action": action, "ts": driver.now_ms}


def test_before_there_is_a_model_rules_answer():
    driver = PipelineDriver(PIPELINE)
    for action in ("home", "product_view", "cart"):
        driver.publish(event(driver, action))
    first, second, third = driver.predictions

    assert (first.score, first.source, first.decision) == (PRIOR, "default", False)
    assert (second.score, second.source, second.decision) == (0.6, "rules", True)
    assert (third.score, third.source, third.decision) == (0.9, "rules", True)
    assert {tuple(each.degraded) for each in driver.predictions} == {("no_model",)}


def test_a_model_that_can_answer_is_not_overruled():
    driver = PipelineDriver(PIPELINE)
    driver.publish(event(driver, "home"))
    driver.advance(timedelta(minutes=1))
    driver.publish(event(driver, "purchase"))
    driver.advance(timedelta(minutes=1))
    driver.publish(event(driver, "cart"))

    assert driver.model_versions[PIPELINE.champion] >= 1
    assert driver.predictions[-1].source == "model"
    assert driver.predictions[-1].score != 0.9


class Raises(base.Classifier):
    def learn_one(self, x, y):
        pass

    def predict_proba_one(self, x, **kwargs):
        raise ArithmeticError


@pytest.mark.parametrize(
    ("is_checkout", "score", "source"), [(1.0, 0.9, "rules"), (0.0, 0.1, "default")]
)
def test_rules_answer_what_a_model_cannot(is_checkout, score, source):
    plan = PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name)
    broken = Served(SHOP.champion, 7, 0, Scorer(Raises(), n_learned=9, base_rate=0.1))
    answer = plan.answer({SHOP.champion: broken})
    features = dict.fromkeys(plan.features.names, 0.0) | {"is_checkout": is_checkout}

    assert (answer.score(features), answer.source) == (score, source)
    assert answer.degraded(is_late=False) == [FAILED]


def test_what_one_event_was_answered_by_says_nothing_of_the_next():
    plan = PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name)
    answer = plan.answer({})
    features = dict.fromkeys(plan.features.names, 0.0)
    sources = []
    for checkout in (1.0, 0.0, 1.0):
        answer.score(features | {"is_checkout": checkout})
        sources.append(answer.source)

    assert sources == ["rules", "default", "rules"]


def test_a_pipeline_without_rules_pays_nothing_for_them():
    plan = PredictPlan(SHOP, Metrics(), lambda topic: topic.name)
    model = Served(SHOP.champion, 7, 0, Scorer(make(SHOP.champion), n_learned=9, base_rate=0.1))

    assert plan.answer({SHOP.champion: model}).score == model.scorer.score


@given(st.lists(st.tuples(numbers, numbers, st.floats(0, 1))), numbers)
def test_the_first_rule_that_holds_answers(declared, value):
    rules = [when("x", above=a, below=b, score=score) for a, b, score in declared if a < b]
    expected = next((rule.score for rule in rules if rule.above < value < rule.below), None)

    assert RuleBook(rules, {"x"}).score({"x": value}) == expected


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"above": 1, "score": 1.5}, "0 to 1"),
        ({"above": 1, "score": float("nan")}, "0 to 1"),
        ({"above": 2, "below": 1, "score": 0.5}, "above 2 and below 1"),
        ({"score": 0.5}, "say when"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(InvalidDeclaration, match=said):
        when("x", **wrong)


def test_a_rule_about_no_feature_is_refused_when_the_pipeline_is_built():
    with pytest.raises(InvalidDeclaration, match="colour"):
        replace(SHOP, rules=(when("colour", above=1, score=0.5),)).compiled()
