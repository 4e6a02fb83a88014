"""A pipeline that is about items, pairs and sessions as well as about users."""

from datetime import timedelta

from agents.pipeline import Pipeline
from schemas.events import UserEvent
from streams.entities import ITEM, SESSION, USER_ITEM, about
from streams.features import action, count, maximum, rate, time_since, total
from streams.label_rule import happens_within

HOUR = timedelta(hours=1)
purchase = action({"purchase"}, name="purchase")
ROLLING = (
    count(over=HOUR),
    count(purchase, over=30 * 24 * HOUR),
    rate(purchase, over=24 * HOUR),
    total("amount", over=HOUR),
    maximum("amount", over=24 * HOUR),
)

PIPELINE = Pipeline(
    use_case="purchase-of-item",
    event=UserEvent,
    actions=frozenset({"view", "purchase"}),
    features=(count(over=HOUR),),
    entities=(
        about(USER_ITEM, *ROLLING),
        about(ITEM, *ROLLING, time_since(purchase)),
        about(SESSION, count(over=HOUR)),
    ),
    label=happens_within("purchase", HOUR),
    champion="binary_logistic_v1",
)
