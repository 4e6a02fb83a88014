"""Decisions that people judge, from the queue to what models learn of it, without a broker."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.admin.reviews import is_past, verdict_on
from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.review import Review
from schemas import topics
from schemas.errors import InvalidDeclaration
from schemas.review import ReviewItem, Verdict
from tests.agents.partition_run import PartitionRun
from tests.agents.shop_history import cut, messy

ALL = Review(confidence=1.0, per_day=10_000)
SOME = Review(confidence=0.9, per_day=20)
PIPELINE = replace(SHOP, review=ALL)
WEIGHTED = replace(SHOP, review=Review(confidence=0.9, per_day=400, weighted=True))
MINUTE = timedelta(minutes=1)


def driven(pipeline=PIPELINE):
    """A pipeline whose models have learned a little."""
    driver = PipelineDriver(pipeline)
    for n in range(60):
        visit(driver, f"early-{n}")
        if n % 3 == 0:
            purchase = {"user_id": f"early-{n}", "action": "purchase", "ts": driver.now_ms + 1}
            driver.publish(purchase)
        driver.advance(MINUTE)
    driver.advance(pipeline.label.horizon + pipeline.allowed_lateness)
    visit(driver, "bob")
    return driver


def visit(driver, *users):
    driver.publish(*({"user_id": user, "action": "home", "ts": driver.now_ms} for user in users))


def judge(driver, item, label, by="eve"):
    driver.advance(MINUTE)
    verdict = verdict_on(item, label=label, by=by, why="", now_ms=driver.now_ms)
    driver.publish(
        msgspec.json.encode(verdict), topic=topics.REVIEW_VERDICTS, key=item.user_id.encode()
    )


def test_what_nobody_answered_is_asked_of_nobody():
    driver = PipelineDriver(PIPELINE)
    visit(driver, "ada")

    assert [each.source for each in driver.predictions] == ["default"]
    assert driver.reviews == []


def test_a_queued_decision_is_the_one_that_was_made_with_what_it_rests_on():
    driver = driven()
    visit(driver, "zoe")
    item, made = driver.reviews[-1], driver.predictions[-1]
    told = [name for name in ReviewItem.__struct_fields__ if hasattr(made, name)]

    assert len(told) == 10
    assert [getattr(item, name) for name in told] == [getattr(made, name) for name in told]
    assert item.features == driver.features("zoe")
    assert item.queued_at == made.predicted_at
    assert driver.metrics.samples()["thalweg_reviews_queued_total"] == len(driver.reviews)


def test_a_verdict_is_a_label_with_who_gave_it_and_teaches():
    driver = driven()
    visit(driver, "zoe")
    before = driver.model_versions
    judge(driver, driver.reviews[-1], True)
    driver.advance(MINUTE)
    outcome = driver.outcomes[-1]

    assert (outcome.user_id, outcome.label, outcome.by) == ("zoe", True, "eve")
    assert (outcome.weight, outcome.judged) == (1.0, 1.0)
    assert {each.by for each in driver.outcomes[:-1]} == {""}
    assert all(driver.model_versions[name] == n + 1 for name, n in before.items())


def test_the_first_verdict_counts():
    driver = driven()
    visit(driver, "zoe")
    judge(driver, driver.reviews[-1], True)
    judge(driver, driver.reviews[-1], False, by="bob")

    assert [each.by for each in driver.outcomes if each.user_id == "zoe"] == ["eve"]
    assert driver.metrics.samples()['thalweg_labels_total{fate="conflicting"}'] == 1


def test_a_decision_waits_exactly_as_long_as_a_verdict_on_it_counts():
    driver = driven()
    visit(driver, "zoe")
    item = driver.reviews[-1]
    seen = []
    for _ in range(2):
        driver.advance((PIPELINE.label.horizon + PIPELINE.allowed_lateness) / 2)
        visit(driver, "zoe")
        is_waiting = not is_past(item, PIPELINE, driver.now_ms)
        seen.append((is_waiting, [each.by for each in driver.outcomes if each.user_id == "zoe"]))
    driver.advance(timedelta(milliseconds=1))
    visit(driver, "zoe")

    assert seen == [(True, []), (True, [])]
    assert is_past(item, PIPELINE, driver.now_ms)
    assert [each.by for each in driver.outcomes if each.user_id == "zoe"] == [""]


def test_what_nobody_judges_is_labelled_as_ever():
    driver = driven()
    visit(driver, "zoe")
    driver.advance(PIPELINE.label.horizon + PIPELINE.allowed_lateness + MINUTE)
    visit(driver, "bob")

    assert [(each.label, each.by) for each in driver.outcomes if each.user_id == "zoe"] == [
        (False, "")
    ]


def test_with_weights_a_verdict_stands_for_those_that_were_not_chosen_and_a_label_for_itself():
    driver = driven(WEIGHTED)
    users = [f"user-{n}" for n in range(200)]
    for user in users:
        driver.advance(MINUTE)
        visit(driver, user)
    rare = [item for item in driver.reviews if item.probability < 1.0]
    judge(driver, rare[-1], False)
    other = rare[-2]
    named = {"user_id": other.user_id, "prediction_id": other.prediction_id}
    driver.label({**named, "label": True, "ts": driver.now_ms})
    by_user = {each.user_id: each for each in driver.outcomes}
    judged, labelled = (by_user[each.user_id] for each in (rare[-1], other))

    assert judged.weight == judged.judged == pytest.approx(1 / rare[-1].probability)
    assert judged.weight > 1.0
    assert labelled.weight == labelled.judged == 1.0


def test_what_is_queued_leaves_with_its_batch_or_not_at_all():
    driver = driven()
    queued = len(driver.reviews)
    driver.append({"user_id": "zoe", "action": "home", "ts": driver.now_ms})
    driver.process(crash=True)
    lost = len(driver.reviews)
    driver.process()

    assert (lost, len(driver.reviews)) == (queued, queued + 1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 16), st.lists(st.integers(0, 1_000), max_size=20))
def test_however_batches_are_cut_and_whoever_goes_on_the_same_is_asked(seed, cuts):
    plan = PredictPlan(replace(SHOP, review=SOME), Metrics(), lambda topic: topic.name)
    stream = messy(seed)
    whole = PartitionRun(plan=plan).events(*(each.record for each in stream))
    parts = PartitionRun(plan=plan)
    queued = []
    for records in cut(stream, cuts):
        parts.events(*records)
        queued += parts.by_topic["review-queue"]
        changelog = [*parts.by_topic["predict-state"]]
        successor = PartitionRun(((each.key or b"", each.value) for each in changelog), plan=plan)
        successor.by_topic["predict-state"] = changelog
        parts = successor

    assert queued == whole.by_topic["review-queue"]


@pytest.mark.parametrize(
    ("review", "rule", "said"),
    [
        (ALL, {"positive": "at_maturity"}, "a review does not go with positive='at_maturity'"),
        (
            replace(ALL, weighted=True),
            {"revisable_for": timedelta(days=1)},
            "weighted=True does not go with revisable_for",
        ),
    ],
)
def test_verdicts_that_could_not_count_are_refused(review, rule, said):
    with pytest.raises(InvalidDeclaration, match=said):
        replace(SHOP, review=review, label=replace(SHOP.label, **rule))


def test_a_verdict_is_a_label_to_who_reads_labels():
    said = Verdict("shop:e1", "ada", label=True, ts=7, by="eve", why="seen")

    assert set(msgspec.json.decode(msgspec.json.encode(said))) - {"why"} <= {
        "prediction_id",
        "user_id",
        "label",
        "ts",
        "by",
    }
