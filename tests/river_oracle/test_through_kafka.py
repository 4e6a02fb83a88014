"""River's own evaluation, of the pipeline as it runs: broker, transactions, worker processes."""

import itertools

import pytest
from river import datasets

from tests.faults.size import FULL, SIZE
from tests.river_oracle.by_river import check, evaluated_by_river
from tests.river_oracle.workers import Workers

pytestmark = pytest.mark.integration

MODELS = {
    "TrumpApproval": "regression_linear_v1",
    "Phishing": "binary_logistic_v2",
    "ImageSegments": "multiclass_softmax_v1",
    "Bananas": "binary_hoeffding_tree_v1",
}


@pytest.fixture
def ask(kafka, tmp_path):
    """Ask a set's rows, with workers that are ended afterwards."""
    started = []

    def ask(dataset, rows, *, delay):
        started.append(Workers(kafka.bootstrap, tmp_path, dataset, MODELS[dataset]))
        return started[-1].ask(rows, delay=delay)

    yield ask
    for workers in started:
        workers.close()


def check_through_kafka(ask, dataset, n, *, delay):
    rows = list(itertools.islice(getattr(datasets, dataset)(), n))
    predictions = ask(dataset, rows, delay=delay)
    river = evaluated_by_river(rows, MODELS[dataset], delay=delay)
    check(rows, predictions, MODELS[dataset], river)


def test_workers_are_evaluated_as_river_evaluates_its_model(ask):
    check_through_kafka(ask, "Phishing", 150, delay=40)


@pytest.mark.skipif(SIZE is not FULL, reason="takes some 20 minutes: FAULTS=full")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("delay", [0, 300])
@pytest.mark.parametrize("dataset", MODELS)
def test_workers_are_evaluated_as_river_evaluates_its_model_over_whole_sets(ask, dataset, delay):
    check_through_kafka(ask, dataset, None, delay=delay)
