"""A rollout that steps, stops and ends while users are answered, without a broker."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.assignment import Rollout
from schemas.errors import InvalidDeclaration, ThalwegError

CHAMPION, CANDIDATE = SHOP.champion, SHOP.challengers[0]
ROLLOUT = Rollout(name="tree", candidate=CANDIDATE, exposure=0.0, steps=(0.05, 0.5))
PIPELINE = replace(SHOP, rollout=ROLLOUT)
USERS = [f"user-{n}" for n in range(60)]


@pytest.fixture
def driver():
    driver = PipelineDriver(PIPELINE)
    ask(driver, *USERS)
    driver.advance(SHOP.label.horizon + SHOP.allowed_lateness + timedelta(minutes=1))
    ask(driver, "somebody who moves the watermark")
    return driver


def ask(driver, *users):
    """Let users come, and tell what each was answered."""
    driver.publish(*({"user_id": user, "action": "home", "ts": driver.now_ms} for user in users))
    driver.now_ms += 1_000
    return {each.user_id: each for each in driver.predictions[-len(users) :]}


def variants(driver):
    return {user: each.variant for user, each in ask(driver, *USERS).items()}


def expected(exposure):
    return {user: replace(ROLLOUT, exposure=exposure).variant(user) for user in USERS}


def test_it_goes_from_step_to_step_and_whoever_starts_anew_goes_on_from_there(driver):
    seen = [variants(driver)]
    for _ in ROLLOUT.steps:
        driver.step()
        seen.append(variants(driver))
    driver.crash("predict")
    driver.deploy(PIPELINE)
    seen.append(variants(driver))

    assert seen == [expected(0.0), expected(0.05), expected(0.5), expected(0.5)]
    with pytest.raises(ThalwegError, match="no step of tree is left"):
        driver.step()


def test_it_may_go_anywhere_by_hand(driver):
    driver.step(0.8)
    wide = variants(driver)
    driver.step(0.05)

    assert wide == expected(0.8)
    assert variants(driver) == expected(0.05)


def test_once_stopped_everybody_has_the_champions_answers_for_good(driver):
    driver.step(0.5)
    driver.stop()
    answered = ask(driver, *USERS)

    assert {(each.variant, each.model) for each in answered.values()} == {("champion", CHAMPION)}
    with pytest.raises(ThalwegError, match="tree is over: test stopped tree"):
        driver.step(0.5)


def test_the_candidate_promoted_answers_everybody_and_a_rollback_does_not_begin_anew(driver):
    driver.step(0.5)
    driver.promote(CANDIDATE)
    promoted = ask(driver, *USERS)
    with pytest.raises(ThalwegError, match=f"{CANDIDATE} is the champion already"):
        driver.step(0.1)
    driver.roll_back()
    back = ask(driver, *USERS)

    assert {(each.variant, each.model) for each in promoted.values()} == {("champion", CANDIDATE)}
    assert {(each.variant, each.model) for each in back.values()} == {("champion", CHAMPION)}


def test_a_rollout_that_was_never_stepped_is_ended_by_a_promotion_too(driver):
    driver.deploy(replace(SHOP, rollout=replace(ROLLOUT, exposure=0.5)))
    driver.promote(CANDIDATE)
    driver.roll_back()

    assert set(variants(driver).values()) == {"champion"}


def test_another_name_begins_anew(driver):
    driver.stop()
    again = replace(ROLLOUT, name="tree-2", exposure=0.5)
    driver.deploy(replace(SHOP, rollout=again))

    assert variants(driver) == {user: again.variant(user) for user in USERS}


def test_without_a_rollout_there_is_nothing_to_decide():
    driver = PipelineDriver(SHOP)

    with pytest.raises(ThalwegError, match="declares no rollout"):
        driver.step()


@pytest.mark.parametrize("steps", [(0.5, 0.1), (0.0, 0.1), (0.1, 0.1), (1.5,)])
def test_steps_go_up(steps):
    with pytest.raises(InvalidDeclaration, match="steps are growing shares"):
        replace(ROLLOUT, steps=steps)
