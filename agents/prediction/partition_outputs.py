"""What a batch of predict causes, record by record; it becomes visible when the batch commits."""

from collections import Counter
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import msgspec
from confluent_kafka import Message

from agents.kafka.batch import Batch
from agents.prediction import encode
from agents.prediction.drift_alert import drift_alert
from agents.prediction.drift_watch import Reset
from agents.prediction.predict_plan import Answer, PredictPlan
from agents.prediction.served_models import Served
from agents.silence import silenced
from online_models.assignment import Variant
from online_models.drift import DriftAlarm, TwinAlarm
from schemas.errors import InvalidRecord, InvalidTraceparent
from schemas.events import UserEvent
from schemas.feature_updates import STATE_HEADER
from schemas.labels import LabelValue
from schemas.outcomes import Outcome
from schemas.reasons import Reason
from schemas.review import ReviewItem
from schemas.trace_context import TraceContext, trace_context
from streams.feature_set import CompiledView

if TYPE_CHECKING:
    from agents.observability.spans import RecordSpan

_encode_event = _encode_outcome = msgspec.msgpack.Encoder().encode


class PartitionOutputs:
    """Writes the records of one batch."""

    __slots__ = (
        "_batch",
        "_challengers",
        "_emit",
        "_now_ms",
        "_plan",
        "_spans",
        "_topics",
        "_tracer",
        "alarms",
        "degraded",
        "drift_resets",
        "labels",
        "n_bad_traceparents",
        "n_duplicates",
        "n_late",
        "n_reviews",
        "sampled",
        "set_aside",
        "span",
        "trace",
    )

    def __init__(self, plan: PredictPlan, batch: Batch, now_ms: int) -> None:
        plan.stamp(now_ms)
        self._plan = plan
        self._challengers = plan.deployed.roles.challengers
        self._topics = plan.topics
        self._batch = batch
        self._emit = batch.emit
        self._now_ms = now_ms
        self._tracer = plan.tracer
        self._spans: list[RecordSpan] = []
        self.trace: TraceContext | None = None
        """What the record in hand causes belongs to."""
        self.sampled: TraceContext | None = None
        """The same, if it is sampled: then what comes of it later belongs to it, too."""
        self.span: RecordSpan | None = None
        """Of the record in hand, if it is sampled and somebody wants to know."""
        self.n_duplicates = 0
        """Events that were there before."""
        self.n_late = 0
        """Events behind the watermark that were answered."""
        self.n_bad_traceparents = 0
        """Records whose trace context is none."""
        self.set_aside: list[tuple[int, Reason]] = []
        """Offsets of records that became dead letters, and why."""
        self.labels: list[LabelValue | None] = []
        """Of outcomes."""
        self.degraded: Counter[str] = Counter()
        """Why predictions are less than the best."""
        self.n_reviews = 0
        """Decisions that people should judge."""
        self.alarms: list[TwinAlarm] = []
        """What drifted, but for what was silenced."""
        self.drift_resets: list[Reset] = []
        """Why a detector began anew."""

    def begin(self, record: Message) -> None:
        """Take a record in hand: what is written next is caused by it, and belongs to its trace.

        Of a record without headers, behind one without a trace, nobody need say so.
        """
        self.trace = self.sampled = self.span = None
        if headers := record.headers():
            self._find_trace(cast(Any, headers), record.offset() or 0)  # a list, if it was consumed

    def _find_trace(self, headers: list[tuple[str, Any]], offset: int) -> None:
        try:
            self.trace = trace = trace_context(headers)
        except InvalidTraceparent:
            self.n_bad_traceparents += 1
            return
        if trace is None or not trace.is_sampled:
            return
        self.sampled = trace
        if self._tracer is None:
            return
        self.span = self._tracer.begin(trace, self._batch.tp, offset)
        if self.span is not None:
            self._spans.append(self.span)
            self.trace = self.sampled = self.span.context

    def duplicate(self) -> None:
        """Note that the event in hand was there before."""
        self.n_duplicates += 1
        if self.span is not None:
            self.span.tell(fate="duplicate")

    def prediction(
        self,
        event: UserEvent,
        answer: Answer,
        score: float,
        published_ms: int,
        key: bytes | None,
        *,
        variant: Variant,
        is_late: bool,
    ) -> None:
        """Answer an event."""
        plan = self._plan
        if self.span is not None:
            self.span.mark("join")
        pipeline = plan.pipeline
        event_id = event.event_id or ""
        prediction_id = plan.prediction_prefix + event_id
        self.n_late += is_late
        degraded = answer.degraded(is_late=is_late)
        if degraded:
            self.degraded.update(degraded)
        value = answer.write(
            prediction_id=prediction_id,
            event_id=event_id,
            user_id=event.user_id,
            use_case=pipeline.use_case,
            score=score,
            decision=answer.decide(score, pipeline.threshold),
            source=answer.source,
            model=answer.model,
            model_version=answer.version,
            variant=variant,
            event_at=event.ts,
            published_at=published_ms,
            predicted_at=self._now_ms,
            degraded=degraded,
        )
        headers = plan.prediction_envelope.headers(prediction_id, self.trace)
        self._emit(self._topics.predictions, value, key, headers=headers)
        if self.span is not None:
            self.span.mark("publish")
            self.span.tell(
                prediction_id=prediction_id,
                model=answer.model,
                model_version=answer.version,
                variant=variant,
                source=answer.source,
                degraded=degraded,
            )

    def review_item(
        self,
        event: UserEvent,
        answer: Answer,
        score: float,
        features: dict[str, float],
        *,
        probability: float,
    ) -> None:
        """Queue a decision for people, with what it rests on."""
        plan = self._plan
        prediction_id = f"{plan.prediction_prefix}{event.event_id}"
        item = ReviewItem(
            prediction_id=prediction_id,
            event_id=event.event_id or "",
            user_id=event.user_id,  # type: ignore[arg-type]  # text, once cleaned
            use_case=plan.pipeline.use_case,
            score=score,
            confidence=abs(2.0 * score - 1.0),
            decision=answer.decide(score, plan.pipeline.threshold),
            model=answer.model,
            model_version=answer.version,
            event_at=event.ts,  # type: ignore[arg-type]  # milliseconds, once cleaned
            queued_at=self._now_ms,
            probability=probability,
            features=features,
        )
        self.n_reviews += 1
        headers = plan.review_envelope.headers(prediction_id, self.trace)
        key = str(event.user_id).encode()
        self._emit(self._topics.review_queue, msgspec.json.encode(item), key, headers=headers)

    def shadow_predictions(
        self, event: UserEvent, serving: dict[str, Served], features: dict[str, float]
    ) -> None:
        """Let each challenger answer too, to prove how long it takes; nobody acts on it."""
        plan = self._plan
        event_id = event.event_id or ""
        for name in self._challengers:
            served = serving.get(name)
            if served is None:
                continue
            started_at = perf_counter()
            score = served.scorer.score(features)
            plan.metrics.challenger(name, perf_counter() - started_at)
            value = encode.shadow_prediction(
                prediction_id=plan.prediction_prefix + event_id,
                event_id=event_id,
                use_case=plan.pipeline.use_case,
                score=score,
                model=name,
                model_version=served.version,
                prediction=getattr(served.scorer, "prediction", None),
            )
            id_ = f"{plan.prediction_prefix}{event_id}:{name}"
            headers = plan.shadow_envelope.headers(id_, self.trace)
            key = str(event.user_id).encode()
            self._emit(self._topics.shadow_predictions, value, key, headers=headers)

    def feature_update(
        self, user_id: str, as_of_ms: int, features: dict[str, float], state: bytes
    ) -> None:
        """Tell the store a user's latest features, and the state that they can be moved on from."""
        plan, batch = self._plan, self._batch
        value = encode.feature_update(user_id, as_of_ms, plan.fold.schema, features)
        headers = plan.feature_envelope.headers(f"{batch.partition}-{batch.next_offset}-{user_id}")
        headers.append((STATE_HEADER, state))
        self._emit(self._topics.feature_updates, value, user_id.encode(), headers=headers)

    def entity_features(
        self, view: CompiledView, key: str, as_of_ms: int, features: dict[str, float]
    ) -> None:
        """Tell the latest features of an entity of a user."""
        plan, batch = self._plan, self._batch
        value = encode.entity_features(view, as_of_ms, features)
        id_ = f"{batch.partition}-{batch.next_offset}-{key}"
        headers = plan.entity_features_envelope.headers(id_)
        self._emit(self._topics.entity_features, value, key.encode(), headers=headers)

    def entity_forgotten(self, key: str) -> None:
        """Let the compacted topic forget an entity too; in Redis its features expire."""
        self._emit(self._topics.entity_features, None, key.encode())

    def entity_events(self, event: UserEvent, keys: Iterable[str]) -> None:
        """Hand an event on to where all events of what it is about come together.

        The partition follows from the key alone, by the partitioner of all topics.
        """
        value = _encode_event(event)
        headers = self._plan.entity_event_envelope.headers(event.event_id or "", self.trace)
        for key in keys:
            self._emit(self._topics.entity_events, value, key.encode(), headers=headers)

    def forgotten(self, user_id: str) -> None:
        """Let the compacted topic forget a user too; in Redis their features expire."""
        self._emit(self._topics.feature_updates, None, user_id.encode())

    def outcomes(self, outcomes: Iterable[Outcome], traces: Mapping[str, TraceContext]) -> None:
        """Append to the training log: one partition, hence one order.

        Each belongs to the trace of its prediction, if that is among `traces`, by prediction id.
        """
        envelope = self._plan.outcome_envelope
        for outcome in outcomes:
            if outcome.judged > 0.0 or outcome.label is None:  # else it is counted another time
                self.labels.append(outcome.label)
            id_ = outcome.prediction_id
            self._emit(
                self._topics.outcomes,
                _encode_outcome(outcome),
                outcome.user_id.encode(),
                partition=0,
                headers=envelope.headers(id_, traces.get(id_)),
            )

    def drift_alert(self, found: TwinAlarm, event: UserEvent, answer: Answer) -> None:
        """Raise an alert about this partition."""
        plan, partition = self._plan, self._batch.partition
        alert = drift_alert(
            found,
            use_case=plan.pipeline.use_case,
            partition=partition,
            event_id=event.event_id or "",
            event_at=event.ts,  # type: ignore[arg-type]  # milliseconds, once cleaned
            raised_at=self._now_ms,
            model=answer.model,
            model_version=answer.version,
        )
        silence = silenced(plan.deployed.silences, alert.kind, self._now_ms)
        if silence is None:
            self.alarms.append(found)
        else:
            alert.action = str(silence)
        value = msgspec.json.encode(alert)
        headers = plan.alert_envelope.headers(alert.alert_id)
        self._emit(self._topics.alerts, value, plan.use_case_key, headers=headers)

    def action_alert(
        self, action: str, alarm: DriftAlarm, event: UserEvent, answer: Answer
    ) -> None:
        """Raise an alert about what users of this partition do."""
        found = TwinAlarm(alarm, is_of_twin=True, moved="world", of_action=action)
        self.drift_alert(found, event, answer)

    def dead_letter(self, record: Message, error: Exception) -> None:
        """Set a record aside: it can never be processed, or not by this code."""
        if isinstance(error, InvalidRecord):
            reason, detail = error.reason, error.detail
        else:
            reason, detail = Reason.PROCESSING_FAILED, str(error)
        self.set_aside.append((record.offset() or 0, reason))
        if self.span is not None:
            self.span.fail(reason)
        self._plan.dead_letters.emit(
            self._batch, record, reason, detail, exception=type(error), now_ms=self._now_ms
        )

    def end_spans(self) -> None:
        """Let the spans be exported, now that nothing can undo what they tell but a crash."""
        for span in self._spans:
            span.end()
