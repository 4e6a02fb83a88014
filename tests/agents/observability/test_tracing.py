"""Spans of sampled records: what they tell, where they go, and that nobody waits for them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from agents import observability
from agents.observability import metric_list, tracing
from agents.observability.metrics import Metrics
from agents.observability.spans import Tracer
from agents.prediction.predict_plan import PredictPlan
from agents.settings import Settings
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.errors import InvalidSetting
from schemas.trace_context import TraceContext, trace_context
from tests.agents.buggy_plan import BuggyPlan
from tests.agents.partition_run import NOON_MS, PartitionRun, event, label
from tests.agents.record import Record
from tests.markdown import code
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE_ID}-b7ad6b7169203331-01".encode()
UNSAMPLED = SAMPLED[:-1] + b"0"
STATE = b"congo=t61rcWkgMzE"
PHASES = ["features", "score", "join", "publish"]


class Recorded:
    """A tracer, and the spans that were ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = Tracer(provider, group="predict")

    def run(self) -> PartitionRun:
        plan = PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name, tracer=self.tracer)
        return PartitionRun(plan=plan)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def traced(name: str, at_ms: int = NOON_MS, *, trace: bytes = SAMPLED, **fields: Any) -> Record:
    headers = [("traceparent", trace), ("tracestate", STATE)]
    return event(name, at_ms, headers=headers, **fields)


def context_of(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent_of(span: ReadableSpan) -> tuple[str, str]:
    assert span.parent is not None
    return f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}"


def test_a_sampled_event_has_a_span_in_its_trace_that_says_where_it_stood(recorded):
    recorded.run().events(event("e1"), traced("e2", offset=42))
    (span,) = recorded.named("process user-events")

    assert span.kind is SpanKind.CONSUMER
    assert parent_of(span) == (TRACE_ID, "b7ad6b7169203331")
    assert [link.context for link in span.links] == [span.parent]
    assert {
        name: each for name, each in (span.attributes or {}).items() if "thalweg" not in name
    } == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "predict",
        "messaging.destination.name": "user-events",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 42,
    }
    assert (span.attributes or {})["thalweg.prediction_id"] == "purchase-intent:e2"


def test_its_phases_follow_each_other_within_it(recorded):
    recorded.run().events(traced("e1"), traced("e2", user="bob"))
    for span in recorded.named("process user-events"):
        children = [
            each for each in recorded.spans if each.parent and parent_of(each) == context_of(span)
        ]
        times = [time for each in children for time in (each.start_time, each.end_time)]

        assert [each.name for each in children] == PHASES
        assert times[1:-1:2] == times[2::2]
        assert times == sorted(times)
        assert span.start_time <= times[0]
        assert times[-1] <= span.end_time


def test_what_a_sampled_event_causes_comes_from_its_span_and_all_else_is_passed_on_as_it_came(
    recorded,
):
    run = recorded.run()
    run.events(traced("e1"), traced("e2", trace=UNSAMPLED), event("e3"))
    run.labels(label(True, event_id="e1"))
    (span,) = recorded.named("process user-events")
    predicted = [trace_context(output.headers or ()) for output in run.by_topic["predictions"]]
    (outcome,) = run.by_topic["outcomes"]
    ours = TraceContext(b"00-%b-%b-01" % tuple(each.encode() for each in context_of(span)), STATE)

    assert predicted == [ours, TraceContext(UNSAMPLED, STATE), None]
    assert trace_context(outcome.headers or ()) == ours


def test_no_span_tells_whose_record_it_was_or_what_was_in_it(recorded):
    recorded.run().events(traced("e1", user="ada-lovelace", action="view_item"))

    for span in recorded.spans:
        assert "ada-lovelace" not in span.to_json()
        assert "view_item" not in span.to_json()


def test_what_is_undone_has_no_span_and_what_is_done_again_has_one():
    recorded = Recorded()
    plan = BuggyPlan(
        lambda name: "prediction" if name == "poison" else None, tracer=recorded.tracer
    )
    run = PartitionRun(plan=plan)
    run.events(
        traced("e1", offset=0),
        traced("poison", NOON_MS + 1, offset=1),
        traced("e1", offset=2),
        traced("e2", NOON_MS + 2, offset=3),
        Record(b"{", b"ada", offset=4, headers=[("traceparent", SAMPLED)]),
    )
    told = {
        (span.attributes or {})["messaging.kafka.offset"]: (
            (span.attributes or {}).get("thalweg.fate"),
            (span.attributes or {}).get("error.type"),
            span.status.is_ok,
        )
        for span in recorded.named("process user-events")
    }

    assert len(recorded.named("process user-events")) == 5
    assert told == {
        0: (None, None, True),
        1: (None, "processing_failed", False),
        2: ("duplicate", None, True),
        3: (None, None, True),
        4: (None, "not_json", False),
    }


def test_labels_have_spans_of_their_own_and_outcomes_go_on_from_the_prediction(recorded):
    driver = PipelineDriver(PIPELINE, tracer=recorded.tracer)
    said = b"00-" + b"9" * 32 + b"-" + b"8" * 16 + b"-01"
    seen = {"user_id": "ada", "action": "home", "ts": driver.now_ms, "event_id": "e1"}
    driver.publish(seen, headers={"traceparent": SAMPLED})
    driver.crash("predict")
    driver.publish(
        {"user_id": "ada", "event_id": "e1", "label": True, "ts": driver.now_ms},
        topic=topics.LABELS,
        headers={"traceparent": said},
    )
    (predicted,) = recorded.named("process user-events")
    (labelled,) = recorded.named("process labels")
    (learned,) = recorded.named("process outcomes")

    assert parent_of(labelled) == ("9" * 32, "8" * 16)
    assert parent_of(learned) == context_of(predicted)
    assert [link.context.span_id for link in learned.links] == [predicted.context.span_id]
    assert (learned.attributes or {})["thalweg.prediction_id"] == "purchase-intent:e1"
    assert PIPELINE.champion in (learned.attributes or {})["thalweg.models"]


# ---- off -----------------------------------------------------------------------------------------


def test_nothing_of_opentelemetry_is_imported_unless_somebody_asks_for_spans():
    driven = """
import sys
from agents import worker
from agents.observability import tracing
from agents.observability.metrics import Metrics
from agents.settings import Settings
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
assert tracing.open_tracer(Settings(), "predict", 0, Metrics()) is None
driver = PipelineDriver(PIPELINE)
for action in ("home", "purchase"):
    driver.publish(
        {"user_id": "ada", "action": action, "ts": driver.now_ms},
        headers={"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    )
    driver.advance(worker.timedelta(seconds=1))
assert len(driver.outcomes) == 1
print([name for name in sys.modules if name.startswith(("opentelemetry", "google"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", driven],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=120,
    )

    assert done.stdout == "[]\n"


def test_the_standards_switch_turns_it_off(monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    assert tracing.open_tracer(Settings(traces="otlp"), "predict", 0, Metrics()) is None


def test_without_the_extra_the_worker_says_what_to_install(monkeypatch):
    for name in ("spans", "span_export"):
        monkeypatch.delitem(sys.modules, f"agents.observability.{name}", raising=False)
        monkeypatch.delattr(observability, name, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(InvalidSetting, match=r"the extra `otel`: pip install -e '\.\[otel\]'"):
        tracing.open_tracer(Settings(traces="otlp"), "predict", 0, Metrics())


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_BSP_MAX_QUEUE_SIZE", "-1")],
)
def test_what_cannot_be_heeded_stops_the_start(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidSetting, match=r"OTEL_.*(grpc|max_queue_size)"):
        tracing.open_tracer(Settings(traces="otlp"), "predict", 0, Metrics())


# ---- to a collector ------------------------------------------------------------------------------


class Collector(HTTPServer):
    """Takes spans as a collector does, by OTLP over HTTP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.may_answer.wait()
                if self.path == "/v1/traces":
                    collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def spans(self) -> dict[str, Any]:
        """What came, by the name of the span."""
        return {
            span.name: (resource.resource, span)
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


def exporting() -> list[str]:
    """Name the threads that still export."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("OtelBatch", "last-spans"))]


@pytest.fixture
def collector(monkeypatch) -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    try:
        yield server
    finally:
        server.may_answer.set()
        wait_until(lambda: not exporting())  # who lingers would try in vain for ten seconds
        server.shutdown()
        thread.join()
        server.server_close()


def opened(role: str, metrics: Metrics) -> Tracer:
    tracer = tracing.open_tracer(Settings(traces="otlp", topic_prefix="t-"), role, 0, metrics)
    assert tracer is not None
    return tracer


def drive(tracer: Tracer, n: int = 1) -> None:
    driver = PipelineDriver(PIPELINE, tracer=tracer)
    for number in range(n):
        driver.publish(
            {"user_id": f"u{number}", "action": "home", "ts": driver.now_ms},
            headers={"traceparent": SAMPLED},
        )


def fates(metrics: Metrics) -> dict[str, float]:
    return {
        fate: metrics.counter(metric_list.SPANS, fate=fate).value
        for fate in ("made", "exported", "failed")
    }


def test_a_collector_gets_the_spans_and_whose_they_are(collector, monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    metrics = Metrics()
    tracer = opened("predict", metrics)
    drive(tracer)
    tracer.close()
    resource, span = collector.spans["process user-events"]
    told = {each.key: each.value.string_value for each in resource.attributes}

    assert set(collector.spans) == {"process user-events", *PHASES}
    assert told["service.name"] == "thalweg-predict"
    assert told["service.instance.id"] == "t-predict-0"
    assert told["deployment.environment.name"] == "staging"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, "b7ad6b7169203331")
    assert {each.key: each.value.string_value for each in span.attributes}[
        "messaging.consumer.group.name"
    ] == "t-predict"
    assert fates(metrics) == {"made": 5, "exported": 5, "failed": 0}


def test_the_service_is_called_what_the_environment_says(collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-predictions")
    tracer = opened("predict", Metrics())
    drive(tracer)
    tracer.close()
    resource, _ = collector.spans["score"]

    assert {each.key: each.value.string_value for each in resource.attributes}[
        "service.name"
    ] == "our-predictions"


def test_nobody_waits_for_a_collector_that_does_not_answer(collector, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    collector.may_answer.clear()
    metrics = Metrics()
    tracer = opened("predict", metrics)
    drive(tracer, 10)
    tracer.close(within_s=0.01)  # ends though nothing left

    assert fates(metrics) == {"made": 50, "exported": 0, "failed": 0}
    assert collector.requests == []


def test_what_a_collector_that_is_away_did_not_take_is_counted_and_said_once(
    free_port, monkeypatch, caplog
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    metrics = Metrics()
    tracer = opened("predict", metrics)
    drive(tracer)
    wait_until(lambda: fates(metrics)["failed"] == 5)
    drive(tracer)
    wait_until(lambda: fates(metrics)["failed"] == 10)
    tracer.close()
    wait_until(lambda: not exporting())

    assert fates(metrics) == {"made": 10, "exported": 0, "failed": 10}
    said = [each for each in caplog.records if each.name.startswith("opentelemetry")]
    assert len(said) <= 1  # an earlier test may have had it said


def test_the_example_on_the_page_runs(capsys):
    (example,) = code((ROOT / "docs" / "tracing.md").read_text(encoding="utf-8"), "python")
    exec(example, {})  # what a user would copy
    *spans, headers = capsys.readouterr().out.splitlines()

    assert [line.split()[0] for line in spans] == [*PHASES, "process"]
    assert f"00-{TRACE_ID}-" in headers
