"""A pipeline whose labels are read from events: what comes in, what is learned."""

from datetime import timedelta
from typing import Any

import pytest

from agents.pipeline import Pipeline
from agents.testing import PipelineDriver
from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from streams.features import field_value
from streams.label_rule import LabelRule, field_within

MINUTE = timedelta(minutes=1)
HORIZON = 30 * MINUTE


class Visit(UserEvent, gc=False):
    pages: int | None = None
    shelf: str | None = None


def pipeline(champion: str, label: LabelRule, **choices: Any) -> Pipeline:
    declared: dict[str, Any] = {
        "use_case": "spending",
        "event": Visit,
        "actions": frozenset({"visit", "pay"}),
        "features": (field_value("pages"),),
        "label": label,
        "champion": champion,
        "allowed_lateness": MINUTE,
    }
    return Pipeline(**declared | choices)


class Shop:
    """Visits and payments, each a minute after the one before."""

    def __init__(self, declared: Pipeline) -> None:
        self.driver = PipelineDriver(declared)
        self._n = 0

    def come(self, user: str, action: str, **fields: object) -> None:
        self._n += 1
        self.driver.advance(MINUTE)
        event = {"user_id": user, "event_id": f"e{self._n}", "action": action}
        self.driver.publish(event | {"ts": self.driver.now_ms} | fields)

    def labels_of_visits(self, user: str) -> list[object]:
        """Tell what was learned of a user's visits, which alone have pages."""
        outcomes = [each for each in self.driver.outcomes if each.user_id == user]
        return [each.label for each in outcomes if each.features != [0.0]]


def test_what_is_paid_within_the_horizon_is_the_amount_that_is_learned():
    paid = field_within("pay", "amount", HORIZON, says=float, take="sum", otherwise=0.0)
    shop = Shop(pipeline("regression_linear_v1", paid, threshold=1.0))
    for n in range(12):
        shop.come("ada", "visit", pages=1 + n % 2)
        shop.come("ada", "pay", amount=2.0 * (1 + n % 2))
        shop.come("ada", "pay", amount=0.5)
        shop.come("bob", "visit", pages=3)
        shop.driver.advance(HORIZON)
        if n == 5:
            shop.driver.crash("predict")
            shop.driver.crash("learn")
    shop.come("ada", "visit", pages=2)
    last = shop.driver.predictions[-1]

    assert shop.labels_of_visits("ada")[:4] == [2.5, 4.5, 2.5, 4.5]
    assert {*shop.labels_of_visits("bob")} == {0.0}
    assert (last.source, last.model) == ("model", "regression_linear_v1")
    assert last.model_version > 30


def test_where_the_user_goes_next_is_the_class_that_is_learned():
    shelf = field_within("visit", "shelf", HORIZON, says=str, otherwise="none")
    shop = Shop(pipeline("multiclass_softmax_v1", shelf))
    for name in ("books", "toys", None, "music"):
        shop.come("ada", "visit", pages=1, shelf=name)
    shop.driver.advance(3 * HORIZON)
    shop.come("bob", "visit", pages=1)

    assert shop.labels_of_visits("ada") == ["toys", "music", "music", "none"]
    assert shop.driver.model_versions == {"multiclass_softmax_v1": 4}


@pytest.mark.parametrize(
    ("field", "problem"),
    [("price", "`price` is no field of Visit"), ("shelf", "`shelf` is not a number of Visit")],
)
def test_a_pipeline_is_refused_whose_events_have_no_such_field(field, problem):
    with pytest.raises(InvalidDeclaration, match=f"label rule `pay`: {problem}"):
        pipeline("regression_linear_v1", field_within("pay", field, HORIZON, says=float))


def test_a_pipeline_is_refused_whose_models_learn_something_else():
    amounts = field_within("pay", "amount", HORIZON, says=float)
    with pytest.raises(InvalidDeclaration, match=r"label rule says float, but .* learns str"):
        pipeline("multiclass_softmax_v1", amounts)
