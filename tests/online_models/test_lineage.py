"""Which of two snapshots is the later one, and what they come from."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.learner import Learner
from online_models.lineage import Position
from online_models.progress import Counts

from .conftest import FEATURES, SCHEMA, TARGET

MODEL = "binary_logistic_v1"
ABOUT: dict[str, Any] = {"feature_names": FEATURES, "schema": SCHEMA, "target": TARGET}
numbers = st.integers(-1, 20)


def position(lineage: str, rebuilt: int, through: int) -> Position:
    return Position(lineage, rebuilt, through)


@given(history=st.lists(st.tuples(numbers, numbers), min_size=2).map(sorted), data=st.data())
def test_what_was_served_before_is_never_served_again_in_place_of_what_came_later(history, data):
    """However a model went on and was learned anew: who may write cannot set it back."""
    made = [position("a", *each) for each in history]
    later = data.draw(st.integers(1, len(made) - 1))
    earlier = data.draw(st.integers(0, later - 1))

    assert made[later].objection(made[earlier]) is None
    assert (made[earlier].objection(made[later]) is None) == (made[earlier] == made[later])


@given(of=st.sampled_from(["", "a"]), through=numbers, served=numbers)
def test_what_does_not_say_what_it_comes_from_is_taken_for_the_same(of, through, served):
    objection = position(of, -1, through).objection(position("a", -1, served))

    assert (objection is None) == (through >= served)


@given(through=numbers, served=numbers)
def test_what_begins_anew_may_take_the_place_of_the_old(through, served):
    assert position("b", -1, through).objection(position("a", -1, served)) is None


def begun(outcomes, *, start: int = 0, target: str = TARGET) -> str:
    learner = Learner(MODEL, **{**ABOUT, "target": target})
    for offset, outcome in enumerate(outcomes, start=start):
        learner.learn(msgspec.structs.replace(outcome, target=target), offset)
    return learner.progress.lineage


def test_a_lineage_is_that_of_the_first_outcome_and_is_kept(make_log):
    log = make_log(1, 60)
    learner = Learner(MODEL, **ABOUT)
    lineages, firsts = set(), set()
    learner.learn(msgspec.structs.replace(log[0], schema="another"), 0)
    before = learner.progress.lineage
    for offset, outcome in enumerate(log[1:], start=1):
        learner.learn(outcome, offset)
        state = msgspec.msgpack.encode(learner.state())
        learner = Learner.from_state(
            MODEL, **ABOUT, state=msgspec.msgpack.decode(state, type=learner.task.state)
        )
        lineages.add(learner.progress.lineage)
        firsts.add(learner.progress.first)

    assert before == ""
    assert firsts == {1}
    assert lineages == {begun(log[1:], start=1)}
    others = {
        begun(log[2:], start=1),
        begun(log[1:], start=2),
        begun(log[1:], start=1, target="target-2"),
    }
    assert len(others | lineages) == 4


@pytest.mark.parametrize("raises_at", [0, 7])
def test_a_version_is_never_that_of_two_models_though_one_outcome_makes_the_model_raise(
    make_log, monkeypatch, raises_at
):
    """A pipeline that fails in its second step has learned in its first."""
    learner = Learner(MODEL, **ABOUT)
    teach = Counts.teach
    calls = iter(range(1_000))

    def buggy(self, estimator, features, outcome, **how):
        if next(calls) == raises_at:
            estimator["StandardScaler"].learn_one(features)
            raise ZeroDivisionError
        teach(self, estimator, features, outcome, **how)

    monkeypatch.setattr(Counts, "teach", buggy)
    models: dict[int, bytes] = {learner.version: learner.state().model}
    for offset, outcome in enumerate(make_log(1, 20)):
        learner.learn(outcome, offset)
        models[learner.version] = learner.state().model

    assert len(models) == 21
    assert len(set(models.values())) == 21
    assert (learner.n_learned, learner.progress.n_raised) == (19, 1)
