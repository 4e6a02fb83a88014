"""Estimates before labels: those of each model, of good answers alone, and near what comes."""

import random
from typing import Any

import msgspec
import pytest

from agents.observability.estimated_accuracy import MIN_OUTCOMES, EstimatedAccuracy
from agents.observability.judged_outcomes import judged_outcomes
from agents.observability.metrics import Metrics
from online_models.prequential import WINDOW, Prequential
from schemas.outcomes import Outcome


class Record:
    """As much of a confluent_kafka.Message as the estimate reads."""

    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def value(self) -> bytes | None:
        return self._value


def outcome(label, score, model="m", *, judged=1.0, version=1):
    row = Outcome("p", "use-case", "u", 0, 0, label, score, model, version, "schema", [1.0])
    row.judged = judged
    return Record(msgspec.msgpack.encode(row))


def prediction(score, model="m", source="model"):
    return Record(msgspec.json.encode({"score": score, "model": model, "source": source}))


def drawn(seed, n):
    """Scores that promise too much, with what comes of them."""
    chance = random.Random(seed)
    scores = [chance.betavariate(2, 5) for _ in range(n)]
    return [(chance.random() < score**2, score) for score in scores]


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def estimates(metrics):
    return EstimatedAccuracy(metrics)


def test_what_is_estimated_comes_true(estimates, metrics):
    estimates.outcomes(judged_outcomes([outcome(*each) for each in drawn(1, 5_000)]))
    later = drawn(2, WINDOW)
    estimates.predictions([prediction(score) for _, score in later])
    estimates.tell()
    truth = Prequential()
    for each in later:
        truth.update(*each)

    told = metrics.samples()
    off = told['thalweg_model_estimated_roc_auc{model="m"}'] - truth.roc_auc
    assert abs(off) < told['thalweg_model_estimated_margin_ratio{model="m"}'] < 0.2
    assert told['thalweg_model_estimated_log_loss{model="m"}'] == pytest.approx(
        truth.log_loss, abs=0.05
    )
    assert told['thalweg_model_estimated_positives_ratio{model="m"}'] == pytest.approx(
        truth.positives / WINDOW, abs=0.05
    )


def test_nothing_is_said_before_there_are_outcomes(estimates, metrics):
    estimates.predictions([prediction(score) for _, score in drawn(2, 200)])
    estimates.outcomes(judged_outcomes([outcome(*each) for each in drawn(1, MIN_OUTCOMES - 1)]))
    estimates.tell()
    before = metrics.samples()
    estimates.outcomes(judged_outcomes([outcome(True, 0.5)]))
    estimates.tell()

    assert before == {}
    assert 'thalweg_model_estimated_log_loss{model="m"}' in metrics.samples()


def test_an_auc_of_next_to_no_positives_is_not_estimated(estimates, metrics):
    estimates.outcomes(judged_outcomes([outcome(False, 0.1)] * MIN_OUTCOMES))
    estimates.predictions([prediction(0.1)] * 100)
    estimates.tell()

    assert {name.partition("{")[0] for name in metrics.samples()} == {
        "thalweg_model_estimated_log_loss",
        "thalweg_model_estimated_positives_ratio",
    }


def test_models_are_kept_apart_and_go_with_their_predictions(estimates, metrics):
    for model, label in (("good", True), ("bad", False)):
        estimates.outcomes(judged_outcomes([outcome(label, 0.7, model)] * MIN_OUTCOMES))
    estimates.predictions([prediction(0.7, "good"), prediction(0.7, "bad")])
    estimates.tell()
    both = metrics.samples()
    estimates.predictions([prediction(0.7, "good")] * WINDOW)
    estimates.tell()

    name = "thalweg_model_estimated_positives_ratio"
    assert both[f'{name}{{model="good"}}'] == 1
    assert both[f'{name}{{model="bad"}}'] == 0
    assert f'{name}{{model="bad"}}' not in metrics.samples()


def test_an_outcome_counts_as_the_many_it_stands_for_or_not_at_all(estimates, metrics):
    """A tenth of the negatives, and revisions and fake negatives beside them."""
    estimates.outcomes(judged_outcomes([outcome(True, 0.5)] * MIN_OUTCOMES))
    estimates.outcomes(
        judged_outcomes([outcome(False, 0.5, judged=10.0)] * (3 * MIN_OUTCOMES // 10))
    )
    estimates.outcomes(judged_outcomes([outcome(False, 0.5, judged=0.0)] * MIN_OUTCOMES))
    estimates.predictions([prediction(0.5)] * WINDOW)
    estimates.tell()

    share = metrics.samples()['thalweg_model_estimated_positives_ratio{model="m"}']
    assert share == pytest.approx(0.25, abs=0.03)


def test_what_a_constant_was_worth_says_nothing_of_the_model(estimates, metrics):
    """While there is no model, its name stands with version 0."""
    estimates.outcomes(judged_outcomes([outcome(True, 0.5, version=0)] * MIN_OUTCOMES))
    estimates.predictions([prediction(0.5)])
    estimates.tell()

    assert metrics.samples() == {}


def test_answers_without_a_model_and_garbage_are_passed_over(estimates, metrics):
    garbage: list[Any] = [Record(None), Record(b""), Record(b"{"), Record(b"\xff"), Record(b"[]")]
    estimates.outcomes(judged_outcomes([*garbage, *[outcome(False, 0.2)] * MIN_OUTCOMES]))
    estimates.predictions([*garbage, prediction(0.9, source="default"), prediction(0.2)])
    estimates.tell()

    assert metrics.samples()['thalweg_model_estimated_positives_ratio{model="m"}'] == 0
