"""River's own evaluation is the oracle: the pipeline asks, answers and learns as it does."""

import pytest
from river import datasets, evaluate, metrics, stream

from online_models import catalogue
from tests.river_oracle.lockstep import ask

ROUNDING = 1e-12
"""A score is a sum over features, and the pipeline's may add them in another order."""


def by_river(rows, name, *, delay):
    """Tell of each question its probabilities and how many answers the model knew."""
    model = catalogue.make(name)
    answers, versions = [], []
    n_learned = 0
    for _, x, y in stream.simulate_qa(rows, moment=None, delay=delay):
        if y is None:
            answers.append(model.predict_proba_one(x))
            versions.append(n_learned)
        else:
            model.learn_one(x, y)
            n_learned += 1
    return answers, versions


@pytest.mark.parametrize("delay", [0, 300])
@pytest.mark.parametrize(
    ("dataset", "n"), [(datasets.Phishing(), 1_250), (datasets.Bananas(), 1_250)]
)
@pytest.mark.parametrize("model", ["binary_logistic_v2", "binary_hoeffding_tree_v1"])
def test_a_pipeline_is_evaluated_as_river_evaluates_its_model(dataset, n, model, delay):
    rows = list(dataset.take(n))
    answered = ask(rows, model, delay=delay)
    answers, versions = by_river(rows, model, delay=delay)

    assert answered.versions == versions
    accuracy = metrics.Accuracy()
    for score, decision, answer, (_, y) in zip(
        answered.scores, answered.decisions, answers, rows, strict=True
    ):
        if answer:  # else River's model has none, and River does not count it
            expected = answer.get(True, 0.0)
            assert score == pytest.approx(expected, abs=ROUNDING)
            # In a tie River says the class that it saw first, and we say true.
            accuracy.update(y, max(answer, key=answer.get) if expected == 0.5 else decision)
    by_progressive_val_score = evaluate.progressive_val_score(
        rows, catalogue.make(model), metrics.Accuracy(), delay=delay or None
    )
    assert accuracy.get() == by_progressive_val_score.get()


@pytest.mark.parametrize(("delay", "published"), [(0, 0.892), (300, 0.808)])
def test_phishing_has_the_accuracy_that_river_publishes(delay, published):
    rows = list(datasets.Phishing())

    decisions = ask(rows, "binary_logistic_v2", delay=delay).decisions
    n_right = sum(decision == y for decision, (_, y) in zip(decisions, rows, strict=True))
    assert n_right / len(rows) >= published
