"""What a test may rely on when it drives a pipeline, and what a pipeline keeps over any crash."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.observability import metric_list
from agents.pipeline import DriftPolicy
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.events import UserEvent
from streams.features import count, time_since
from streams.label_rule import happens_within, reported_within

MINUTE = timedelta(minutes=1)
NAMES = [name for feature in PIPELINE.features for name in feature.names]
LABEL_DELAY = PIPELINE.label.horizon + PIPELINE.allowed_lateness + MINUTE
Step = Callable[[PipelineDriver], None]


def event(driver: PipelineDriver, user: str = "ada", action: str = "home") -> dict[str, object]:
    return {"user_id": user, "action": action, "ts": driver.now_ms}


@pytest.fixture
def driver() -> PipelineDriver:
    return PipelineDriver(PIPELINE)


def test_a_record_is_as_good_as_its_bytes(driver):
    as_record = UserEvent(user_id="ada", action="home", ts=driver.now_ms, event_id="e1")
    driver.publish(as_record, msgspec.json.encode(as_record))

    assert [each.event_id for each in driver.predictions] == ["e1"]


def test_a_purchase_within_the_horizon_labels_what_was_predicted_before(driver):
    driver.publish(event(driver))
    driver.advance(10 * MINUTE)
    driver.publish(event(driver, action="purchase"))

    assert [outcome.label for outcome in driver.outcomes] == [True]
    assert driver.model_versions[PIPELINE.champion] == 1


def test_a_label_is_joined_by_the_id_of_its_event(driver):
    driver.publish(event(driver) | {"event_id": "e1"})
    driver.label({"user_id": "ada", "event_id": "e1", "label": True, "ts": driver.now_ms})

    assert [outcome.label for outcome in driver.outcomes] == [True]


def test_where_labels_are_reported_what_users_do_says_nothing():
    driver = PipelineDriver(replace(PIPELINE, label=reported_within(30 * MINUTE)))
    for number in range(3):
        driver.publish(event(driver, user=f"u{number}") | {"event_id": f"e{number}"})
    driver.publish(event(driver, user="u1", action="purchase"))
    driver.label({"user_id": "u0", "event_id": "e0", "label": True, "ts": driver.now_ms})
    driver.crash("predict")
    driver.advance(LABEL_DELAY)
    driver.publish(event(driver, user="last"))

    labels = {outcome.user_id: outcome.label for outcome in driver.outcomes}
    assert labels == {"u0": True, "u1": False, "u2": False}
    assert driver.model_versions[PIPELINE.champion] == len(driver.outcomes) == 4


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({}, [(True, 1.0, 1.0)]),
        ({"positive": "at_maturity"}, [(False, 1.0, 1.0)]),
        ({"revisable_for": MINUTE}, [(True, 1.0, 1.0), (False, 2.0, 0.0)]),
        ({"fake_negatives": True}, [(False, 0.75, 0.0), (True, 1.5, 1.0)]),
    ],
)
def test_a_purchase_that_is_said_to_be_none_teaches_what_the_rule_says(choice, told):
    label = replace(PIPELINE.label, **choice)
    driver = PipelineDriver(replace(PIPELINE, label=label, challengers=("binary_ftrl_v1",)))
    driver.publish(event(driver) | {"event_id": "e1"})
    driver.advance(10 * MINUTE)
    driver.publish(event(driver, action="purchase"))
    driver.crash("predict")
    driver.label({"user_id": "ada", "event_id": "e1", "label": False, "ts": driver.now_ms + 1})
    driver.crash("learn")
    driver.advance(LABEL_DELAY)
    driver.publish(event(driver, user="last"))
    driver.advance(MINUTE)

    of_first = [each for each in driver.outcomes if each.prediction_id.endswith("e1")]
    assert [(each.label, each.weight, each.judged) for each in of_first] == told
    n_teaching = sum(each.weight > 0 for each in driver.outcomes)
    assert driver.model_versions == dict.fromkeys(driver.model_versions, n_teaching)
    n_judged = sum(each.judged > 0 for each in driver.outcomes)
    told_by_metric = [
        driver.metrics.counter(metric_list.OUTCOMES, label=label).value
        for label in ("true", "false")
    ]
    assert sum(told_by_metric) == n_judged == 2


def test_a_label_that_comes_before_its_event_waits_for_it_over_a_crash(driver):
    """`labels` is ahead of `user-events` whenever predict has a backlog."""
    for user, named in (
        ("ada", {"event_id": "e1"}),
        ("bob", {"prediction_id": f"{PIPELINE.use_case}:e2"}),
        ("eve", {"event_id": "e9"}),
    ):
        driver.label({"user_id": user, "label": True, "ts": driver.now_ms, **named})
    driver.crash("predict")
    for user, event_id in (("ada", "e1"), ("bob", "e2"), ("eve", "e3")):
        driver.publish(event(driver, user) | {"event_id": event_id})
    before = {outcome.user_id: outcome.label for outcome in driver.outcomes}
    driver.advance(LABEL_DELAY)
    driver.publish(event(driver, "zoe"))

    assert before == {"ada": True, "bob": True}
    assert {outcome.user_id: outcome.label for outcome in driver.outcomes} == {
        **before,
        "eve": False,
    }
    fates = {
        fate: driver.metrics.counter(metric_list.LABELS, fate=fate).value
        for fate in ("early", "unknown")
    }
    assert fates == {"early": 3, "unknown": 1}


def test_garbage_is_set_aside_with_its_bytes_and_the_reason(driver):
    driver.publish(b"{", key=b"ada", headers={"traceparent": b"00-1-2-01"})
    (letter,) = driver.dead_letters

    assert (letter.key(), letter.value()) == (b"ada", b"{")
    headers = dict(letter.headers() or [])
    assert headers["reason"] == b"not_json"
    assert headers["traceparent"] == b"00-1-2-01"


def test_with_another_label_rule_models_begin_anew_and_go_on_when_it_is_back(driver):
    def play(tag: str) -> None:
        for number in range(20):
            action = "purchase" if number % 3 == 0 else "home"
            driver.publish(event(driver, user=f"{tag}{number}", action=action))
            driver.advance(10 * MINUTE)
        driver.advance(7 * 60 * MINUTE)
        driver.publish(event(driver, user=f"{tag} last"))

    def n_outcomes() -> dict[str, int]:
        return Counter(outcome.target for outcome in driver.outcomes)

    other = replace(PIPELINE, label=happens_within("add_to_cart", 6 * 60 * MINUTE))
    play("a")
    learned = driver.model_versions[PIPELINE.champion]
    driver.deploy(other)
    assert driver.model_versions == {}
    play("b")
    learned_of_other = driver.model_versions[PIPELINE.champion]
    driver.deploy(PIPELINE)
    driver.advance(MINUTE)

    assert n_outcomes() == {
        PIPELINE.label.target: learned,
        "": 1,  # who waited while the rule changed
        other.label.target: learned_of_other,
    }
    assert driver.model_versions[PIPELINE.champion] == learned == 20
    assert learned_of_other == 20


def test_models_that_are_learned_again_are_served_again_though_nothing_happens(driver):
    for number in range(20):
        driver.publish(event(driver, user=f"u{number}"))
        driver.advance(10 * MINUTE)
    before = driver.model_versions
    driver.change_keys()
    assert driver.model_versions == {}
    driver.advance(MINUTE)

    assert driver.model_versions == before
    assert before[PIPELINE.champion] > 0


def test_features_are_those_of_the_newest_event_until_the_user_is_forgotten(driver):
    assert driver.features("ada") is None
    driver.publish(event(driver))
    first = driver.features("ada")
    driver.publish(event(driver))

    assert first is not None
    assert driver.features("ada") not in (None, first)


def test_what_crashed_before_its_commit_was_never_seen(driver):
    driver.append(event(driver))
    driver.process(crash=True)
    assert driver.predictions == []

    driver.process()
    assert len(driver.predictions) == 1


def test_a_user_stays_in_one_partition(driver):
    spread = PipelineDriver(PIPELINE, partitions=4)
    users = [f"u{n}" for n in range(40)]
    for user in users + users:
        spread.publish(event(spread, user))
    where = {(record.key(), record.partition()) for record in spread.read(topics.USER_EVENTS)}

    assert len(where) == len(users)
    assert len({partition for _, partition in where}) == 4


def test_features_may_be_added_and_removed_and_the_others_go_on(driver):
    more = replace(PIPELINE, features=(count(over=3 * MINUTE), *PIPELINE.features))
    fewer = replace(PIPELINE, features=tuple(f for f in PIPELINE.features if f != time_since()))
    never_changed = PipelineDriver(PIPELINE)
    for deployed in (PIPELINE, more, fewer):
        driver.deploy(deployed)
        for each in (driver, never_changed):
            each.publish(event(each, action="product_view"), event(each, "bob"))
            each.advance(11 * MINUTE)
    kept = [name for name in NAMES if name not in time_since().names]
    ada, bob = (driver.features(user) or {} for user in ("ada", "bob"))

    assert ada["click_count_1h"] == 3
    for user, features in (("ada", ada), ("bob", bob)):
        expected = never_changed.features(user) or {}
        assert features == {name: expected[name] for name in kept}


# ---- laws ----------------------------------------------------------------------------------------

_actions = st.sampled_from(sorted(PIPELINE.actions))
_users = st.sampled_from(["ada", "bob", "eve"])
_publish = st.lists(st.tuples(_users, _actions), min_size=1, max_size=4).map(
    lambda each: ("publish", each)
)
_advance = st.sampled_from([MINUTE, 7 * MINUTE, LABEL_DELAY]).map(lambda span: ("advance", span))
_histories = st.lists(_publish | _advance, min_size=1, max_size=12)


def run(history: list[tuple[str, Any]], crash: Callable[[PipelineDriver, int], None]):
    driver = PipelineDriver(PIPELINE, partitions=2)
    for n, (kind, what) in enumerate(history):
        if kind == "advance":
            driver.advance(what)
        else:
            driver.append(*(event(driver, user, action) for user, action in what))
            crash(driver, n)
            driver.process()
    driver.advance(LABEL_DELAY)
    driver.publish(event(driver, "ada"), event(driver, "bob"))
    return driver


@settings(deadline=None, max_examples=50)  # the first example warms up
@given(_histories, st.data())
def test_however_often_predict_crashes_nothing_differs(history, data):
    def crash(driver: PipelineDriver, n: int) -> None:
        match data.draw(st.sampled_from(["no", "between batches", "before the commit"]), str(n)):
            case "between batches":
                driver.crash("predict")
            case "before the commit":
                driver.process(crash=True)

    expected, found = run(history, lambda *_: None), run(history, crash)

    for topic in (topics.PREDICTIONS, topics.OUTCOMES, topics.FEATURE_UPDATES, topics.ALERTS):
        assert values(found, topic) == values(expected, topic)
    assert found.model_versions == expected.model_versions


@settings(deadline=None, max_examples=50)  # the first example warms up
@given(_histories, st.data())
def test_however_often_learn_crashes_it_learns_each_outcome_once(history, data):
    def crash(driver: PipelineDriver, n: int) -> None:
        if data.draw(st.booleans(), str(n)):
            driver.crash("learn")

    expected, found = run(history, lambda *_: None), run(history, crash)
    for driver in (expected, found):
        driver.advance(timedelta(minutes=1))  # every model is published by then

    assert len(found.outcomes) == len(expected.outcomes)
    assert found.model_versions == expected.model_versions
    assert found.model_versions.get(PIPELINE.champion, 0) == len(found.outcomes)


def values(driver: PipelineDriver, topic: topics.Topic) -> list[bytes | None]:
    return [record.value() for record in driver.read(topic)]


@pytest.mark.parametrize("positive", ["at_once", "at_maturity"])
def test_labels_of_a_former_rule_cost_no_event(positive):
    """A class that was said early, of an event that comes under a rule of yes and no."""
    hour = timedelta(hours=1)
    binary = replace(PIPELINE, label=reported_within(hour, positive=positive))
    classes = replace(
        binary,
        label=reported_within(hour, says=str, positive=positive),
        champion="multiclass_softmax_v1",
        challengers=(),
        drift=DriftPolicy(),
    )
    driver = PipelineDriver(classes)
    event = {"user_id": "ada", "action": "home", "event_id": "e1", "ts": driver.now_ms}
    driver.label({"user_id": "ada", "event_id": "e1", "label": "billing", "ts": driver.now_ms + 1})
    driver.deploy(replace(binary, challengers=()))
    driver.publish(event)
    driver.advance(3 * hour)
    driver.publish({**event, "event_id": "e2", "ts": driver.now_ms})

    assert len(driver.predictions) == 2
    assert driver.read(topics.DEAD_LETTERS) == []
