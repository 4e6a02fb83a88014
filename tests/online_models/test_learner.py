import math
import random
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models import catalogue
from online_models.learner import Learner
from online_models.progress import Counts
from online_models.scorer import Scorer
from online_models.tasks.binary import Progress
from schemas.outcomes import Outcome
from tests.online_models.tasks.laws import cuts, replays_to_the_same_bits

from .conftest import BINARY, CHEAP, DEAR, FEATURES, HORIZON_MS, SCHEMA, TARGET

models = pytest.mark.parametrize("model", BINARY)
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
        state=msgspec.msgpack.decode(blob, type=learner.task.state),
    )


def final_scores(learner: Learner, log: list[Outcome]) -> list[float]:
    scorer = learner.scorer()
    return [scorer.score(dict(zip(FEATURES, o.features, strict=True))) for o in log]


@cheap_models
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), cuts=cuts(450, n=4))
def test_a_restored_learner_that_replays_the_log_equals_one_never_interrupted(
    model, seed, cuts, make_log
):
    """Bit for bit, from whatever earlier offset the replay starts."""
    replays_to_the_same_bits(model, make_log(seed, 450), cuts)


@pytest.mark.parametrize("model", DEAR)
def test_a_restored_forest_equals_one_never_interrupted_too(model, make_log):
    replays_to_the_same_bits(model, make_log(3, 150), [(100, 70)])


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


def weighed(log: list[Outcome]) -> list[Outcome]:
    """Let every second negative stand for two, and some for more than that."""
    return [
        o if o.label else msgspec.structs.replace(o, weight=w, judged=w)
        for n, o in enumerate(log)
        if (w := (2.0, 2.0, 3.5)[n % 3]) and (o.label or n % 2)
    ]


@models
def test_weights_teach_as_river_teaches_them(model, make_log):
    log = weighed(make_log(5, 300))
    estimator = catalogue.make(model)
    teach: Any = estimator.learn_one
    takes_weights = catalogue.recipe(model).takes_weights
    learner = learner_of(model)
    for offset, outcome in enumerate(log):
        weight = {"w": outcome.weight} if takes_weights and outcome.weight != 1.0 else {}
        teach(dict(zip(FEATURES, outcome.features, strict=True)), outcome.label, **weight)
        learner.learn(outcome, offset)

    weights = [o.weight for o in log]
    n_weighed = sum(weight != 1.0 for weight in weights)
    assert learner.progress.n_unweighted == (0 if takes_weights else n_weighed)
    positive = sum(o.label is True for o in log)
    assert learner.scorer().base_rate == pytest.approx(positive / sum(weights))
    assert final_scores(learner, log) == [
        Scorer(estimator, n_learned=1).score(dict(zip(FEATURES, o.features, strict=True)))
        for o in log
    ]


def test_with_weights_too_a_restored_learner_equals_one_never_interrupted(make_log):
    log = weighed(make_log(4, 450))
    replays_to_the_same_bits("binary_logistic_v2", log, [(200, 150)])


def test_a_share_of_the_negatives_teaches_and_judges_as_all_of_them_do(make_log):
    """They weigh as much as those they stand for; without weights the base rate is far off."""
    log = [o for n, o in enumerate(make_log(8, 6_000)) if not o.label or n % 4 == 0]
    kept = [o for n, o in enumerate(log) if o.label or n % 5 == 0]
    fives = [o if o.label else msgspec.structs.replace(o, weight=5.0, judged=5.0) for o in kept]
    all_, unweighed, weighted = (learner_of("binary_logistic_v1") for _ in range(3))
    for learner, outcomes in ((all_, log), (unweighed, kept), (weighted, fives)):
        for offset, outcome in enumerate(outcomes):
            learner.learn(outcome, offset)

    rates = [each.scorer().base_rate for each in (all_, weighted, unweighed)]
    assert rates[1] == pytest.approx(rates[0], abs=0.02)
    assert rates[2] > rates[0] + 0.2
    mean_scores = [math.fsum(final_scores(each, log)) / len(log) for each in (all_, weighted)]
    assert mean_scores[1] == pytest.approx(mean_scores[0], abs=0.03)
    assert weighted.prequential.roc_auc == pytest.approx(all_.prequential.roc_auc, abs=0.03)
    assert weighted.prequential.log_loss == pytest.approx(all_.prequential.log_loss, abs=0.03)


def revised(log: list[Outcome]) -> list[Outcome]:
    """Let every third label be a wrong one at first, and be revised later."""
    told: list[Outcome] = []
    for n, outcome in enumerate(log):
        is_wrong = n % 3 == 0
        told.append(msgspec.structs.replace(outcome, label=outcome.label != is_wrong))
        if n >= 30 and (n - 30) % 3 == 0:
            told.append(
                msgspec.structs.replace(
                    log[n - 30],
                    labelled_at=outcome.labelled_at,
                    weight=2.0,
                    judged=0.0,
                    revises=True,
                )
            )
    return told


def test_a_revision_is_learned_and_not_judged_again(make_log):
    log = make_log(6, 300)
    learner = learner_of("binary_logistic_v1")
    for offset, outcome in enumerate(revised(log)):
        score = learner.learn(outcome, offset)
        assert (score is None) == outcome.revises

    assert learner.n_learned == 390
    assert learner.progress.n_unjudged == 0
    assert learner.prequential.n == learner.progress.last_class.n == 300
    settled = [o.label != (n % 3 == 0 and n >= 270) for n, o in enumerate(log)]
    assert learner.scorer().base_rate == pytest.approx(sum(settled) / 300)


def test_with_revisions_too_a_restored_learner_equals_one_never_interrupted(make_log):
    log = revised(make_log(4, 300))
    replays_to_the_same_bits("binary_logistic_v2", log, [(200, 150)])


def test_revisions_outweigh_what_was_learned_wrongly(make_log):
    log = make_log(7, 6_000)
    misled = [o for o in revised(log) if not o.revises]
    right, wrong, corrected = (learner_of("binary_logistic_v1") for _ in range(3))
    for learner, outcomes in ((right, log), (wrong, misled), (corrected, revised(log))):
        for offset, outcome in enumerate(outcomes):
            learner.learn(outcome, offset)

    truth, misled_scores, corrected_scores = (
        final_scores(each, log[:500]) for each in (right, wrong, corrected)
    )
    errors = [
        math.fsum(abs(a - b) for a, b in zip(truth, scores, strict=True)) / len(truth)
        for scores in (misled_scores, corrected_scores)
    ]
    assert errors[1] < errors[0] / 2


def test_a_fake_negative_teaches_and_its_truth_is_judged(make_log):
    learner = learner_of("binary_logistic_v1")
    log = make_log(3, 200)
    told: list[Outcome] = []
    for outcome in log:
        fake = msgspec.structs.replace(
            outcome, label=False, labelled_at=outcome.event_at + 1, weight=0.75, judged=0.0
        )
        truth = msgspec.structs.replace(outcome, weight=1.5 if outcome.label else 0.0)
        told += [fake, truth]
    told.sort(key=lambda each: each.labelled_at)
    for offset, outcome in enumerate(told):
        learner.learn(outcome, offset)

    n_positives = sum(outcome.label for outcome in log)
    assert learner.n_learned == 200 + n_positives
    assert learner.prequential.n == learner.progress.last_class.n == 200
    assert learner.prequential.positives == n_positives
    assert learner.progress.known_until == log[-1].labelled_at
    assert learner.progress.n_skipped == learner.progress.n_unjudged == 0
    positive = 1.5 * n_positives
    assert learner.scorer().base_rate == pytest.approx(positive / (150 + positive))


@pytest.mark.parametrize(("is_weighed", "learned_rate"), [(True, 0.3), (False, 0.3 / 1.3)])
def test_with_fake_negatives_a_model_learns_the_true_rate_though_it_learns_all_at_once(
    make_log, is_weighed, learned_rate
):
    """Without the weights each positive would be held against a negative too many."""
    (row,) = make_log(1, 1)
    learner = learner_of("binary_logistic_v2")
    x = dict(zip(FEATURES, row.features, strict=True))
    rng = random.Random(1)
    p, scores = 0.5, []
    for n in range(6_000):
        if n % 50 == 0:
            p = learner.scorer().score(x)
            scores.append(p)
        outcomes = [(False, 1 - p * p)] + [(True, 1 + p)] * (rng.random() < 0.3)
        for label, weight in outcomes:
            told = msgspec.structs.replace(
                row, label=label, weight=weight if is_weighed else 1.0, judged=0.0
            )
            learner.learn(told, learner.through + 1)

    assert math.fsum(scores[60:]) / 60 == pytest.approx(learned_rate, abs=0.02)


def test_the_base_rate_stays_one_though_what_was_revised_had_been_skipped(make_log):
    learner = learner_of("binary_logistic_v1")
    (outcome,) = make_log(1, 1)
    for offset, label in enumerate((False, False)):
        undone = msgspec.structs.replace(outcome, label=label, weight=3.0, judged=0.0, revises=True)
        learner.learn(undone, offset)

    assert learner.scorer().base_rate == 0.0


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
        if outcome.labelled_at > moment + HORIZON_MS:
            break  # what comes now happened later
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
        {"weight": float("nan")},
        {"weight": -1.0},
        {"judged": float("inf")},
        {"features": [1.0, 2.0]},
        {"features": [1.0, float("nan"), 0.0, 1.0]},
        {"features": [1.0, float("inf"), 0.0, 1.0]},
        {"features": [1.0, -1e300, 0.0, 1.0]},
    ],
    ids=[
        "other schema",
        "other label rule",
        "no label rule",
        *("NaN weight", "negative weight", "infinite weight"),
        "too few",
        "NaN",
        "infinite",
        "huge",
    ],
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
    teach = Counts.teach

    def buggy(self, estimator, features, outcome, **how):
        teach(self, estimator, features, outcome, **how)  # half of its work is done
        if features[FEATURES[0]] > 1:
            raise ZeroDivisionError("no luck")

    monkeypatch.setattr(Counts, "teach", buggy)
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


def test_what_former_releases_wrote_of_a_learner_is_read(make_log):
    learner = learner_of("binary_logistic_v1")
    for offset, outcome in enumerate(make_log(2, 200)):
        learner.learn(outcome, offset)
    written = msgspec.to_builtins(learner.progress)
    for name in ("extra_weight", "extra_positive_weight", "n_unweighted"):
        del written[name]

    assert msgspec.convert(written, Progress) == learner.progress


def test_outcomes_of_former_releases_weigh_one_each(make_log):
    (outcome,) = make_log(2, 1)
    fields = msgspec.to_builtins(outcome)

    assert msgspec.convert(fields[:12], Outcome) == outcome


def test_a_version_judges_what_it_cannot_know_and_learns_none_of_it(make_log):
    log = make_log(3, 300)
    learner = learner_of("binary_logistic_v1")
    for offset, outcome in enumerate(log[:150]):
        learner.learn(outcome, offset)
    before, known_until = learner.state().model, learner.progress.known_until
    n_judged = learner.prequential.n
    expected = final_scores(learner, log)
    judge = learner.judging()
    odd = [msgspec.structs.replace(log[-1], schema="another"), msgspec.structs.replace(log[-1])]
    odd[1].judged = 0.0

    judged = [judge(outcome) for outcome in log]
    assert judged == [
        score if outcome.event_at >= known_until else None
        for outcome, score in zip(log, expected, strict=True)
    ]
    assert 100 < sum(score is not None for score in judged) < 200
    assert [judge(each) for each in odd] == [None, None]
    assert learner.prequential.n == n_judged + sum(score is not None for score in judged)
    assert (learner.n_learned, learner.state().model) == (150, before)
