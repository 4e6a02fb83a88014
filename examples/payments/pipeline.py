"""Cards at risk: will a payment of this card be charged back within two weeks?

All of a pipeline of one's own. It bundles no history: publish events to it.
"""

from datetime import timedelta

from agents.pipeline import Pipeline
from online_models.rules import when
from schemas.events import UserEvent
from streams.expectations import expect
from streams.features import (
    action,
    count,
    hour_of_day,
    is_action,
    mean,
    one_of,
    rate,
    time_since,
    total,
)
from streams.label_rule import happens_within

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class CardEvent(UserEvent, gc=False):
    """What happens to a card, which is the `user_id`; the `amount` is inherited."""

    channel: str | None = None
    """`online`, `terminal` or `cash`."""


payment = action({"payment"}, name="payment")
declined = action({"declined"}, name="declined")

PIPELINE = Pipeline(
    use_case="card-at-risk",
    event=CardEvent,
    actions=frozenset({"payment", "declined", "chargeback"}),
    features=(
        # a card that is being tried out
        count(payment, over=HOUR),
        count(declined, over=HOUR),
        rate(declined, over=7 * DAY),
        time_since(payment),
        # more than it usually pays
        total("amount", payment, over=HOUR),
        total("amount", payment, over=DAY),
        mean("amount", payment, over=30 * DAY),
        # this very event
        is_action({"declined"}, name="declined"),
        one_of("channel", ("online", "cash")),
        hour_of_day(),
    ),
    quality=(
        expect("amount", payment, between=(0, 100_000), required=True),
        expect("channel", one_of={"online", "terminal", "cash"}, required=True),
    ),
    label=happens_within("chargeback", 14 * DAY),
    champion="binary_logistic_v1",
    challengers=("binary_hoeffding_tree_v1",),
    rules=(
        when("declined_count_1h", above=3, score=0.9),
        when("payment_amount_total_1h", above=5_000, score=0.4),
    ),
    threshold=0.2,  # chargebacks are rare, and a call to the owner is cheap
)
