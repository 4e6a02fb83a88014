"""Features of entities, from declaration to prediction, in one process and over crashes."""

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replaced

from agents.testing import PipelineDriver
from schemas import topics
from schemas.events import UserEvent
from streams.entities import ITEM, USER_ITEM, about
from streams.features import count, derived
from tests.agents.entities.entity_pipeline import HOUR, PIPELINE
from tests.agents.entities.naive_entity import by_entity, naive_rolling

FEATURES = PIPELINE.compiled()
DAY = 24 * HOUR


def viewed(driver: PipelineDriver, user: str, item: str | None = "sku-1") -> dict[str, object]:
    return {"user_id": user, "action": "view", "ts": driver.now_ms, "item_id": item}


def last_served(driver: PipelineDriver) -> dict[str, float]:
    """The features that the last event was predicted with, once its label is known."""
    driver.advance(2 * HOUR)
    driver.publish({"user_id": "time", "action": "view", "ts": driver.now_ms})
    return dict(zip(FEATURES.names, driver.outcomes[-1].features, strict=True))


@pytest.fixture
def driver() -> PipelineDriver:
    return PipelineDriver(PIPELINE)


def test_a_prediction_sees_what_all_users_did_with_the_item_before(driver):
    driver.publish(viewed(driver, "ada"))
    driver.publish(viewed(driver, "bob"))
    driver.publish(viewed(driver, "eve"))

    assert driver.entity_features("item:sku-1")["item_event_count_1h"] == 3.0
    served = last_served(driver)
    assert served["item_event_count_1h"] == 2.0
    assert served["event_count_1h"] == 1.0


def test_a_prediction_sees_its_own_event_in_entities_of_its_user(driver):
    driver.publish(viewed(driver, "ada"))
    driver.publish(viewed(driver, "ada", "sku-2"))
    driver.publish(viewed(driver, "ada"))

    served = last_served(driver)
    assert served["event_count_1h"] == 3.0
    assert served["user_item_event_count_1h"] == 2.0


def test_an_event_without_an_item_counts_for_none(driver):
    driver.publish(viewed(driver, "ada"))
    driver.publish(viewed(driver, "ada", None))

    served = last_served(driver)
    assert served["item_event_count_1h"] == served["user_item_event_count_1h"] == 0.0
    assert served["item_seconds_since_purchase"] == FEATURES.view("item").absent[-1]
    assert len(driver.read(topics.ENTITY_EVENTS)) == 1


def test_the_users_own_features_are_kept_apart_from_those_of_entities(driver):
    driver.publish(viewed(driver, "ada"))

    assert driver.features("ada") == {"event_count_1h": 1.0}


def test_a_duplicate_is_not_handed_on(driver):
    event = viewed(driver, "ada") | {"event_id": "e1"}
    driver.publish(event)
    driver.publish(event)

    assert driver.entity_features("item:sku-1")["item_event_count_1h"] == 1.0


def test_at_an_entity_that_is_declared_no_longer_nothing_is_left_to_keep(driver):
    driver.publish(viewed(driver, "ada"))
    driver.deploy(replace(PIPELINE, entities=(about(ITEM, count(over=HOUR)),)))
    driver.publish(viewed(driver, "bob"))

    assert driver.entity_features("user_item:ada|sku-1") is None
    assert driver.entity_features("session:ada|s1") is None
    assert driver.entity_features("item:sku-1") == {"item_event_count_1h": 2.0}


def test_a_new_declaration_goes_on_with_what_was_remembered(driver):
    driver.publish(viewed(driver, "ada"))
    wider = about(ITEM, count(over=HOUR), count(over=6 * HOUR))
    driver.deploy(replace(PIPELINE, entities=(wider,)))
    driver.publish(viewed(driver, "bob"))

    features = driver.entity_features("item:sku-1")
    assert features == {"item_event_count_1h": 2.0, "item_event_count_6h": 2.0}


def test_who_is_idle_beyond_all_windows_is_forgotten(driver):
    driver.publish(viewed(driver, "ada", "old"))
    driver.advance(100 * DAY)
    driver.publish(viewed(driver, "ada", "new"))
    driver.publish(viewed(driver, "ada", "new"))

    assert driver.entity_features("item:old") is None
    assert driver.entity_features("user_item:ada|old") is None
    assert driver.entity_features("item:new")["item_event_count_1h"] == 2.0


def test_what_is_no_event_of_ours_is_set_aside(driver):
    driver.append(b"garbage", topic=topics.ENTITY_EVENTS, key=b"item:sku-1")
    driver.publish(viewed(driver, "ada"))

    assert driver.entity_features("item:sku-1")["item_event_count_1h"] == 1.0
    (letter,) = driver.dead_letters
    assert dict(letter.headers() or ())["__streams.errors.topic"] == b"entity-events"


def test_a_feature_that_raises_sets_its_event_aside_and_changes_no_entity(driver):
    def fragile(n: float) -> float:
        if n == 2.0:
            raise ValueError("two")
        return n

    fragile_view = about(USER_ITEM, count(over=HOUR), derived("fragile", fragile, "event_count_1h"))
    driver.deploy(replace(PIPELINE, entities=(fragile_view,)))
    driver.publish(viewed(driver, "ada"))
    driver.publish(viewed(driver, "ada"))
    driver.publish(viewed(driver, "bob"))

    assert len(driver.dead_letters) == 1
    assert driver.entity_features("user_item:ada|sku-1")["user_item_event_count_1h"] == 1.0
    assert driver.features("ada") == {"event_count_1h": 1.0}


# ---- any history --------------------------------------------------------------------------------


class Act(NamedTuple):
    """What happens next."""

    kind: str
    events: list[UserEvent]


def events() -> st.SearchStrategy[UserEvent]:
    return st.builds(
        lambda user, item, action, minutes, amount, number: UserEvent(
            user, action, minutes * 60_000 + number, f"{user}-{number}", None, item, amount
        ),
        st.sampled_from(["ada", "bob", "eve"]),
        st.sampled_from([None, "x", "y|", "y\\"]),
        st.sampled_from(["view", "purchase"]),
        st.integers(0, 600),
        st.none() | st.integers(0, 10_000).map(lambda cents: cents / 100),
        st.integers(0, 30),
    )


def acts() -> st.SearchStrategy[list[Act]]:
    kinds = ["publish"] * 4 + ["crash before commit", "crash predict", "crash aggregate"]
    return st.lists(
        st.builds(Act, st.sampled_from(kinds), st.lists(events(), max_size=6)), max_size=12
    )


@settings(max_examples=60, deadline=None)
@given(acts())
def test_each_entity_has_the_features_of_all_its_events_once(history):
    """Whatever their order, whoever publishes an event twice, and whoever crashes when."""
    driver = PipelineDriver(PIPELINE, partitions=3)
    first_ms = driver.now_ms
    driver.advance(timedelta(hours=11))
    accepted: dict[str, UserEvent] = {}
    for act in history:
        published = [replaced(each, ts=first_ms + int(each.ts)) for each in act.events]
        for event in published:
            accepted.setdefault(event.event_id or "", event)
        driver.append(*published)
        if act.kind.startswith("crash before"):
            driver.process(crash=True)
        elif act.kind.startswith("crash"):
            driver.crash("predict" if act.kind.endswith("predict") else "aggregate")
        driver.process()

    for entity in (ITEM, USER_ITEM):
        view = FEATURES.view(entity.name)
        for key, its_events in by_entity(accepted.values(), view.key).items():
            features = driver.entity_features(key) or {}
            expected = naive_rolling(its_events)
            assert {name: features.get(f"{entity.name}_{name}") for name in expected} == expected
