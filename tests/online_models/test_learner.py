from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models import catalogue
from online_models.learner import Learner
from online_models.progress import LearnerState
from online_models.scorer import Scorer
from schemas.outcomes import Outcome

from .conftest import CHEAP, DEAR, FEATURES, SCHEMA, TARGET

models = pytest.mark.parametrize("model", catalogue.NAMES)
cheap_models = pytest.mark.parametrize("model", CHEAP)


def learner_of(model: str, *, label_delay: timedelta = timedelta(seconds=1)) -> Learner:
    return Learner(
        model, feature_names=FEATURES, schema=SCHEMA, target=TARGET, label_delay=label_delay
    )


def restored(learner: Learner) -> Learner:
    blob = msgspec.msgpack.encode(learner.state())
    return Learner.from_state(
        learner.model,
        feature_names=FEATURES,
        schema=SCHEMA,
        target=TARGET,
        state=msgspec.msgpack.decode(blob, type=LearnerState),
    )


def final_scores(learner: Learner, log: list[Outcome]) -> list[float]:
    scorer = learner.scorer()
    return [scorer.score(dict(zip(FEATURES, o.features, strict=True))) for o in log]


@cheap_models
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), data=st.data())
def test_a_restored_learner_that_replays_the_log_equals_one_never_interrupted(
    model, seed, data, make_log
):
    """Bit for bit, from whatever earlier offset the replay starts."""
    log = make_log(seed, 450)
    at = data.draw(st.integers(0, len(log)), label="snapshot after")
    start = data.draw(st.integers(0, at), label="replay from")

    replays_to_the_same_bits(model, log, at, start)


@pytest.mark.parametrize("model", DEAR)
def test_a_restored_forest_equals_one_never_interrupted_too(model, make_log):
    replays_to_the_same_bits(model, make_log(3, 150), at=100, start=70)


def replays_to_the_same_bits(model: str, log: list[Outcome], at: int, start: int) -> None:
    """Compare a learner with one that was restored after `at` and replayed from `start`."""
    uninterrupted = learner_of(model)
    expected = [uninterrupted.learn(outcome, offset) for offset, outcome in enumerate(log)]

    first = learner_of(model)
    for offset, outcome in enumerate(log[:at]):
        first.learn(outcome, offset)
    second = restored(first)
    replayed = [second.learn(log[offset], offset) for offset in range(start, len(log))]

    assert replayed == [None] * (at - start) + expected[at:]
    assert second.progress == uninterrupted.progress
    assert final_scores(second, log) == final_scores(uninterrupted, log)


@models
def test_it_learns_what_river_would_learn(model, make_log):
    log = make_log(5, 400)
    estimator = catalogue.make(model)
    learner = learner_of(model)
    for offset, outcome in enumerate(log):
        estimator.learn_one(dict(zip(FEATURES, outcome.features, strict=True)), outcome.label)
        learner.learn(outcome, offset)

    assert final_scores(learner, log) == [
        Scorer(estimator, n_learned=1).score(dict(zip(FEATURES, o.features, strict=True)))
        for o in log
    ]


@cheap_models
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), moment=st.integers(0, 30_000))
def test_no_label_that_became_known_after_the_event_moves_its_score(model, seed, moment, make_log):
    """The honesty of the evaluation: turn all later labels around, and nothing changes."""
    log = make_log(seed, 300)
    turned = [
        msgspec.structs.replace(o, label=not o.label) if o.labelled_at > moment else o for o in log
    ]
    one, other = learner_of(model), learner_of(model)

    for offset, (outcome, changed) in enumerate(zip(log, turned, strict=True)):
        score, score_of_changed = one.learn(outcome, offset), other.learn(changed, offset)

        if outcome.event_at <= moment:
            assert score == score_of_changed


def test_every_outcome_is_judged_when_labels_come_as_declared(make_log):
    learner = learner_of("binary_logistic_v1")
    log = make_log(1, 500)
    scores = [learner.learn(outcome, offset) for offset, outcome in enumerate(log)]

    assert None not in scores
    assert learner.prequential.n == learner.progress.last_class.n == len(log)


def test_bursts_of_labels_do_not_flatter_the_last_class(make_log):
    """Were it judged with hindsight, the label before would look like an oracle."""
    learner = learner_of("binary_logistic_v1")
    burst = [
        msgspec.structs.replace(
            outcome, event_at=i * 100, labelled_at=(i // 10 + 1) * 1_000, label=i // 10 % 2 == 0
        )
        for i, outcome in enumerate(make_log(1, 1_000))
    ]
    hits = sum(a.label == b.label for a, b in pairwise(burst))
    assert hits >= 0.9 * len(burst) - 1

    for offset, outcome in enumerate(burst):
        learner.learn(outcome, offset)

    assert learner.progress.last_class.roc_auc < 0.7


def test_an_outcome_whose_label_took_too_long_is_learned_but_not_judged(make_log):
    learner = learner_of("binary_logistic_v1")
    log = make_log(1, 300)
    for offset, outcome in enumerate(log):
        learner.learn(outcome, offset)
    late = msgspec.structs.replace(log[0], labelled_at=log[-1].labelled_at)

    assert learner.learn(late, len(log)) is None
    assert (learner.n_learned, learner.prequential.n) == (301, 300)
    assert learner.progress.n_unjudged == 1


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "schema-2"},
        {"target": "target-2"},
        {"target": ""},
        {"features": [1.0, 2.0]},
        {"features": [1.0, float("nan"), 0.0, 1.0]},
        {"features": [1.0, float("inf"), 0.0, 1.0]},
        {"features": [1.0, -1e300, 0.0, 1.0]},
    ],
    ids=["other schema", "other label rule", "no label rule", "too few", "NaN", "infinite", "huge"],
)
def test_an_outcome_that_cannot_be_learned_is_skipped_and_counted(change, make_log):
    learner = learner_of("binary_logistic_v1")
    outcome = msgspec.structs.replace(make_log(1, 1)[0], **change)

    assert learner.learn(outcome, 7) is None
    assert (learner.n_learned, learner.progress.n_skipped, learner.through) == (0, 1, 7)


def test_what_makes_a_model_raise_is_skipped_alike_by_whoever_learns_the_log_again(
    make_log, monkeypatch
):
    first = learner_of("binary_logistic_v1")
    kind = type(first._estimator)
    learn_one = kind.learn_one

    def buggy(self, x, y):
        learn_one(self, x, y)  # half of its work is done
        if x[FEATURES[0]] > 1:
            raise ZeroDivisionError("no luck")

    monkeypatch.setattr(kind, "learn_one", buggy)
    log = make_log(1, 200)
    n_raised = sum(outcome.features[0] > 1 for outcome in log)
    for offset, outcome in enumerate(log):
        first.learn(outcome, offset)
        if offset == 100:
            second = restored(first)
    for offset, outcome in enumerate(log):
        second.learn(outcome, offset)

    assert 0 < n_raised < len(log)
    assert (first.progress.n_skipped, first.n_learned) == (n_raised, len(log) - n_raised)
    assert first.failure == "ZeroDivisionError: no luck"
    assert second.progress == first.progress
    assert final_scores(second, log) == final_scores(first, log)


def test_learning_on_does_not_move_a_scorer(make_log):
    learner = learner_of("binary_logistic_v1")
    log = make_log(2, 200)
    for offset, outcome in enumerate(log[:100]):
        learner.learn(outcome, offset)
    scorer = learner.scorer()
    x = dict(zip(FEATURES, log[0].features, strict=True))
    before = scorer.score(x)
    for offset, outcome in enumerate(log[100:], start=100):
        learner.learn(outcome, offset)

    assert scorer.score(x) == before != learner.scorer().score(x)
    assert scorer.base_rate == sum(outcome.label for outcome in log[:100]) / 100
