"""All features of a pipeline as one row, and what cannot be declared."""

import itertools
import math
from datetime import timedelta

import pytest

from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from streams.entities import ITEM, SESSION, USER_ITEM, Entity, about
from streams.feature_kinds import Feature
from streams.feature_set import compile_feature_set, without_events
from streams.features import (
    action,
    count,
    decayed_count,
    derived,
    distinct,
    hour_of_day,
    latest,
    maximum,
    mean,
    minimum,
    rate,
    time_since,
    top_share,
    top_value,
    total,
    variance,
)
from streams.fold import compile_features

HOUR = timedelta(hours=1)
never = action({"never"}, name="never")
HOURLY = count(over=HOUR)


class Sale(UserEvent):
    """With fields that are keys, and one that cannot be."""

    shop: int | None = None
    weight: float | None = None


def test_users_come_first_then_entities_of_users_then_what_is_gathered():
    views = [about(ITEM, HOURLY), about(SESSION, HOURLY), about(USER_ITEM, HOURLY)]
    built = compile_feature_set([HOURLY], views, UserEvent)

    assert built.names == (
        "event_count_1h",
        "session_event_count_1h",
        "user_item_event_count_1h",
        "item_event_count_1h",
    )
    assert built.names[built.n_exact :] == ("item_event_count_1h",)


def test_without_entities_the_schema_is_the_users():
    built = compile_feature_set([HOURLY], [], UserEvent)

    assert built.schema == compile_features([HOURLY], UserEvent).schema


def test_another_declaration_about_an_entity_is_another_schema():
    views = [
        [about(ITEM, HOURLY)],
        [about(ITEM, count(over=2 * HOUR))],
        [about(USER_ITEM, HOURLY)],
        [about(ITEM, HOURLY), about(USER_ITEM, HOURLY)],
    ]
    schemas = {compile_feature_set([HOURLY], each, UserEvent).schema for each in views}

    assert len(schemas) == len(views)


def test_no_two_pairs_have_one_key():
    key = compile_feature_set([], [about(USER_ITEM, HOURLY)], UserEvent).views[0].key
    parts = ["".join(each) for n in (1, 2, 3) for each in itertools.product("a|\\", repeat=n)]
    keys = [key(UserEvent(user, "home", 0, item_id=item)) for user in parts for item in parts]

    assert len(set(keys)) == len(parts) ** 2


@pytest.mark.parametrize("item", [None, "", "x" * 1025])
def test_what_is_no_id_names_no_entity(item):
    (view,) = compile_feature_set([], [about(ITEM, HOURLY)], UserEvent).views

    assert view.key(UserEvent("ada", "home", 0, item_id=item)) is None


def test_a_number_can_be_a_key():
    shop = Entity("shop", ("shop",))
    (view,) = compile_feature_set([], [about(shop, HOURLY)], Sale).views

    assert view.key(Sale("ada", "home", 0, shop=7)) == "shop:7"


def test_what_is_served_of_nothing_is_what_the_fold_gives_when_nothing_counts():
    def doubled(n: float) -> float:
        return 2 * n + 1

    features: list[Feature] = [
        count(never, over=HOUR),
        rate(never, over=HOUR),
        *(each("amount", never, over=HOUR) for each in (total, mean, variance)),
        *(each("amount", never, over=HOUR) for each in (minimum, maximum)),
        distinct("item_id", never, over=HOUR),
        top_share("item_id", never, over=HOUR),
        top_value("item_id", ("a", "b"), never, over=HOUR),
        time_since(never),
        decayed_count(never, half_life=HOUR),
        latest("amount", never),
        derived("doubled", doubled, "never_count_1h"),
    ]
    fold = compile_features(features, UserEvent)
    event = UserEvent("ada", "home", 1_704_067_200_000, item_id="a", amount=3.0)

    assert without_events(features) == tuple(fold.update(fold.new(), event).values())
    assert all(map(math.isfinite, without_events(features)))


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: about(ITEM), "nothing is declared about entity `item`"),
        (lambda: about(ITEM, hour_of_day()), "`hour_sin` is of the very event"),
        (lambda: Entity("user", ("item_id",)), "'user' cannot"),
        (lambda: Entity("It em", ("item_id",)), "'It em' cannot"),
        (lambda: Entity("me", ("user_id",)), "entity `me` is the user"),
        (lambda: Entity("twice", ("item_id", "item_id")), "different fields"),
        (lambda: Entity("nobody", ()), "entity `nobody` needs several texts"),
        (
            lambda: compile_feature_set([], [about(Entity("a", ("sku",)), HOURLY)], Sale),
            "Sale has no field `sku`",
        ),
        (
            lambda: compile_feature_set([], [about(Entity("a", ("weight",)), HOURLY)], Sale),
            "`weight` of Sale is neither text nor an integer",
        ),
        (
            lambda: compile_feature_set([], [about(ITEM, HOURLY), about(ITEM, HOURLY)], Sale),
            "entity `item` is declared twice",
        ),
        (
            lambda: compile_feature_set(
                [HOURLY, derived("item_event_count_1h", float, "event_count_1h")],
                [about(ITEM, HOURLY)],
                Sale,
            ),
            "feature `item_event_count_1h` is declared twice",
        ),
        (
            lambda: compile_feature_set([], [about(ITEM, HOURLY)], Sale).view("shop"),
            "no entity `shop`; there is item",
        ),
    ],
)
def test_what_is_wrong_is_named(declare, says):
    with pytest.raises(InvalidDeclaration) as raised:
        declare()

    assert says in str(raised.value)
