"""River's own evaluation is the oracle: the pipeline asks, answers and learns as it does."""

import itertools

import pytest
from river import datasets

from tests.river_oracle.by_river import check, evaluated_by_river
from tests.river_oracle.lockstep import ask


@pytest.mark.parametrize("delay", [0, 300])
@pytest.mark.parametrize(
    ("dataset", "n", "model"),
    [
        ("Bananas", 400, "binary_logistic_v2"),
        ("Bananas", 400, "binary_hoeffding_tree_v1"),
        ("ImageSegments", 400, "multiclass_softmax_v1"),
        ("ImageSegments", 400, "multiclass_hoeffding_adaptive_v1"),
        ("TrumpApproval", 400, "regression_linear_v1"),
        ("TrumpApproval", 400, "regression_hoeffding_adaptive_v1"),
    ],
)
def test_a_pipeline_is_evaluated_as_river_evaluates_its_model(dataset, n, model, delay):
    rows = list(itertools.islice(getattr(datasets, dataset)(), n))
    predictions = ask(rows, model, delay=delay)

    check(rows, predictions, model, evaluated_by_river(rows, model, delay=delay))


@pytest.mark.parametrize(("delay", "published"), [(0, 0.892), (300, 0.808)])
def test_phishing_has_the_accuracy_that_river_publishes(delay, published):
    rows = list(datasets.Phishing())
    predictions = ask(rows, "binary_logistic_v2", delay=delay)

    check(
        *(rows, predictions, "binary_logistic_v2"),
        evaluated_by_river(rows, "binary_logistic_v2", delay=delay),
    )
    n_right = sum(said.decision == y for said, (_, y) in zip(predictions, rows, strict=True))
    assert n_right / len(rows) >= published
