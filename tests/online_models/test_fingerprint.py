"""What the comparison of learners sees: every bit of a model, and no accident of its history."""

from typing import Any

import msgspec
import pytest

from online_models import catalogue
from online_models.learner import Learner
from tests.agents.outcome_log import FOLD, make_outcomes

OUTCOMES = make_outcomes(120)
ABOUT: dict[str, Any] = {
    "feature_names": FOLD.names,
    "schema": FOLD.schema,
    "target": OUTCOMES[0].target,
}


@pytest.mark.parametrize("model", catalogue.names("binary"))
def test_a_learner_that_was_interrupted_has_the_same_bits_and_another_has_others(model):
    learner, uninterrupted = (Learner(model, **ABOUT) for _ in range(2))
    behind = b""
    for offset, outcome in enumerate(OUTCOMES):
        if offset % 40 == 25:
            state = msgspec.msgpack.encode(learner.state())
            learner = Learner.from_state(
                model, **ABOUT, state=msgspec.msgpack.decode(state, type=learner.task.state)
            )
        learner.learn(outcome, offset)
        uninterrupted.learn(outcome, offset)
        if offset == len(OUTCOMES) - 2:
            behind = uninterrupted.fingerprint()

    assert learner.fingerprint() == uninterrupted.fingerprint() != behind


@pytest.mark.parametrize("part", ["_estimator", "older", "newer"])
def test_a_fingerprint_is_that_of_each_self_of_a_learner(part):
    learner = Learner("binary_logistic_v1", **ABOUT)
    for offset, outcome in enumerate(OUTCOMES[:60]):
        learner.learn(outcome, offset)
    before = learner.fingerprint()
    held_back = learner._held_back
    model = learner._estimator if part == "_estimator" else getattr(held_back, part).scorer.model
    model.learn_one(dict.fromkeys(FOLD.names, 1.0), True)  # type: ignore[call-arg]

    assert learner.fingerprint() != before
