"""Where spans go: to a collector, by OTLP over HTTP, in the background.

The standard's environment variables say where and how (`OTEL_EXPORTER_OTLP_*`, `OTEL_BSP_*` ...).
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from agents.observability import metric_list
from agents.observability.metrics import Metrics

SAID_EVERY_S: Final = 60.0
"""How often it is logged that a collector does not take spans; it is tried all the time."""


class Rarely(logging.Filter):
    """Lets a logger say something once in a while.

    >>> now_s = iter([0.0, 1.0, 61.0])
    >>> rarely = Rarely(clock=lambda: next(now_s))
    >>> record = logging.makeLogRecord({"msg": "the collector is away"})
    >>> [rarely.filter(record) for _ in range(3)]
    [True, False, True]
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._next_at_s = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether it may be said."""
        now_s = self._clock()
        if now_s < self._next_at_s:
            return False
        self._next_at_s = now_s + SAID_EVERY_S
        return True


_rarely: Final = Rarely()


class CountedExporter(SpanExporter):
    """Counts what an exporter exports, and what the collector does not take."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics) -> None:
        self._exporter: Final = exporter
        self._exported: Final = metrics.counter(metric_list.SPANS, fate="exported")
        self._failed: Final = metrics.counter(metric_list.SPANS, fate="failed")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export; on a thread of the SDK's, which survives whatever is raised."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            is_through = result is SpanExportResult.SUCCESS
            (self._exported if is_through else self._failed).inc(len(spans))
        return result

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()


class _Made(SpanProcessor):
    """Counts what is to be exported."""

    def __init__(self, metrics: Metrics) -> None:
        self._made: Final = metrics.counter(metric_list.SPANS, fate="made")

    def on_end(self, span: ReadableSpan) -> None:
        self._made.inc()


def provider(service: str, instance: str, metrics: Metrics) -> TracerProvider:
    """Make what makes and exports spans.

    Parameters
    ----------
    service
        What the service is called, unless the environment says otherwise.
    instance
        Which worker of it this is; likewise.
    """
    ours = Resource.create({SERVICE_NAME: service, "service.instance.id": instance})
    # Ended by `Tracer.close`, in bounded time; not by an exit that nobody waits for.
    made = TracerProvider(
        resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    made.add_span_processor(_Made(metrics))
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_rarely)
    made.add_span_processor(BatchSpanProcessor(CountedExporter(OTLPSpanExporter(), metrics)))
    return made
