"""Who answers an event: an ensemble, the model of a segment, the champion, in this order."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import Served
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.assignment import Rollout
from online_models.catalogue import make
from online_models.ensemble import Ensemble
from online_models.gateway import route
from online_models.rules import when
from online_models.scorer import Scorer
from schemas.deployments import Deployment
from schemas.errors import InvalidDeclaration
from tests.agents.partition_run import FakeScorer

LINEAR, TREE = SHOP.champion, SHOP.challengers[0]
TOGETHER = replace(SHOP, ensemble=Ensemble(members=(LINEAR, TREE)))
MOBILE = replace(SHOP, routes=(route("platform_is_mobile", above=0.5, to=TREE),))
MINUTE = timedelta(minutes=1)


class Says(FakeScorer):
    """The same of all events."""

    def __init__(self, score):
        super().__init__()
        self._score = score

    def score(self, features):
        return self._score


def served(name, *, score=0.3, loss=0.3, version=7, may_serve=True):
    return Served(name, version, 0, cast(Scorer, Says(score)), may_serve, loss)


def answer(pipeline, *models, **features):
    plan = PredictPlan(pipeline, Metrics(), lambda topic: topic.name)
    _, chosen = plan.answering({each.name: each for each in models})("ada")
    every = dict.fromkeys(plan.features.names, 0.0) | features
    chosen = chosen.routed(every)
    return chosen, chosen.score(every)


def test_the_ensemble_answers_by_how_good_its_members_were_of_late():
    equal, score = answer(TOGETHER, served(LINEAR, score=0.2), served(TREE, score=0.6))
    _, unequal = answer(TOGETHER, served(LINEAR, score=0.2), served(TREE, score=0.6, loss=0.5))

    assert score == pytest.approx(0.4)
    assert unequal == pytest.approx(0.2, abs=1e-3)
    assert (equal.source, equal.model, equal.version) == ("ensemble", "ensemble", 14)
    assert equal.degraded(is_late=False) == []


@pytest.mark.parametrize(
    "others", [[], [served(TREE, may_serve=False)]], ids=["missing", "too slow"]
)
def test_the_champion_stands_in_for_an_ensemble_of_one(others):
    chosen, _ = answer(TOGETHER, served(LINEAR), *others)

    assert (chosen.source, chosen.model) == ("model", LINEAR)
    assert chosen.degraded(is_late=False) == ["stand_in"]


def test_without_any_model_rules_and_defaults_answer_as_ever():
    chosen, score = answer(TOGETHER)

    assert (chosen.source, score) == ("default", 0.5)
    assert chosen.degraded(is_late=False) == ["no_model"]


def test_a_segment_has_the_model_that_it_leads_to():
    both = served(LINEAR), served(TREE, score=0.9)
    mobile, its = answer(MOBILE, *both, platform_is_mobile=1.0)
    desktop, _ = answer(MOBILE, *both)

    assert (mobile.model, mobile.source, its) == (TREE, "model", 0.9)
    assert mobile.degraded(is_late=False) == []
    assert desktop.model == LINEAR
    # What is watched for drift is one model's scores.
    assert (desktop.is_warm, mobile.is_warm) == (True, False)


def test_the_champion_stands_in_for_the_model_of_a_segment():
    chosen, _ = answer(MOBILE, served(LINEAR), platform_is_mobile=1.0)

    assert chosen.model == LINEAR
    assert chosen.degraded(is_late=False) == ["stand_in"]


def test_the_first_route_that_holds_is_taken():
    first = route("platform_is_mobile", above=0.2, below=0.6, to=LINEAR)
    pipeline = replace(SHOP, champion=TREE, challengers=(LINEAR,), routes=(first, *MOBILE.routes))
    both = served(LINEAR), served(TREE)
    chosen = [answer(pipeline, *both, platform_is_mobile=at)[0].model for at in (0.0, 0.5, 1.0)]

    assert chosen == [TREE, LINEAR, TREE]


@pytest.mark.parametrize(("pipeline", "choice"), [(TOGETHER, "an ensemble"), (MOBILE, "routes")])
def test_a_rollout_is_compared_with_who_answers_or_not_declared(pipeline, choice):
    """Promoted, the candidate would answer nobody: the champion only stands in there."""
    with pytest.raises(InvalidDeclaration, match=f"rollout tree does not go with {choice}"):
        replace(pipeline, rollout=Rollout(name="tree", candidate=TREE, exposure=0.1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ensemble": Ensemble(members=(LINEAR, "binary_ftrl_v1"))}, "member of the ensemble"),
        (
            {"routes": (route("platform_is_mobile", above=0, to="binary_ftrl_v1"),)},
            "a route leads to",
        ),
    ],
)
def test_who_answers_must_learn(wrong, said):
    with pytest.raises(InvalidDeclaration, match=f"{said}.* does not learn"):
        replace(SHOP, **wrong)


def test_a_route_about_no_feature_stops_the_start():
    with pytest.raises(InvalidDeclaration, match="`planet`"):
        replace(SHOP, routes=(route("planet", above=0, to=TREE),)).compiled()


def test_from_declaration_to_outcome():
    routed = replace(TOGETHER, routes=MOBILE.routes)
    driver = PipelineDriver(routed)

    def visit(user, platform):
        driver.publish(
            {"user_id": user, "action": "home", "ts": driver.now_ms, "platform": platform}
        )
        return driver.predictions[-1]

    first = visit("ada", "desktop")
    for n in range(30):
        visit(f"user-{n}", "desktop")
        if n % 3 == 0:
            bought = {"user_id": f"user-{n}", "action": "purchase", "ts": driver.now_ms + 1}
            driver.publish(bought)
        driver.advance(MINUTE)
    driver.advance(SHOP.label.horizon + SHOP.allowed_lateness)
    versions = driver.model_versions
    together, mobile = visit("bob", "desktop"), visit("eve", "mobile")
    driver.publish({"user_id": "bob", "action": "purchase", "ts": driver.now_ms + 1})

    assert (first.source, first.degraded) == ("default", ["no_model"])
    assert (together.source, together.model) == ("ensemble", "ensemble")
    assert together.model_version == versions[LINEAR] + versions[TREE]
    assert (mobile.source, mobile.model) == ("model", TREE)
    assert driver.outcomes[-1].model == "ensemble"
    assert driver.outcomes[-1].score == together.score


def test_a_real_scorer_is_a_member_as_it_is():
    scorer = Scorer(make(LINEAR), n_learned=7, base_rate=0.1)
    members = Served(LINEAR, 7, 0, scorer), served(TREE, score=0.4)
    chosen, score = answer(TOGETHER, *members)

    assert chosen.source == "ensemble"
    assert 0 <= score <= 1


STALE = replace(SHOP, stale_after=timedelta(hours=1))


def aged(pipeline, now_ms, *models, rules=()):
    plan = PredictPlan(replace(pipeline, rules=rules), Metrics(), lambda topic: topic.name)
    plan.stamp(now_ms)
    chosen = plan.answer({each.name: each for each in models})
    features = dict.fromkeys(plan.features.names, 0.0)
    chosen.score(features)
    return chosen.source, chosen.model, chosen.degraded(is_late=False)


def test_a_model_answers_until_its_snapshot_is_too_old():
    hour_ms = 3_600_000

    assert aged(STALE, hour_ms, served(LINEAR)) == ("model", LINEAR, [])
    assert aged(STALE, hour_ms + 1, served(LINEAR)) == ("default", LINEAR, ["model_stale"])
    assert aged(SHOP, 100 * hour_ms, served(LINEAR)) == ("model", LINEAR, [])


def test_for_a_stale_model_who_is_fresh_stands_in_and_then_rules_answer():
    late_ms = 7_200_000
    fresh = replace(served(LINEAR), created_at_ms=late_ms)
    both = replace(STALE, champion=LINEAR, ensemble=TOGETHER.ensemble)

    assert aged(both, late_ms, fresh, served(TREE)) == ("model", LINEAR, ["stand_in"])
    assert aged(
        STALE, late_ms, served(LINEAR), rules=(when("event_count_1h", below=1, score=0.9),)
    ) == ("rules", LINEAR, ["model_stale"])


def test_a_pinned_version_does_not_age():
    plan = PredictPlan(STALE, Metrics(), lambda topic: topic.name)
    plan.stamp(7_200_000)
    pinned = f"{LINEAR}@7"
    promoted = Deployment(
        kind="promoted",
        use_case=SHOP.use_case,
        model=LINEAR,
        version=7,
        at=0,
        by="ada",
        replaces=LINEAR,
    )
    plan.deployed.follow(plan.deployed.registry.fold(promoted, 0))
    chosen = plan.answer({pinned: served(LINEAR)})

    assert (chosen.reference, chosen.degraded(is_late=False)) == (pinned, [])
