"""Every pipeline under `examples/` can be built, and describes its events."""

from pathlib import Path

import pytest

from agents import pipeline
from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from online_models import catalogue

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in ROOT.glob("examples/*/[!_]*.py")
)
HOUR_MS = 3_600_000


def plan(module: str) -> PredictPlan:
    return PredictPlan(pipeline.load(module), Metrics(), lambda topic: topic.name)


@pytest.mark.parametrize("module", MODULES)
def test_each_action_of_an_example_is_described_by_all_its_features(module: str) -> None:
    built = plan(module)
    user = built.fold.new()
    for action in built.pipeline.actions:
        event = built.pipeline.event("somebody", action, 0)

        assert built.fold.names == tuple(built.fold.update(user, event))


@pytest.mark.parametrize("module", MODULES)
def test_an_example_waits_for_an_action_that_it_knows(module: str) -> None:
    declared = pipeline.load(module)

    assert declared.label.action in declared.actions


@pytest.mark.parametrize("module", MODULES)
def test_the_models_of_an_example_are_in_the_catalogue(module: str) -> None:
    declared = pipeline.load(module)

    assert {declared.champion, *declared.challengers} <= set(catalogue.NAMES)


def test_the_payments_add_up_what_a_card_pays() -> None:
    fold, event = (built := plan("examples.payments.pipeline")).fold, built.pipeline.event
    card = fold.new()
    for hour, amount in ((1, 25.0), (2, 40.0)):
        fold.update(card, event("card-1", "payment", hour * HOUR_MS, amount=amount))
    features = fold.update(card, event("card-1", "payment", 30 * HOUR_MS, amount=10.0))

    assert features["payment_amount_total_1d"] == 10.0
    assert features["payment_amount_mean_30d"] == 25.0
    assert features["payment_count_1h"] == 1.0
