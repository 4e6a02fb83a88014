"""Who is promoted answers from the next batch on, and learns as before; so does who is put back."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from agents.learning.publication import CHALLENGER_INTERVAL_S, CHAMPION_INTERVAL_S
from agents.observability import metric_list
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.deployments import Deployment
from schemas.errors import ThalwegError

CHAMPION, CHALLENGER = PIPELINE.champion, PIPELINE.challengers[0]
EVERYBODY = replace(PIPELINE, challenger_share=1.0)
A_WHILE = PIPELINE.label.horizon + PIPELINE.allowed_lateness + timedelta(minutes=1)


@pytest.fixture
def driver() -> PipelineDriver:
    """A pipeline whose models have learned something."""
    made = PipelineDriver(EVERYBODY)
    visit(made)
    made.advance(A_WHILE)
    visit(made, "bob")
    made.advance(timedelta(minutes=1))
    assert made.model_versions == {CHAMPION: 1, CHALLENGER: 1}
    return made


def visit(driver: PipelineDriver, user: str = "ada") -> tuple[str, set[str], list[str]]:
    """Who answers an event, who would have answered, and what is less than the best of it."""
    driver.publish({"user_id": user, "action": "home", "ts": driver.now_ms})
    answer = driver.predictions[-1]
    shadows = {
        shadow.model
        for shadow in driver.shadow_predictions
        if shadow.prediction_id == answer.prediction_id
    }
    return answer.model, shadows, answer.degraded


def test_who_is_promoted_answers_and_who_was_champion_competes(driver):
    before = visit(driver)
    driver.promote(CHALLENGER)
    after = visit(driver)
    driver.roll_back()

    assert before == (CHAMPION, {CHALLENGER}, [])
    assert after == (CHALLENGER, {CHAMPION}, [])
    assert visit(driver) == before
    competed = driver.metrics.histogram(metric_list.CHALLENGER_SCORE_SECONDS, model=CHAMPION)
    assert competed.cumulative()[-1] == 1


def test_while_who_was_promoted_is_too_slow_to_serve_another_stands_in(driver):
    driver.promote(CHALLENGER)
    serving = driver._served.by_name
    serving[CHALLENGER] = replace(serving[CHALLENGER], may_serve=False)

    assert visit(driver)[::2] == (CHAMPION, ["stand_in"])


@pytest.mark.parametrize("role", ["predict", "learn"])
def test_a_decision_outlives_the_workers(driver, role):
    driver.promote(CHALLENGER)
    driver.crash(role)
    driver.deploy(replace(EVERYBODY, threshold=0.4))

    assert visit(driver) == (CHALLENGER, {CHAMPION}, [])


def test_what_the_log_says_of_a_model_that_is_declared_no_more_does_not_hold(driver):
    driver.promote(CHALLENGER)
    driver.deploy(replace(EVERYBODY, challengers=()))

    assert visit(driver) == (CHAMPION, set(), [])


def test_while_the_champion_has_no_snapshot_another_stands_in_and_it_is_said(driver):
    newcomer = "binary_ftrl_v1"
    driver.deploy(replace(EVERYBODY, challengers=(CHALLENGER, newcomer)))
    driver.promote(CHALLENGER)
    driver.promote(newcomer)
    driver._served.by_name.pop(newcomer, None)

    assert visit(driver)[::2] == (CHALLENGER, ["stand_in"])
    driver._served.by_name.clear()
    assert visit(driver)[::2] == (newcomer, ["no_model"])


def test_the_learner_publishes_whoever_is_champion_most_often(driver):
    def intervals() -> list[float]:
        return [
            driver._training.due_in_s(name, driver._training._publication._published_at_s[name])
            for name in (CHAMPION, CHALLENGER)
        ]

    before = intervals()
    driver.promote(CHALLENGER)

    assert before == pytest.approx([CHAMPION_INTERVAL_S, CHALLENGER_INTERVAL_S])
    assert intervals() == pytest.approx([CHALLENGER_INTERVAL_S, CHAMPION_INTERVAL_S])


def test_a_promotion_changes_nothing_of_what_is_learned(driver):
    still = PipelineDriver(EVERYBODY)
    for each in (still, twin := PipelineDriver(EVERYBODY)):
        visit(each)
        if each is twin:
            each.promote(CHALLENGER)
        each.advance(A_WHILE)
        visit(each, "bob")
        each.advance(A_WHILE)

    learned, expected = twin._training.learners, still._training.learners
    assert {name: each.progress for name, each in learned.items()} == {
        name: each.progress for name, each in expected.items()
    }


def test_a_decision_is_an_event_with_who_and_why(driver):
    driver.promote(CHALLENGER, why="better by .02")
    (record,) = driver.read(topics.DEPLOYMENTS)

    assert record.key() == PIPELINE.use_case.encode()
    assert dict(record.headers() or [])["ce_type"] == b"thalweg.deployment"
    assert msgspec.json.decode(record.value() or b"", type=Deployment) == Deployment(
        kind="promoted",
        use_case=PIPELINE.use_case,
        model=CHALLENGER,
        at=driver.now_ms,
        by="test",
        why="better by .02",
        replaces=CHAMPION,
    )


def test_what_cannot_be_decided_is_said_and_not_written(driver):
    for decide, says in (
        (lambda: driver.promote("tree"), "no model `tree`: there are binary_logistic_v1, "),
        (lambda: driver.promote(CHAMPION), f"{CHAMPION} is the champion already"),
        (driver.roll_back, "nothing to roll back to"),
    ):
        with pytest.raises(ThalwegError, match=says):
            decide()

    assert driver.read(topics.DEPLOYMENTS) == []
