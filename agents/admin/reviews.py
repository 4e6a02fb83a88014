"""Decisions that people should judge: those that wait, and what somebody says of one."""

import time
from datetime import timedelta
from typing import Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from agents.admin import topic_reader
from agents.kafka.client_settings import KafkaSettings
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas import topics
from schemas.cloudevents import Headers, constant_headers, rfc3339
from schemas.errors import UNREADABLE, DeliveryFailed, ThalwegError
from schemas.review import ReviewItem, Verdict

NEWEST: Final = 100
"""Predictions of a partition that tell how far event time is."""
TIMEOUT_S: Final = 10.0
"""How long the broker has to take a verdict."""

_HEADERS: Final = constant_headers("thalweg.review-verdict", "/thalweg/reviews")


class _Answered(msgspec.Struct, frozen=True):
    """Of a prediction, when its event was."""

    event_at: int


_decode_answered = msgspec.json.Decoder(_Answered).decode
_decode_item = msgspec.json.Decoder(ReviewItem).decode
_decode_verdict = msgspec.json.Decoder(Verdict).decode


def waiting(settings: Settings, declared: Pipeline) -> list[ReviewItem]:
    """List the decisions that somebody may judge, the newest first; of each its latest record.

    Not those that were judged, nor those whose label is settled, since their horizon has passed.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topics.
    """
    items: dict[str, tuple[int, ReviewItem]] = {}
    queue = topics.REVIEW_QUEUE.named(settings.topic_prefix)
    for message in topic_reader.read_to_end(settings, queue):
        try:
            item = _decode_item(message.value() or b"")
        except UNREADABLE:
            continue
        if item.use_case == declared.use_case:
            items[item.prediction_id] = message.partition() or 0, item
    for prediction_id in judged(settings):
        items.pop(prediction_id, None)
    reached = event_times(settings) if items else {}
    found = [
        item
        for partition, item in items.values()
        if not is_past(item, declared, reached.get(partition, 0))
    ]
    return sorted(found, key=lambda item: item.queued_at, reverse=True)


def is_past(item: ReviewItem, declared: Pipeline, event_at: int) -> bool:
    """Tell whether a verdict would come too late: the watermark has passed the label's horizon.

    Parameters
    ----------
    event_at
        The latest event time of its partition (ms), which the watermark follows.

    >>> from examples.shop.pipeline import PIPELINE
    >>> item = ReviewItem("shop:e1", "e1", "ada", "shop", 0.5, 0.0, True, "m", 1, event_at=1_000,
    ...                   queued_at=50_000, probability=0.5, features={})
    >>> open_for = PIPELINE.label.horizon + PIPELINE.allowed_lateness
    >>> last_ms = item.event_at + open_for // timedelta(milliseconds=1)
    >>> is_past(item, PIPELINE, last_ms), is_past(item, PIPELINE, last_ms + 1)
    (False, True)
    """
    rule = declared.label
    open_for = rule.horizon + rule.revisable_for + declared.allowed_lateness
    return item.event_at + open_for // timedelta(milliseconds=1) < event_at


def event_times(settings: Settings) -> dict[int, int]:
    """Tell the latest event time (ms) by partition, as the newest predictions have it.

    Raises likewise.
    """
    reached: dict[int, int] = {}
    topic = topics.PREDICTIONS.named(settings.topic_prefix)
    for message in topic_reader.read_to_end(settings, topic, last=NEWEST):
        try:
            answered = _decode_answered(message.value() or b"")
        except UNREADABLE:
            continue
        partition = message.partition() or 0
        reached[partition] = max(reached.get(partition, 0), answered.event_at)
    return reached


def judged(settings: Settings) -> dict[str, Verdict]:
    """Find the first verdict on each decision, by prediction id: the one that counts.

    Raises likewise.
    """
    verdicts: dict[str, Verdict] = {}
    topic = topics.REVIEW_VERDICTS.named(settings.topic_prefix)
    for message in topic_reader.read_to_end(settings, topic):
        try:
            verdict = _decode_verdict(message.value() or b"")
        except UNREADABLE:
            continue
        verdicts.setdefault(verdict.prediction_id, verdict)
    return verdicts


def answer(
    settings: Settings,
    declared: Pipeline,
    prediction_id: str,
    *,
    label: bool,
    by: str,
    why: str = "",
) -> Verdict:
    """Say what is true of a decision that waits.

    Raises
    ------
    ThalwegError
        No such decision waits: it was judged, says by whom, or its horizon has passed.
    DeliveryFailed
        The broker cannot be reached, or does not take the verdict.
    """
    item = next(
        (each for each in waiting(settings, declared) if each.prediction_id == prediction_id), None
    )
    if item is None:
        earlier = judged(settings).get(prediction_id)
        said = ", or no longer: the horizon of its label may have passed"
        if earlier is not None:
            said = f": {earlier.by} said {str(earlier.label).lower()}"
        raise ThalwegError(f"no decision `{prediction_id}` waits for a verdict{said}")
    verdict = verdict_on(item, label=label, by=by, why=why, now_ms=time.time_ns() // 1_000_000)
    _write(settings, verdict)
    return verdict


def verdict_on(item: ReviewItem, *, label: bool, by: str, why: str, now_ms: int) -> Verdict:
    """Make a verdict. It is as much later than the event as it is than the queue's record.

    Of live events that is now; of a history that is replayed, the history's own time.

    >>> item = ReviewItem("shop:e1", "e1", "ada", "shop", 0.5, 0.0, True, "m", 1, event_at=1_000,
    ...                   queued_at=50_000, probability=0.5, features={})
    >>> verdict_on(item, label=True, by="eve", why="", now_ms=60_000).ts
    11000
    """
    elapsed_ms = max(1, now_ms - item.queued_at)
    return Verdict(
        *(item.prediction_id, item.user_id),
        label=label,
        ts=item.event_at + elapsed_ms,
        by=by,
        why=why,
    )


def _write(settings: Settings, verdict: Verdict) -> None:
    """Publish a verdict where its prediction waits: keyed by the user."""
    reports: list[KafkaError | None] = []

    def note(error: KafkaError | None, _: Message) -> None:
        reports.append(error)

    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}reviews"
    )
    timeout_ms = int(TIMEOUT_S * 1_000)
    # Silent: what goes wrong is told once, by the error.
    producer = Producer({**kafka.producer(), "message.timeout.ms": timeout_ms, "log_level": 0})
    headers: Headers = [
        *_HEADERS,
        ("ce_id", verdict.prediction_id.encode()),
        ("ce_time", rfc3339(verdict.ts)),
    ]
    topic = topics.REVIEW_VERDICTS.named(settings.topic_prefix)
    producer.produce(
        topic,
        msgspec.json.encode(verdict),
        verdict.user_id.encode(),
        on_delivery=note,
        headers=[*headers],
    )
    producer.flush(2 * TIMEOUT_S)
    error = reports[0] if reports else None
    if not reports or error is not None:
        reason = "no answer" if error is None else error.str()
        raise DeliveryFailed(f"{topic} did not take the verdict in time ({reason})")
