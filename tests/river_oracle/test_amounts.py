"""The same of models that estimate amounts."""

from typing import Any

import pytest
from river import datasets, evaluate, metrics, stream

from online_models import catalogue
from tests.river_oracle.lockstep import ask

ROWS = list(datasets.TrumpApproval())[:600]


def by_river(name: str, *, delay: int) -> list[tuple[float, int]]:
    """Tell what River's model answers to each question, and how many answers it knew."""
    model: Any = catalogue.recipe(name).make()
    answers, n_learned = [], 0
    for _, x, y in stream.simulate_qa(ROWS, moment=None, delay=delay):
        if y is None:
            answers.append((model.predict_one(x), n_learned))
        else:
            model.learn_one(x, y)
            n_learned += 1
    return answers


@pytest.mark.parametrize("delay", [0, 300])
@pytest.mark.parametrize("model", ["regression_linear_v1", "regression_hoeffding_adaptive_v1"])
def test_a_pipeline_of_amounts_is_evaluated_as_river_evaluates_its_model(model, delay):
    predictions = ask(ROWS, model, delay=delay).predictions
    answers = by_river(model, delay=delay)

    mae = metrics.MAE()
    for said, (amount, n_learned), (_, y) in zip(predictions, answers, ROWS, strict=True):
        assert (said.score, said.model_version) == (amount, n_learned)  # to the last bit
        mae.update(y, said.score)
    by_progressive_val_score = evaluate.progressive_val_score(
        ROWS, catalogue.recipe(model).make(), metrics.MAE(), delay=delay or None
    )
    assert mae.get() == by_progressive_val_score.get()
