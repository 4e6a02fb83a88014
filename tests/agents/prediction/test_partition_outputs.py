"""What stands in the records that a batch of predict causes."""

from dataclasses import replace

import msgspec
import pytest

from agents.observability.metrics import Metrics
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.wording import PRIOR
from examples.shop.pipeline import PIPELINE, ShopEvent
from schemas import dead_letters
from schemas.cloudevents import rfc3339
from schemas.predictions import Prediction
from streams.clean import EventCleaner
from streams.fold_state import UserState
from tests.agents.garbage import GARBAGE
from tests.agents.partition_run import (
    NOON_MS,
    PLAN,
    FakeScorer,
    PartitionRun,
    event,
    label,
    served,
)
from tests.agents.record import PUBLISHED_MS, Record
from tests.agents.shop_history import cut, messy

MINUTE_MS = 60_000
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("bad", GARBAGE)
def test_bad_input_is_set_aside_for_its_reason_with_its_bytes_and_where_it_stood(bad: str) -> None:
    key, value, reason = GARBAGE[bad]
    run = PartitionRun().events(Record(value, key, offset=41), event("e1", offset=42))
    (letter,) = run.by_topic["dead-letters"]
    headers = dict(letter.headers or ())

    assert (letter.key, letter.value) == (key, value)
    assert headers.pop("__streams.errors.message")
    assert headers.pop("ce_id") == b"user-events-0-41"
    assert headers.pop("ce_type") == b"thalweg.dead-letter"
    assert {name: value for name, value in headers.items() if not name.startswith("ce_")} == {
        "reason": reason.encode(),
        "__streams.errors.exception": b"InvalidRecord",
        "__streams.errors.topic": b"user-events",
        "__streams.errors.partition": b"0",
        "__streams.errors.offset": b"41",
    }
    assert [prediction.event_id for prediction in run.predictions] == ["e1"]
    assert [update["user_id"] for update in run.feature_updates] == ["ada"]


def test_a_dead_letter_keeps_the_headers_it_came_with_before_those_that_say_why() -> None:
    came_with = [("reason", b"of the publisher's own"), ("ce_type", b"click"), ("trace", b"1")]
    run = PartitionRun().events(Record(b"{", b"ada", headers=came_with))
    (letter,) = run.by_topic["dead-letters"]

    assert dead_letters.original_headers(letter.headers or ()) == came_with
    assert dict(letter.headers or ())["reason"] == b"not_json"
    assert dict(letter.headers or ())["ce_type"] == b"thalweg.dead-letter"


def test_a_bad_label_is_set_aside_too() -> None:
    run = PartitionRun().labels(Record(b'{"user_id": "u", "label": true, "ts": 0}', offset=5))
    (letter,) = run.by_topic["dead-letters"]
    headers = dict(letter.headers or ())

    assert headers["reason"] == b"missing_field"
    assert headers["__streams.errors.topic"] == b"labels"
    assert headers["__streams.errors.offset"] == b"5"


def test_a_prediction_says_who_answered_what_to_which_event_and_when() -> None:
    record = event("e1", NOON_MS, user="ada")
    run = PartitionRun(serving=served(FakeScorer(), version=12)).events(record)
    (output,) = run.by_topic["predictions"]
    (prediction,) = run.predictions
    (update,) = run.feature_updates
    score = FakeScorer().score(update["features"])

    assert output.key == b"ada"
    assert prediction == Prediction(
        prediction_id="purchase-intent:e1",
        event_id="e1",
        user_id="ada",
        use_case="purchase-intent",
        score=score,
        confidence=abs(2 * score - 1),
        decision=score >= PIPELINE.threshold,
        source="model",
        model=PIPELINE.champion,
        model_version=12,
        variant="champion",
        event_at=NOON_MS,
        published_at=PUBLISHED_MS,
        predicted_at=PUBLISHED_MS,
        degraded=[],
    )


def test_without_a_model_the_answer_is_the_prior_and_says_so() -> None:
    run = PartitionRun(serving={}).events(event("e1"), event("e2", NOON_MS + 1))

    for prediction in run.predictions:
        assert (prediction.score, prediction.source) == (PRIOR, "default")
        assert (prediction.model_version, prediction.degraded) == (0, ["no_model"])


def test_a_champion_that_is_too_slow_answers_nothing_and_its_answers_say_so() -> None:
    slow = {name: replace(model, may_serve=False) for name, model in served(FakeScorer()).items()}
    run = PartitionRun(serving=slow).events(event("e1"))

    for prediction in run.predictions:
        assert (prediction.score, prediction.source) == (PRIOR, "default")
        assert prediction.degraded == ["model_too_slow"]


def test_a_model_that_fails_leaves_its_mark_on_the_answers_it_failed_alone() -> None:
    class Moody(FakeScorer):
        def score(self, features: dict[str, float]) -> float:
            self.degraded_reason = None if self.degraded_reason else "model_failed"
            return 0.25

    run = PartitionRun(serving=served(Moody()))
    run.events(event("e1"), event("e2"), event("e3", NOON_MS - 60 * MINUTE_MS))

    assert [(p.source, p.degraded) for p in run.predictions] == [
        ("default", ["model_failed"]),
        ("model", []),
        ("default", ["model_failed", "late"]),
    ]


def test_records_carry_cloudevents_headers_and_the_trace_of_their_event() -> None:
    now_ms = PUBLISHED_MS + 5
    traced = event("e1", headers=[("a", b"b"), ("traceparent", TRACE)])
    run = PartitionRun().events(traced, event("e2"), now_ms=now_ms)
    run.events(event("buys", NOON_MS + 1, action="purchase"), now_ms=now_ms)
    common = {
        "ce_specversion": b"1.0",
        "ce_source": b"/thalweg/predict",
        "ce_time": rfc3339(now_ms),
    }

    e1, e2, _ = (dict(output.headers or ()) for output in run.by_topic["predictions"])
    assert e1 == common | {
        "ce_type": b"thalweg.prediction",
        "ce_id": b"purchase-intent:e1",
        "traceparent": TRACE,
    }
    assert e2 == common | {"ce_type": b"thalweg.prediction", "ce_id": b"purchase-intent:e2"}
    of_e1, of_e2 = (dict(output.headers or ()) for output in run.by_topic["outcomes"])
    assert of_e1 == common | {
        "ce_type": b"thalweg.outcome",
        "ce_id": b"purchase-intent:e1",
        "traceparent": TRACE,
    }
    assert of_e2 == common | {"ce_type": b"thalweg.outcome", "ce_id": b"purchase-intent:e2"}


def test_outcomes_go_to_one_partition_with_the_features_as_served() -> None:
    run = PartitionRun().events(event("e1"))
    (served_as,) = run.feature_updates
    run.events(event("e2", NOON_MS + 1), event("buys", NOON_MS + 2, action="purchase"))
    first, _ = run.by_topic["outcomes"]
    outcome = run.outcomes[0]

    assert (first.partition, first.key) == (0, b"ada")
    assert outcome.features == list(served_as["features"].values())
    assert (outcome.schema, tuple(served_as["features"])) == (PLAN.fold.schema, PLAN.fold.names)
    assert (outcome.score, outcome.model_version) == (run.predictions[0].score, 7)
    assert (outcome.event_at, outcome.labelled_at, outcome.label) == (NOON_MS, NOON_MS + 2, True)


def test_each_batch_tells_the_latest_features_of_each_user_it_touched_once() -> None:
    stream = messy(1)
    fold = PLAN.fold
    users: dict[str, UserState] = {}
    clean = EventCleaner(
        ShopEvent,
        actions=PIPELINE.actions,
        max_bytes=PIPELINE.max_event_bytes,
        future_tolerance=PIPELINE.future_tolerance,
    ).clean
    fates = {each.record.offset(): each.fate for each in stream}
    run = PartitionRun()
    for records in cut(stream, range(0, 1_000, 23)):
        n_before = len(run.feature_updates)
        run.events(*records)
        latest = {}
        for record in records:
            if fates[record.offset()] == "predicted":
                cleaned = clean(record.key(), record.value(), published_at_ms=PUBLISHED_MS)
                user_id = str(cleaned.user_id)
                state = users.setdefault(user_id, fold.new())
                features = fold.update(state, cleaned)
                latest[user_id] = (state.last_ms, fold.schema, features)

        told = run.feature_updates[n_before:]
        assert len(told) == len(latest)
        assert {u["user_id"]: (u["as_of"], u["schema"], u["features"]) for u in told} == latest
        keys = [output.key for output in run.last_batch if output.topic == "feature-updates"]
        assert keys == [user_id.encode() for user_id in latest]


def test_challengers_answer_a_share_of_events_where_nobody_acts_on_it() -> None:
    plan = PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name)
    challenger = PIPELINE.challengers[0]
    run = PartitionRun(plan=plan, serving=served(FakeScorer(), challenger, version=3))
    run.events(*(event(f"e{n}", NOON_MS + n) for n in range(250)))
    shadows = [msgspec.json.decode(o.value or b"") for o in run.by_topic["shadow-predictions"]]

    assert [each["event_id"] for each in shadows] == ["e99", "e199"]
    assert {(each["model"], each["model_version"]) for each in shadows} == {(challenger, 3)}
    assert {prediction.source for prediction in run.predictions} == {"default"}


def test_labels_find_their_prediction_by_either_id_and_count_once() -> None:
    run = PartitionRun().events(event("e1"), event("e2"), event("e3"), event("e4"))
    run.labels(
        label(True, event_id="e1"),
        label(False, prediction_id="purchase-intent:e2"),
        label(False, event_id="e1"),
        label(True, event_id="e3", user="bob"),
        label(True, event_id="never seen"),
    )

    assert run.labelled == {"e1": True, "e2": False}
    run.events(event("much later", NOON_MS + 60 * MINUTE_MS, user="bob"))
    assert run.labelled == {"e1": True, "e2": False, "e3": False, "e4": False}


def test_a_feature_update_carries_the_state_that_was_logged_with_it() -> None:
    run = PartitionRun().events(
        event("e1", offset=0), event("e2", offset=1), event("e3", offset=2, user="bob")
    )
    updates = {
        output.key: dict(output.headers or ())["state"]
        for output in run.by_topic["feature-updates"]
    }

    assert {b"u" + (key or b""): state for key, state in updates.items()} == run.table(b"u")
