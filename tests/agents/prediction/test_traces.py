"""Where the trace context of an event goes: to its prediction, and to what comes of that."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from agents.kafka.batch import Output
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.prediction.predict_plan import PredictPlan
from examples.shop.pipeline import PIPELINE
from online_models.review import Review
from schemas import dead_letters
from schemas.trace_context import TraceContext, trace_context
from streams.label_rule import reported_within
from streams.pending import Pending, pack_features
from tests.agents.buggy_plan import BuggyPlan
from tests.agents.partition_run import NOON_MS, FakeScorer, PartitionRun, event, label, served
from tests.agents.prediction.test_drift_alert import Told
from tests.agents.record import Record

MINUTE = timedelta(minutes=1)
MINUTE_MS = 60_000
SAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-1] + b"0"
STATE = b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
BAD = SAMPLED.upper()


def traced(name: str, at_ms: int = NOON_MS, *, trace: bytes = SAMPLED, **fields) -> Record:
    headers = [("traceparent", trace), ("tracestate", STATE)]
    return event(name, at_ms, headers=headers, **fields)


def trace_of(output: Output) -> TraceContext | None:
    return trace_context(output.headers or ())


def plan_of(pipeline: Pipeline = PIPELINE, metrics: Metrics | None = None) -> PredictPlan:
    return PredictPlan(pipeline, metrics or Metrics(), lambda topic: topic.name)


@pytest.mark.parametrize("trace", [SAMPLED, UNSAMPLED, b"cc" + SAMPLED[2:] + b"-more"])
def test_a_prediction_has_the_trace_of_its_event_unmodified_while_nobody_makes_spans(trace):
    run = PartitionRun().events(traced("e1", trace=trace), event("e2"))

    found = [trace_of(output) for output in run.by_topic["predictions"]]
    assert found == [TraceContext(trace, STATE), None]


@pytest.mark.parametrize(
    ("trace", "kept"), [(SAMPLED, TraceContext(SAMPLED, STATE)), (UNSAMPLED, None)]
)
@pytest.mark.parametrize("crashes", [False, True])
def test_an_outcome_has_the_trace_of_its_prediction_if_that_is_sampled(trace, kept, crashes):
    run = PartitionRun().events(traced("e1", trace=trace), traced("e2", user="bob"), event("e3"))
    if crashes:
        run = PartitionRun(run.compacted())
    run.events(traced("buys", NOON_MS + 1, action="purchase", trace=SAMPLED[:-2] + b"03"))
    run.labels(label(True, user="bob", event_id="e2"))

    outcomes = {
        o.prediction_id[-2:]: trace_of(r)
        for o, r in zip(run.outcomes, run.by_topic["outcomes"], strict=True)
    }
    assert outcomes == {"e1": kept, "e3": None, "e2": TraceContext(SAMPLED, STATE)}


def test_negatives_and_revisions_have_the_trace_of_their_prediction_too():
    rule = reported_within(30 * MINUTE, revisable_for=60 * MINUTE)
    run = PartitionRun(plan=plan_of(replace(PIPELINE, label=rule)))
    run.events(traced("e1"))
    run.events(event("later", NOON_MS + 60 * MINUTE_MS, user="bob"))
    run.labels(label(True, at_ms=NOON_MS + 40 * MINUTE_MS, event_id="e1"))

    assert [outcome.label for outcome in run.outcomes] == [False, True]
    assert [trace_of(each) for each in run.by_topic["outcomes"]] == [
        TraceContext(SAMPLED, STATE)
    ] * 2


def test_whether_an_event_is_traced_changes_nothing_but_headers():
    def played(trace: bytes | None = None) -> PartitionRun:
        run = PartitionRun()
        for n in range(3):
            name, at_ms = f"e{n}", NOON_MS + n
            run.events(traced(name, at_ms, trace=trace) if trace else event(name, at_ms))
        return run.events(event("buys", NOON_MS + 9, action="purchase"))

    def values(run: PartitionRun) -> list[tuple[str, bytes | None]]:
        return [
            (o.topic, o.value)
            for each in run.by_topic.values()
            for o in each
            if o.topic != "predict-state"
        ]

    without = played()

    assert values(played(trace=SAMPLED)) == values(played(trace=UNSAMPLED)) == values(without)
    assert played(trace=UNSAMPLED).compacted() == without.compacted()


def test_reviews_and_challengers_answers_belong_to_the_trace_and_no_sum_over_events_does():
    review = Review(confidence=1.0, per_day=100_000)
    plan = plan_of(replace(PIPELINE, review=review, challenger_share=1.0))
    serving = served(FakeScorer()) | served(FakeScorer(), PIPELINE.challengers[0])
    run = PartitionRun(plan=plan, serving=serving)
    run.events(*(traced(f"e{n}", NOON_MS + n) for n in range(100)))

    assert {topic for topic, each in run.by_topic.items() if any(map(trace_of, each))} == {
        *("predictions", "shadow-predictions", "review-queue"),
    }
    assert {*run.by_topic} >= {"feature-updates", "predict-state"}


def test_a_context_that_is_none_is_ignored_and_counted_once_however_often_it_is_read():
    metrics = Metrics()
    plan = BuggyPlan(lambda name: "features" if name == "poison" else None, metrics=metrics)
    run = PartitionRun(plan=plan)
    many = [(f"x-{n}", b"?") for n in range(1_000)]
    run.events(
        traced("e1", trace=BAD),
        event("poison", NOON_MS + 1),
        event("e2", NOON_MS + 2, headers=[*many, ("traceparent", SAMPLED), *many]),
        event("e3", NOON_MS + 3, headers=[("traceparent", b"00-\xff")]),
    )

    found = [trace_of(output) for output in run.by_topic["predictions"]]
    assert found == [None, TraceContext(SAMPLED), None]
    assert metrics.counter(metric_list.BAD_TRACEPARENTS).value == 2


def test_a_dead_letter_keeps_the_context_as_it_came():
    came_with = [("traceparent", SAMPLED), ("tracestate", STATE)]
    run = PartitionRun().events(Record(b"{", b"ada", headers=came_with))
    (letter,) = run.by_topic["dead-letters"]

    assert dead_letters.original_headers(letter.headers or ()) == came_with
    assert trace_of(letter) == TraceContext(SAMPLED, STATE)


TRACE_AT = Pending.__struct_fields__.index("trace")


def test_what_waits_is_read_by_releases_before_there_were_traces_and_theirs_by_this_one():
    fields = [(field.name, field.type, field.default) for field in msgspec.structs.fields(Pending)]
    before = [
        (name, type_) if default is msgspec.NODEFAULT else (name, type_, default)
        for name, type_, default in fields[:TRACE_AT]
    ]
    former = msgspec.defstruct("Former", before, array_like=True)
    waits = Pending(
        *("p1", "e1", "demo", "ada", 1, 0.5, "m_v1", 3, "s1", pack_features([1.0])),
        trace=TraceContext(SAMPLED, STATE),
    )
    encoded = msgspec.msgpack.encode(waits)
    by_former = msgspec.msgpack.decode(encoded, type=former)
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(by_former), type=Pending)

    assert msgspec.msgpack.decode(encoded, type=Pending) == waits
    assert back == msgspec.structs.replace(waits, trace=None)


def test_an_untraced_row_that_waits_is_one_byte_longer_than_before_there_were_traces():
    waits = Pending("p1", "e1", "demo", "ada", 1, 0.5, "m_v1", 3, "s1", pack_features([1.0]))
    of_trace = msgspec.msgpack.encode(msgspec.structs.astuple(waits)[TRACE_AT])

    assert of_trace in msgspec.msgpack.encode(waits)
    assert len(of_trace) == 1


def test_an_alert_of_drift_belongs_to_no_trace():
    scorer = Told()
    run = PartitionRun(serving=served(scorer))
    run.events(*(traced(f"e{n}", NOON_MS + n, user=f"u{n}") for n in range(500)))
    scorer.level = 0.7
    run.events(*(traced(f"e{n}", NOON_MS + n, user=f"u{n}") for n in range(500, 560)))

    assert [trace_of(each) for each in run.by_topic["alerts"]] == [None]
