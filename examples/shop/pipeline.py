"""Purchase intent: will this session's user buy within 30 minutes?

The whole pipeline is this file. `make up` runs it on half a year of a shop's clicks.
"""

from datetime import date, timedelta

from agents.goals import Goals
from agents.pipeline import DriftPolicy, Incident, Pipeline, Replay
from schemas.events import UserEvent
from streams.expectations import expect
from streams.features import (
    action,
    count,
    hour_of_day,
    is_action,
    one_of,
    rate,
    session_count,
    session_duration,
    session_duration_mean,
    session_events,
    time_since,
)
from streams.label_rule import happens_within

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class ShopEvent(UserEvent, gc=False):
    """One click, with what the shop knows of the visitor."""

    platform: str | None = None
    acquisition_channel: str | None = None
    user_lifecycle: str | None = None


BROWSE = frozenset(
    {"home", "catalog", "promo_page", "search", "filter_results", "compare", "review_page"}
)
CLICK = frozenset({"product_view", "add_to_cart", "wishlist_add"})
CHECKOUT = frozenset({"cart", "shipping_details", "payment_details"})
TROUBLE = frozenset({"error_page", "payment_error", "checkout_bug", "support_chat"})
OTHER = frozenset({"account_page", "purchase"})

click = action(CLICK, name="click")
checkout = action(CHECKOUT, name="checkout")
trouble = action(TROUBLE, name="trouble")
purchase = action({"purchase"}, name="purchase")
add_to_cart = action({"add_to_cart"}, name="add_to_cart")

PIPELINE = Pipeline(
    use_case="purchase-intent",
    event=ShopEvent,
    actions=BROWSE | CLICK | CHECKOUT | TROUBLE | OTHER,
    features=(
        # how busy the user has been
        count(over=10 * MINUTE),
        count(over=HOUR),
        count(over=DAY),
        count(over=7 * DAY),
        count(click, over=HOUR),
        count(click, over=7 * DAY),
        rate(click, over=7 * DAY),
        rate(click, over=30 * DAY),
        # how far they have come
        count(add_to_cart, over=HOUR),
        count(add_to_cart, over=DAY),
        count(checkout, over=HOUR),
        rate(checkout, over=HOUR),
        count(trouble, over=HOUR),
        count(trouble, over=7 * DAY),
        # what they have bought
        count(purchase, over=HOUR),
        count(purchase, over=7 * DAY),
        count(purchase, over=90 * DAY),
        time_since(purchase),
        time_since(add_to_cart),
        time_since(),
        # their sessions
        session_events(),
        session_duration(),
        session_duration_mean(over=30 * DAY),
        session_count(over=30 * DAY),
        # this very event
        is_action(CHECKOUT, name="checkout"),
        is_action(CLICK, name="click"),
        is_action(TROUBLE, name="trouble"),
        one_of("platform", ("mobile", "desktop")),
        one_of("user_lifecycle", ("new", "loyal")),
        one_of("acquisition_channel", ("paid_search", "email", "social")),
        hour_of_day(),
    ),
    quality=(
        expect("session_id", required=True),
        expect("platform", one_of={"mobile", "desktop", "tablet"}, required=True),
        expect("user_lifecycle", one_of={"new", "returning", "loyal"}, required=True),
        expect(
            "acquisition_channel",
            one_of={"paid_search", "email", "social", "organic", "direct"},
            required=True,
        ),
    ),
    label=happens_within("purchase", 30 * MINUTE),
    champion="binary_logistic_v1",
    challengers=("binary_hoeffding_tree_v1",),
    challenger_share=0.01,
    goals=Goals(roc_auc=0.7),  # what a visit looks like tells no more than .78 of whether it buys
    replay=Replay(
        file="examples/shop/clickstream.csv.gz",
        columns={"action": "event", "ts": "timestamp"},
    ),
    # one false alarm in two replays of this history
    drift=DriftPolicy(scores_per_false_alarm=6_700, scores="together"),
    incidents=(
        Incident(name="viral article", first=date(2024, 2, 29), last=date(2024, 3, 3)),
        Incident(name="checkout bug", first=date(2024, 4, 9), last=date(2024, 5, 9)),
        Incident(name="payment incident", first=date(2024, 5, 19), last=date(2024, 6, 7)),
    ),
)
