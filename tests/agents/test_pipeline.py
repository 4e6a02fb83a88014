"""What a pipeline may declare."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from examples.shop.pipeline import PIPELINE
from online_models.assignment import Rollout
from online_models.ensemble import Ensemble
from online_models.gate import Gates
from online_models.review import Review
from schemas.errors import InvalidDeclaration
from streams.entities import ITEM, about
from streams.expectations import expect
from streams.features import action, count, derived, is_action
from streams.label_rule import happens_within


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.7, 0.999, 1.0])
def test_challengers_score_the_share_of_events_that_is_declared(share: float) -> None:
    plan = PredictPlan(
        replace(PIPELINE, challenger_share=share), Metrics(), lambda topic: topic.name
    )
    n_events = 10_000

    assert sum(plan.is_sampled() for _ in range(n_events)) == pytest.approx(n_events * share, abs=1)


@pytest.mark.parametrize("share", [-0.01, 1.01, 2.0, float("nan")])
@pytest.mark.parametrize("name", ["challenger_share", "parity_share"])
def test_a_share_that_is_none_is_refused(name: str, share: float) -> None:
    declared: dict[str, Any] = {name: share}
    with pytest.raises(InvalidDeclaration, match=f"{name} is a share from 0 to 1, not {share}"):
        replace(PIPELINE, **declared)


@pytest.mark.parametrize("role", ["champion", "challengers"])
def test_models_that_take_no_weights_are_refused_where_outcomes_have_some(role: str) -> None:
    weighed = replace(PIPELINE.label, keep_negatives=0.1)
    taken = replace(PIPELINE, label=weighed, challengers=("binary_ftrl_v1",))
    model = "binary_forest_v1"
    declared: dict[str, Any] = {role: model if role == "champion" else (model,)}

    with pytest.raises(InvalidDeclaration, match=f"has keep_negatives, .* model `{model}` does"):
        replace(taken, **declared)
    assert replace(PIPELINE, **declared).label == PIPELINE.label


def test_a_label_rule_that_waits_for_what_nobody_can_do_is_refused() -> None:
    """Every prediction would be a negative, and nothing would say why."""
    with pytest.raises(InvalidDeclaration, match=r"'purchse', which is none .*: .*purchase"):
        replace(PIPELINE, label=happens_within("purchse", PIPELINE.label.horizon))


TYPO = action({"purchse"}, name="purchase")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ({"features": (count(TYPO, over=HOUR),)}, "feature `purchase_count_1h`"),
        ({"features": (is_action({"purchse"}, name="purchase"),)}, "feature `is_purchase`"),
        ({"entities": (about(ITEM, count(TYPO, over=HOUR)),)}, "feature `purchase_count_1h`"),
        ({"quality": (expect("amount", TYPO),)}, "the expectation of `amount`"),
    ],
)
def test_a_filter_for_what_nobody_can_do_is_refused(declared: dict[str, Any], named: str) -> None:
    """It would count nothing for ever, and nothing would say why."""
    with pytest.raises(InvalidDeclaration, match=f"{named}: filter `purchase` .* 'purchse'"):
        replace(PIPELINE, **declared)


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        ({"use_case": "a:b c/d"}, "kebab case"),
        ({"actions": PIPELINE.actions | {"Buy"}}, "lower case, not Buy"),
        ({"deduplication": timedelta(0)}, "deduplication is a time"),
        ({"stale_after": timedelta(0)}, "stale_after is a time"),
        ({"allowed_lateness": -HOUR}, "allowed_lateness is not negative"),
        ({"future_tolerance": -HOUR}, "future_tolerance is not negative"),
        ({"max_event_ids": 0}, "max_event_ids is 1 or more, not 0"),
        ({"max_pending": -1}, "max_pending is 1 or more, not -1"),
    ],
)
def test_what_no_pipeline_can_run_with_is_refused(declared: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidDeclaration, match=complaint):
        replace(PIPELINE, **declared)


def test_a_pipeline_without_features_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="`purchase-intent` declares no feature"):
        replace(PIPELINE, features=(), entities=(), quality=(), rules=()).compiled()


def test_a_feature_without_a_value_where_nothing_was_done_is_refused_by_its_name() -> None:
    """Of an entity that did nothing it is asked for, too."""
    inverse = derived("inverse", lambda n: 1 / n, "event_count_1h")
    view = about(ITEM, count(over=HOUR), inverse)
    with pytest.raises(InvalidDeclaration, match=r"`inverse` .*'event_count_1h': 0.0.*division"):
        replace(PIPELINE, entities=(view,)).compiled()


@pytest.mark.parametrize(
    ("what", "declared"),
    [
        ("a review", {"review": Review(confidence=0.3, per_day=5)}),
        (
            "an ensemble",
            {"ensemble": Ensemble(members=("multiclass_tree_v1", "multiclass_two_v1"))},
        ),
        (
            "gates of a rollout",
            {
                "rollout": Rollout(
                    name="r", candidate="multiclass_two_v1", exposure=0.1, gates=Gates()
                )
            },
        ),
    ],
)
def test_what_rests_on_probabilities_needs_models_that_tell_some(
    what: str, declared: dict[str, Any]
) -> None:
    others = {"champion": "multiclass_tree_v1", "challengers": ("multiclass_two_v1",)}

    with pytest.raises(InvalidDeclaration, match=what):
        replace(PIPELINE, **(others | declared))


@pytest.mark.parametrize(
    ("declared", "choice"),
    [
        ({"label": replace(PIPELINE.label, keep_negatives=0.1)}, "keep_negatives"),
        ({"label": replace(PIPELINE.label, fake_negatives=True)}, "fake_negatives"),
        ({"review": Review(confidence=0.5, per_day=10, weighted=True)}, "weighted=True"),
    ],
)
def test_gates_count_each_label_as_one(declared: dict[str, Any], choice: str) -> None:
    candidate = "binary_ftrl_v1"
    rollout = Rollout(name="r", candidate=candidate, exposure=0.0, steps=(0.5,), gates=Gates())
    gated = replace(PIPELINE, challengers=(candidate,), rollout=rollout)

    with pytest.raises(InvalidDeclaration, match=f"gates .* do not go with .*{choice}"):
        replace(gated, **declared)
