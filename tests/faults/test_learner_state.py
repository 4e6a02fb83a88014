"""What the comparison of learners sees: every bit of a model, and no accident of its history."""

from typing import Any

import msgspec
import pytest

from online_models import catalogue
from online_models.learner import Learner
from tests.agents.outcome_log import FOLD, make_outcomes
from tests.faults.learner_state import canonical

OUTCOMES = make_outcomes(120)
ABOUT: dict[str, Any] = {
    "feature_names": FOLD.names,
    "schema": FOLD.schema,
    "target": OUTCOMES[0].target,
}


@pytest.mark.parametrize("model", catalogue.names("binary"))
def test_a_learner_that_was_interrupted_has_the_same_bits_and_another_has_others(model):
    learner, uninterrupted = (Learner(model, **ABOUT) for _ in range(2))
    behind: dict[str, Any] = {}
    for offset, outcome in enumerate(OUTCOMES):
        if offset % 40 == 25:
            state = msgspec.msgpack.encode(learner.state())
            learner = Learner.from_state(
                model, **ABOUT, state=msgspec.msgpack.decode(state, type=learner.task.state)
            )
        learner.learn(outcome, offset)
        uninterrupted.learn(outcome, offset)
        if offset == len(OUTCOMES) - 2:
            behind = canonical(uninterrupted)

    assert canonical(learner) == canonical(uninterrupted)
    assert canonical(learner)["model"] != behind["model"]
