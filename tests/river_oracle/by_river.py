"""What River says of its own model, and whether a pipeline said the same."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from river import evaluate, metrics

from online_models import catalogue
from schemas.predictions import Prediction
from schemas.tasks import task_name

ROUNDING = 1e-12
"""A linear model's score is a sum over features, and ours may add them in another order."""

Row = tuple[dict[Hashable, Any], Any]


@dataclass
class ByRiver:
    """One run of `evaluate.progressive_val_score`, in which `stream.simulate_qa` asks."""

    answers: list[Any]
    """To each question: probabilities by class, or an amount."""
    versions: list[int]
    """How many labels the model knew then."""
    figure: float
    """Accuracy, or mean absolute error."""


def evaluated_by_river(rows: Sequence[Row], name: str, *, delay: int) -> ByRiver:
    """Let River evaluate a model, and note what it answers on the way."""
    model: Any = catalogue.recipe(name).make()
    amounts = task_name(name) == "regression"
    told = ByRiver([], [], 0.0)
    n_learned = 0
    predict_one, learn_one = model.predict_one, model.learn_one

    def predict(x: dict[Hashable, Any]) -> Any:
        told.answers.append(predict_one(x) if amounts else model.predict_proba_one(x))
        told.versions.append(n_learned)
        return predict_one(x)

    def learn(x: dict[Hashable, Any], y: Any) -> None:
        nonlocal n_learned
        n_learned += 1
        learn_one(x, y)

    model.predict_one, model.learn_one = predict, learn
    metric = metrics.MAE() if amounts else metrics.Accuracy()
    told.figure = evaluate.progressive_val_score(rows, model, metric, delay=delay or None).get()
    return told


def check(
    rows: Sequence[Row], predictions: Sequence[Prediction], name: str, river: ByRiver
) -> None:
    """Hold a pipeline's predictions against River's: one by one, and the figure over all."""
    assert [said.model_version for said in predictions] == river.versions
    compare = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}
    assert compare[task_name(name)](rows, predictions, river).get() == river.figure


def _binary(
    rows: Sequence[Row], predictions: Sequence[Prediction], river: ByRiver
) -> metrics.base.Metric:
    accuracy = metrics.Accuracy()
    for said, answer, (_, y) in zip(predictions, river.answers, rows, strict=True):
        if answer:  # else River's model has none, and River does not count it
            expected = answer.get(True, 0.0)
            assert said.score == pytest.approx(expected, abs=ROUNDING)
            # In a tie River says the class that it saw first, and we say true.
            is_tie = expected == 0.5
            accuracy.update(y, max(answer, key=answer.get) if is_tie else said.decision)
    return accuracy


def _multiclass(
    rows: Sequence[Row], predictions: Sequence[Prediction], river: ByRiver
) -> metrics.base.Metric:
    accuracy = metrics.Accuracy()
    for said, answer, (_, y) in zip(predictions, river.answers, rows, strict=True):
        if said.model_version == 0:
            assert (said.prediction, said.score, said.source) == (None, 0.0, "default")
            continue
        assert said.scores == answer  # to the last bit
        assert said.score == max(answer.values())
        accuracy.update(y, said.prediction)
    return accuracy


def _regression(
    rows: Sequence[Row], predictions: Sequence[Prediction], river: ByRiver
) -> metrics.base.Metric:
    mae = metrics.MAE()
    for said, amount, (_, y) in zip(predictions, river.answers, rows, strict=True):
        assert said.score == amount  # to the last bit
        mae.update(y, said.score)
    return mae
