"""The same of models that tell classes apart."""

import itertools
from typing import Any

import pytest
from river import datasets, evaluate, metrics, stream

from online_models import catalogue
from tests.river_oracle.lockstep import ask

ROWS = list(itertools.islice(datasets.ImageSegments(), 500))


def by_river(name: str, *, delay: int) -> list[dict[Any, float]]:
    """Tell what River's model answers to each question, in the order of progressive validation."""
    model = catalogue.make(name)
    answers = []
    for _, x, y in stream.simulate_qa(ROWS, moment=None, delay=delay):
        if y is None:
            answers.append(model.predict_proba_one(x))
        else:
            model.learn_one(x, y)
    return answers


@pytest.mark.parametrize("delay", [0, 300])
@pytest.mark.parametrize("model", ["multiclass_softmax_v1", "multiclass_hoeffding_adaptive_v1"])
def test_a_pipeline_of_classes_is_evaluated_as_river_evaluates_its_model(model, delay):
    predictions = ask(ROWS, model, delay=delay).predictions
    answers = by_river(model, delay=delay)

    accuracy = metrics.Accuracy()
    for said, answer, (_, y) in zip(predictions, answers, ROWS, strict=True):
        if said.model_version == 0:
            assert (said.prediction, said.score, said.source) == (None, 0.0, "default")
            continue
        assert said.scores == answer  # to the last bit
        assert said.score == max(answer.values())
        accuracy.update(y, said.prediction)
    by_progressive_val_score = evaluate.progressive_val_score(
        ROWS, catalogue.make(model), metrics.Accuracy(), delay=delay or None
    )
    assert accuracy.get() == by_progressive_val_score.get()
    assert accuracy.get() > 0.6
