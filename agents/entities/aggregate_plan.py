"""What aggregate decides once, before the first event."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from agents.dead_letters import DeadLetters
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.prediction.encode import Envelope
from schemas import topics
from schemas.cloudevents import rfc3339
from schemas.errors import InvalidDeclaration
from schemas.topics import Topic

SOURCE: Final = "/thalweg/aggregate"


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Full names of the topics that aggregate writes."""

    features: str
    state: str


class AggregateMetrics:
    """Counts of the aggregate role."""

    def __init__(self, metrics: Metrics) -> None:
        self._events = metrics.counter(metric_list.EVENTS, topic=topics.ENTITY_EVENTS.name)
        self._sizes = metrics.histogram(metric_list.BATCH_RECORDS)
        self._seconds = metrics.histogram(metric_list.PROCESSING_SECONDS)
        self._begun_anew = metrics.counter(metric_list.STATES_BEGUN_ANEW)
        self._metrics = metrics

    def events(self, n: int) -> None:
        """Count a batch of events."""
        self._events.inc(n)
        self._sizes.observe(n)

    def processing(self, seconds: float) -> None:
        """Measure a batch."""
        self._seconds.observe(seconds)

    def begun_anew(self, n: int) -> None:
        """Count states that could not be read."""
        self._begun_anew.inc(n)

    def entries(self, counts: dict[str, int]) -> None:
        """Tell how much is remembered, over all partitions."""
        for table, count in counts.items():
            self._metrics.gauge(metric_list.STATE_ENTRIES, table=table).set(count)


class AggregatePlan:
    """The gathered views of a pipeline, compiled.

    Parameters
    ----------
    deduplicates
        Whether predict may have handed an event on twice, as it may at least once. Exactly once,
        ids need not be remembered again: what was handed on was handed on once.

    Raises
    ------
    InvalidDeclaration
        There is nothing to gather.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        metrics: Metrics,
        name: Callable[[Topic], str],
        *,
        deduplicates: bool,
        dead_letter_limit: float = 1.0,
    ) -> None:
        self.pipeline: Final = pipeline
        self.deduplicates: Final = deduplicates
        self.dead_letter_limit: Final = dead_letter_limit
        self.views: Final = pipeline.compiled().gathered
        if not self.views:
            raise InvalidDeclaration(
                f"`{pipeline.use_case}` declares no entity whose events are to be gathered:"
                " it needs no aggregate worker"
            )
        self.by_entity: Final = {view.entity.name: view for view in self.views}
        self.decode: Final = msgspec.msgpack.Decoder(pipeline.event).decode
        self.metrics: Final = AggregateMetrics(metrics)
        self.topics: Final = TopicNames(
            features=name(topics.ENTITY_FEATURES), state=name(topics.AGGREGATE_STATE)
        )
        self.envelope: Final = Envelope("thalweg.entity-features", SOURCE)
        self.dead_letters: Final = DeadLetters(name(topics.DEAD_LETTERS), SOURCE, metrics)

    def stamp(self, now_ms: int) -> None:
        """Set the time of the records to come; once per batch."""
        self.envelope.at(rfc3339(now_ms))
