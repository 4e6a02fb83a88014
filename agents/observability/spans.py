"""Spans of sampled records, in the words of OpenTelemetry's conventions for messaging and Kafka.

https://opentelemetry.io/docs/specs/semconv/messaging/kafka/. A record has a span of its own, whose
parent is the span that published it, and which links to that as well. Key, value and features of a
record are in none: they are people's.
"""

import concurrent.futures
import time
from typing import Final

from confluent_kafka import Message
from faust.types.tuples import TP
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from agents.kafka import abandonable
from schemas.errors import InvalidTraceparent
from schemas.trace_context import TraceContext, trace_context

LAST_EXPORT_S: Final = 2.0
"""How long the end of a worker waits for its last spans to leave."""
Value = str | int | float | bool | list[str]
"""What an attribute of ours may be."""


class RecordSpan:
    """What is done with one record, until the last that is noted of it; its phases are children.

    A span that is not ended is not exported: so what is undone was never there.
    """

    __slots__ = ("_began_ns", "_marks", "_noted_ns", "_span", "_tracer", "context")

    def __init__(self, span: trace.Span, tracer: trace.Tracer, cause: TraceContext) -> None:
        self._span: Final = span
        self._tracer: Final = tracer
        # Later than the span's own: to make it is no part of the first phase.
        self._began_ns = self._noted_ns = time.time_ns()
        self._marks: list[tuple[str, int]] = []
        self.context: Final = cause.caused(by=span.get_span_context().span_id)
        """What the record causes is published with it."""

    def mark(self, phase: str) -> None:
        """Note that a phase ends now; it began where the one before ended."""
        self._noted_ns = time.time_ns()
        self._marks.append((phase, self._noted_ns))

    def tell(self, **attributes: Value) -> None:
        """Note what is known of it, under names that begin with `thalweg.`."""
        self._noted_ns = time.time_ns()
        self._span.set_attributes({f"thalweg.{name}": each for name, each in attributes.items()})

    def fail(self, reason: str) -> None:
        """Note that the record was set aside, and why."""
        self._noted_ns = time.time_ns()
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR, reason))

    def end(self) -> None:
        """Let it be exported, with its phases."""
        within = trace.set_span_in_context(self._span)
        began_ns = self._began_ns
        for phase, ended_ns in self._marks:
            child = self._tracer.start_span(phase, context=within, start_time=began_ns)
            child.end(ended_ns)
            began_ns = ended_ns
        self._span.end(self._noted_ns)


class Tracer:
    """Makes the spans of a worker.

    Parameters
    ----------
    provider
        Exports what is ended.
    group
        The worker's consumer group.
    """

    def __init__(self, provider: TracerProvider, *, group: str) -> None:
        self._provider: Final = provider
        self._tracer: Final = provider.get_tracer("thalweg")
        self._constant: Final = {
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.consumer.group.name": group,
        }

    def of(self, record: Message, tp: TP) -> RecordSpan | None:
        """Begin the span of a record; `None`: it belongs to no trace that is sampled."""
        headers = record.headers()
        if not headers:
            return None
        try:
            cause = trace_context(headers)  # type: ignore[arg-type]  # a list, if consumed
        except InvalidTraceparent:
            return None
        if cause is None or not cause.is_sampled:
            return None
        return self.begin(cause, tp, record.offset() or 0)

    def begin(self, cause: TraceContext, tp: TP, offset: int) -> RecordSpan | None:
        """Begin the span of a record of a sampled trace; `None`: the SDK is told to leave it."""
        published_by = SpanContext(
            cause.trace_id, cause.parent_id, is_remote=True, trace_flags=TraceFlags(cause.flags)
        )
        span = self._tracer.start_span(
            f"process {tp.topic}",
            context=trace.set_span_in_context(NonRecordingSpan(published_by)),
            kind=SpanKind.CONSUMER,
            attributes={
                **self._constant,
                "messaging.destination.name": tp.topic,
                "messaging.destination.partition.id": str(tp.partition),
                "messaging.kafka.offset": offset,
            },
            links=[Link(published_by)],
        )
        return RecordSpan(span, self._tracer, cause) if span.is_recording() else None

    def close(self, *, within_s: float = LAST_EXPORT_S) -> None:
        """Export what is left, for so long; the rest is lost."""
        closing = abandonable.start(self._provider.shutdown, name="last-spans")
        concurrent.futures.wait([closing], within_s)
