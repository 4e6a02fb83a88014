"""A learner's standby does ahead of time what it would have to do, and comes to the same."""

from dataclasses import replace
from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.kafka.keyed_state import MayTakeLong
from agents.learning.restoring import WARM_EVERY_S, Curriculum, LearnersRestoring, new_learner
from examples.shop.pipeline import PIPELINE
from online_models.snapshot import encode
from tests.agents.learning.test_late_learners import MemoryLog
from tests.agents.learning.test_rebuild import HERE, LOG, MODELS, SPANS, Role, uninterrupted
from tests.agents.outcome_log import FEATURES, make_outcomes
from tests.agents.record import PUBLISHED_MS
from tests.agents.test_learn import (
    CHALLENGER,
    CHAMPION,
    SIGNER,
    VERIFIER,
    new_learners,
    outcomes_at,
)


class Copied(Role):
    """A learner, and a standby that follows what it publishes."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed_s = 0.0
        self.copy = self.training.begin_restore(0)
        self.copy._stopwatch = lambda: self.elapsed_s

    def keep_warm(self) -> None:
        self.elapsed_s += WARM_EVERY_S
        self.copy.keep_warm()

    def _publish(self, topic, value, key, headers):
        super()._publish(topic, value, key, headers)
        self.copy.restore(key, value)

    def take_over(self, copy: LearnersRestoring) -> dict[str, bytes]:
        copy.complete()
        self.training.install(0, copy)
        for _ in range(5):
            self.go_on(1_000)
        return {name: each.fingerprint() for name, each in self.training.learners.items()}


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_whenever_a_standby_looks_and_takes_over_it_has_learned_each_outcome_once(data):
    role = Copied()
    for action in data.draw(
        st.lists(
            st.sampled_from(["learn", "learn", "look", "go on", "decide", "resume"]), max_size=25
        )
    ):
        role.now_s += data.draw(st.sampled_from([0.1, 20.0]))
        match action:
            case "learn":
                role.learn()
            case "look":
                role.keep_warm()
            case "go on":
                role.go_on(30)
            case "decide":
                role.decide(data.draw(st.sampled_from(MODELS)))
            case "resume":
                role.resume(data.draw(st.sampled_from([*SPANS, *MODELS])))
    found = role.take_over(role.copy)

    expected = uninterrupted(role.log.n_committed, role.origins)
    assert found == {name: learner.fingerprint() for name, learner in expected.items()}
    assert {name: each.version for name, each in role.served.by_name.items()} == {
        name: expected[name].version for name in role.snapshots
    }


def test_at_the_takeover_nothing_is_left_to_be_loaded_or_learned(monkeypatch):
    role = Copied()
    for _ in range(6):
        role.now_s += 0.3
        role.learn()
    role.keep_warm()
    behind = role.copy._warm[CHAMPION].n_published
    loaded: list[str] = []
    load = type(role.copy._curriculum).load

    def noted_load(self, name, blob):
        loaded.append(name)
        return load(self, name, blob)

    monkeypatch.setattr(type(role.copy._curriculum), "load", noted_load)
    learned: list[int] = []
    outcomes = type(role.copy._curriculum).outcomes

    def noted(self, start, end):
        learned.append(end - start)
        return outcomes(self, start, end)

    monkeypatch.setattr(type(role.copy._curriculum), "outcomes", noted)
    role.copy.complete()

    assert behind < 60
    assert (loaded, learned) == ([], [0])
    assert role.copy.learned_again == frozenset({CHAMPION})


def test_a_standby_looks_seldom_and_spends_at_most_half_of_its_time():
    role = Copied()
    role.learn()
    ticks = iter([0.0, 100.0, 150.0, 199.0, 200.0, 201.0])
    role.copy._stopwatch = lambda: next(ticks)
    role.copy.keep_warm()
    first = role.copy._warm[CHAMPION]
    role.copy.keep_warm()
    role.copy.keep_warm()
    role.learn()
    role.copy.keep_warm()

    assert first.learner.n_learned == 20
    assert list(ticks) == []


def test_a_snapshot_that_is_to_be_refused_is_not_served_from_memory():
    role = Copied()
    role.learn()
    role.keep_warm()
    stranger = encode(
        role.training.learners[CHALLENGER],
        SIGNER,
        at_ms=0,
        environment="staging-/purchase-intent",
    )
    role.copy.restore(CHALLENGER.encode(), stranger)
    role.keep_warm()
    role.copy.complete()

    assert [learner.model for learner in role.copy.begun.values()] == [CHALLENGER]
    assert [learner.n_learned for learner in role.copy.late.learners] == [0]
    assert role.copy.learners[CHAMPION].n_learned == 10


def test_a_version_that_was_trained_apart_is_not_gone_on_from():
    """Its signature is good: whoever may write to `models` can put it under the model's name."""
    role = Role()
    for _ in range(3):
        role.learn()
    learner = new_learners()[CHALLENGER]
    for offset, outcome in list(enumerate(make_outcomes(len(LOG))))[5:30]:
        learner.learn(outcome, offset)
    role.snapshots[CHALLENGER] = encode(
        learner, SIGNER, at_ms=0, environment=HERE, version=20261128034512
    )
    role.start()
    for _ in range(5):
        role.go_on(1_000)
    expected = uninterrupted(30)

    for name, learner in role.training.learners.items():
        assert learner.fingerprint() == expected[name].fingerprint(), name


def test_who_goes_on_judges_what_the_pipeline_now_waits_for():
    """Labels may take an hour longer than they did when the learner began."""
    patient = replace(PIPELINE, allowed_lateness=PIPELINE.allowed_lateness + timedelta(hours=1))
    hour_ms = 3_600_000
    first, *_ = make_outcomes(1)
    late = [
        msgspec.structs.replace(first, event_at=n * 60_000, labelled_at=n * 60_000 + hour_ms)
        for n in range(400)
    ]
    former = new_learner(PIPELINE, FEATURES, CHAMPION)
    for offset, outcome in enumerate(late[:200]):
        former.learn(outcome, offset)
    n_unjudged = former.progress.n_unjudged
    curriculum = Curriculum(
        pipeline=patient, features=FEATURES, log=MemoryLog([], 0), verifier=VERIFIER
    )
    learner = curriculum.load(CHAMPION, encode(former, SIGNER, at_ms=0)).learner
    for offset, outcome in enumerate(late[200:], 200):
        learner.learn(outcome, offset)

    assert n_unjudged > 50
    # The selves that were frozen before still have to be outlived.
    assert learner.progress.n_unjudged - n_unjudged < 50


def test_on_a_log_that_was_created_anew_models_begin_anew():
    """Offsets begin with 0 again: who goes on from what it had would pass over many."""
    role = Role()
    for _ in range(4):
        role.learn()
    log = [(offset, value) for offset, (_, value) in enumerate(LOG[50:80])]
    role.log = MemoryLog(log, 0)
    role.start()
    learned_before = {name: each.n_learned for name, each in role.training.learners.items()}
    for start in (0, 10, 20):
        step = outcomes_at(log[start : start + 10])
        role.training.learn(step, PUBLISHED_MS)

    assert learned_before == dict.fromkeys(MODELS, 0)
    assert {each.n_learned for each in role.training.learners.values()} == {30}


def test_who_is_needed_no_more_does_not_learn_the_log_to_its_end():
    role = Role()
    for _ in range(6):
        role.learn()
    asked = iter([False] * 20)
    restoring = role.training.begin_restore(0)
    restoring.is_cancelled = lambda: next(asked, True)
    restoring.complete()

    assert isinstance(restoring, MayTakeLong)
    assert restoring.learners[CHAMPION].n_learned == 20
