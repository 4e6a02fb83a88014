"""An audit on a real broker: it tells apart what was lost, doubled, set aside and late."""

import time
import uuid

import msgspec
import orjson
import pytest
from confluent_kafka import Producer

from agents.admin import topic_admin, topic_reader
from agents.history import audit as audit_module
from agents.history.audit import Audit
from agents.history.replay import OUTPUTS
from agents.settings import Settings
from schemas import dead_letters, topics
from schemas.reasons import Reason
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka):
    here = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-", partitions=2
    )
    topic_admin.create(here, OUTPUTS)
    return here


@pytest.fixture
def outputs(settings):
    return topic_reader.ends(settings, [topic.named(settings.topic_prefix) for topic in OUTPUTS])


@pytest.fixture
def producer(kafka):
    return Producer({"bootstrap.servers": kafka.bootstrap})


@pytest.fixture
def predict(settings, producer):
    """Publish a prediction, as the predict role would, of an event published some time ago."""

    def predict(event_id: str, *, ago_ms: int = 0) -> None:
        published_at = time.time_ns() // 1_000_000 - ago_ms
        value = orjson.dumps({"event_id": event_id, "published_at": published_at})
        producer.produce(topics.PREDICTIONS.named(settings.topic_prefix), value)
        producer.flush(10)

    return predict


@pytest.fixture
def set_aside(settings, producer):
    def set_aside(value: bytes) -> None:
        headers = dead_letters.headers(
            Reason.TOO_LATE, "?", exception="?", topic="user-events", partition=0, offset=0
        )
        topic = topics.DEAD_LETTERS.named(settings.topic_prefix)
        producer.produce(topic, value, headers=[*headers])
        producer.flush(10)

    return set_aside


def test_it_tells_what_became_of_every_event(settings, outputs, predict, set_aside, monkeypatch):
    monkeypatch.setattr(audit_module, "QUIET_S", 0.5)
    with Audit(settings, outputs) as audit:
        for event_id in ("once", "twice", "aside", "lost"):
            audit.sent(event_id)
        for event_id in ("once", "twice", "twice"):
            predict(event_id)
        set_aside(b'{"event_id": "aside"}')
        set_aside(b"garbage")
        wait_until(lambda: audit.figures().predictions_out == 3)
        audit.wait_until_answered()
        figures = audit.figures()

    assert (figures.events_in, figures.predictions_out) == (4, 3)
    assert (figures.lost, figures.duplicated) == (1, 1)
    assert figures.dead_letters == {"too_late": 2}


def test_waiting_ends_as_soon_as_everything_is_answered(settings, outputs, predict):
    with Audit(settings, outputs) as audit:
        audit.sent("e1")
        predict("e1")
        started = time.monotonic()
        audit.wait_until_answered()

    assert time.monotonic() - started < audit_module.QUIET_S / 2
    assert audit.figures().lost == 0


def test_latency_is_from_publication_to_visibility(settings, outputs, predict):
    with Audit(settings, outputs) as audit:
        audit.sent("e1")
        predict("e1", ago_ms=700)
        audit.wait_until_answered()
        latency = audit.figures().latency_ms

    assert latency is not None
    assert 700 <= latency.p50 < 5_000


def test_what_an_earlier_run_predicted_counts_but_has_no_latency(settings, outputs, predict):
    predict("e1")
    with Audit(settings, outputs) as audit:
        audit.sent("e1")
        audit.wait_until_answered()
        figures = audit.figures()

    assert (figures.predictions_out, figures.lost) == (1, 0)
    assert figures.latency_ms is None


def test_records_of_an_aborted_transaction_answer_nothing(
    kafka, settings, outputs, predict, monkeypatch
):
    monkeypatch.setattr(audit_module, "QUIET_S", 0.5)
    doomed = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": uuid.uuid4().hex})
    doomed.init_transactions(30)
    doomed.begin_transaction()
    value = orjson.dumps({"event_id": "e1", "published_at": 0})
    doomed.produce(topics.PREDICTIONS.named(settings.topic_prefix), value)
    doomed.flush(10)
    doomed.abort_transaction(10)

    with Audit(settings, outputs) as audit:
        audit.sent("e1")
        audit.wait_until_answered()

        assert audit.figures().lost == 1


def test_what_breaks_the_reading_is_raised(settings, outputs, producer):
    audit = Audit(settings, outputs)
    audit.sent("e1")
    audit.__enter__()
    producer.produce(topics.PREDICTIONS.named(settings.topic_prefix), b"{")
    producer.flush(10)
    audit.wait_until_answered()

    with pytest.raises(msgspec.DecodeError, match="truncated"):
        audit.__exit__()
