"""Models that tell how odd something is: learned without labels, judged where there are some."""

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import datasets

from online_models import catalogue
from online_models.anomaly_scorer import LEAST_RANKED, ORDINARY, AnomalyScorer
from online_models.prequential import Prequential
from online_models.tasks.anomaly import BEGINNING, MOST_RANKED
from online_models.unanswered import FAILED, NOT_A_NUMBER, UNTRAINED
from schemas.outcomes import Outcome
from tests.online_models.conftest import FEATURES

from .laws import (
    answers,
    cuts,
    is_gone_on_from,
    learner_of,
    log_of,
    replays_to_the_same_bits,
    taught,
)

NAMES = catalogue.names("anomaly")
Row = tuple[dict[str, float], int]
models = pytest.mark.parametrize("model", NAMES)


def make_log(seed: int, n: int, *, share_labelled: float = 0.0) -> list[Outcome]:
    """Let one in fifty be odd; of some that is known."""

    def meaning(features, rng):
        is_odd = rng.random() < 0.02
        if is_odd:
            features[0] += 40.0 * rng.random()
            features[1] += 150.0
        return is_odd if rng.random() < share_labelled else None

    return log_of(meaning, seed, n)


@models
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 999), cuts=cuts(600, n=3))
def test_a_restored_learner_that_replays_the_log_equals_one_never_interrupted(model, seed, cuts):
    replays_to_the_same_bits(model, make_log(seed, 600, share_labelled=0.5), cuts)


@models
def test_a_snapshot_is_gone_on_from(model):
    is_gone_on_from(model, make_log(2, 1_100, share_labelled=1.0))


@models
def test_without_any_label_it_learns_what_river_would_and_ranks_by_what_that_says(model):
    n = MOST_RANKED + BEGINNING + 150
    log = make_log(5, n)
    estimator: Any = catalogue.recipe(model).make()
    oddities = []
    for outcome in log:
        x = dict(zip(FEATURES, outcome.features, strict=True))
        oddities.append(estimator.score_one(x))
        estimator.learn_one(x)
    latest = sorted(oddities[-MOST_RANKED:])

    def rank(outcome: Outcome) -> float:
        said = estimator.score_one(dict(zip(FEATURES, outcome.features, strict=True)))
        return (bisect_left(latest, said) + bisect_right(latest, said)) / (2 * MOST_RANKED)

    learner = taught(model, log)
    assert (learner.n_learned, learner.prequential.n) == (n, 0)
    assert sorted(learner.progress.oddities) == latest  # type: ignore[attr-defined]
    assert [answer.score for answer in answers(learner, log[:60])] == list(map(rank, log[:60]))


def asked_and_taught(model: str, rows: Iterable[Row], *, first: int) -> list[tuple[float, float]]:
    """Tell ranks, and what the model itself says, of rows from the first one on."""
    estimator: Any = catalogue.recipe(model).make()
    progress = catalogue.task(model).progress()
    said = []
    for n, (x, _) in enumerate(rows):
        if n >= first:
            said.append((progress.scorer(estimator).score(x), estimator.score_one(x)))
        outcome = Outcome("", "", "", n, n, None, 0.0, "", 0, "", [])
        progress.teach(estimator, x, outcome, takes_weights=False)
        progress.learned(outcome)
    return said


@models
def test_where_nothing_changes_ranks_are_spread_evenly(model):
    rng = random.Random(4)
    rows: list[Row] = [
        ({"clicks": rng.gauss(0, 1), "minutes": rng.gauss(5, 2)}, 0) for _ in range(3_000)
    ]
    ranks = [rank for rank, _ in asked_and_taught(model, rows, first=2_000)]

    for share in (0.25, 0.5, 0.75, 0.9):
        assert sum(rank > share for rank in ranks) / 1_000 == pytest.approx(1 - share, abs=0.1)


@models
def test_until_it_can_compare_it_says_that_it_cannot(model):
    log = make_log(1, BEGINNING + LEAST_RANKED)
    features = dict(zip(FEATURES, log[0].features, strict=True))
    young, warm = taught(model, log[:-1]).scorer(), taught(model, log).scorer()

    assert (young.score(features), young.degraded_reason) == (ORDINARY, UNTRAINED)
    assert warm.score(features) != ORDINARY
    assert warm.degraded_reason is None


@models
def test_ranks_tell_anomalies_apart_as_well_as_what_the_model_says_itself(model):
    rows: list[Row] = [(x, int(y)) for x, y in islice(datasets.Shuttle(), 1_500)]
    by_rank, by_itself = Prequential(), Prequential()
    said = asked_and_taught(model, rows, first=750)
    largest = max(abs(oddity) for _, oddity in said)
    for (_, is_odd), (rank, oddity) in zip(rows[750:], said, strict=True):
        by_rank.update(is_odd == 1, rank)
        by_itself.update(is_odd == 1, (oddity / largest + 1) / 2)

    assert by_rank.recent_roc_auc == pytest.approx(by_itself.recent_roc_auc, abs=0.01)
    assert by_rank.recent_roc_auc > 0.95


@models
def test_labels_judge_it_and_do_not_teach_it(model):
    log = make_log(3, 1_500, share_labelled=1.0)
    untold = [msgspec.structs.replace(o, label=None, judged=0.0) for o in log]
    learner, untold_learner = taught(model, log), taught(model, untold)

    assert answers(learner, log[:50]) == answers(untold_learner, log[:50])
    assert learner.prequential.n == learner.progress.last_class.n == 1_500
    figures = learner.prequential.figures()
    assert figures.keys() == {"roc_auc", "recent_roc_auc"}
    assert figures["recent_roc_auc"] > 0.9 > learner.progress.last_class.roc_auc
    assert learner.progress.base_rate.roc_auc == 0.5


class Says:
    """A model that says what it is told to say."""

    def __init__(self, oddity: object) -> None:
        self.oddity = oddity

    def score_one(self, x: object) -> object:
        if isinstance(self.oddity, Exception):
            raise self.oddity
        return self.oddity


@pytest.mark.parametrize(
    ("oddity", "reason"),
    [(ZeroDivisionError(), FAILED), (math.nan, NOT_A_NUMBER), (math.inf, NOT_A_NUMBER)],
)
def test_a_model_that_fails_finds_everything_ordinary(oddity, reason):
    ranked = [float(n) for n in range(LEAST_RANKED)]
    scorer = AnomalyScorer(Says(oddity), n_learned=9, base_rate=ranked)  # type: ignore[arg-type]

    assert (scorer.score({}), scorer.degraded_reason) == (ORDINARY, reason)


@pytest.mark.parametrize("label", ["rose", 1.0])
def test_what_is_neither_yes_nor_no_is_skipped(label):
    (outcome,) = make_log(1, 1)
    learner = learner_of(NAMES[0])
    learner.learn(msgspec.structs.replace(outcome, label=label), 0)

    assert (learner.n_learned, learner.progress.n_skipped) == (0, 1)
