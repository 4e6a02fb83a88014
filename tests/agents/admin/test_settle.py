"""`thalweg dead-letters` on a real broker: what goes back goes back once, whoever else tries."""

import json
import os
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from agents import cli
from agents.admin import set_aside, topic_admin, topic_reader
from agents.admin import settle as settle_module
from agents.admin.settle import settle
from agents.dead_letters import DeadLetters
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.publish import publish
from agents.observability.metrics import Metrics
from agents.settings import Settings
from schemas import dead_letters, topics
from schemas.dead_letters import Fate
from schemas.errors import DeliveryFailed
from schemas.reasons import Reason
from tests.agents.record import PUBLISHED_MS, Record, batch
from tests.waiting import wait_until

DECLARED = (topics.USER_EVENTS, topics.DEAD_LETTERS, topics.DEAD_LETTER_FATES)
PARTITIONS = 2
CAME_WITH: list[tuple[str, Any]] = [
    ("traceparent", b"00-1-2-01"),
    ("reason", b"of the publisher's own"),
    ("nothing", None),
]


class Desk:
    """An environment of its own, with dead letters in it, and the command line."""

    def __init__(self, settings, capsys):
        self.settings = settings
        self.topic = topics.USER_EVENTS.named(settings.topic_prefix)
        self._dead_letters = topics.DEAD_LETTERS.named(settings.topic_prefix)
        self._capsys = capsys

    def set_aside(self, *values, reason=Reason.PROCESSING_FAILED, topic=None):
        """As the predict role does; a record's key is its value in capitals."""
        office = DeadLetters(self._dead_letters, "/test", Metrics())
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap})
        records = [
            Record(value, value.upper(), offset=n, headers=CAME_WITH)
            for n, value in enumerate(values)
        ]
        work = batch(records, topic=topic or self.topic, partition=1)
        for record in records:
            office.emit(
                work, cast(Any, record), reason, "no", exception=KeyError, now_ms=PUBLISHED_MS
            )
        for output in work.outputs:
            producer.produce(
                output.topic, output.value, output.key, headers=[*(output.headers or ())]
            )
        assert producer.flush(10) == 0

    def run(self, line):
        code = cli.main(["dead-letters", *line.split()])
        said = self._capsys.readouterr()
        assert code == 0, said.err
        return said.out

    def fails(self, line):
        assert cli.main(["dead-letters", *line.split()]) == cli.EX_ERROR
        return self._capsys.readouterr().err

    def json(self, line):
        return json.loads(self.run(f"{line} --json"))

    def published(self):
        return list(topic_reader.read_to_end(self.settings, self.topic))

    def end(self, isolation_level):
        """How far readers see: with an open transaction, those of committed records see less."""
        kafka = KafkaSettings(bootstrap=self.settings.kafka_bootstrap, group="test")
        reader = Consumer({**kafka.reader(), "isolation.level": isolation_level})
        try:
            return reader.get_watermark_offsets(TopicPartition(self.topic, 1), timeout=10)[1]
        finally:
            reader.close()

    def values(self):
        return Counter(message.value() for message in self.published())


@pytest.fixture
def desk(kafka, capsys, monkeypatch):
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-", partitions=PARTITIONS
    )
    topic_admin.create(settings, DECLARED)
    monkeypatch.setenv("THALWEG_KAFKA_BOOTSTRAP", settings.kafka_bootstrap)
    monkeypatch.setenv("THALWEG_TOPIC_PREFIX", settings.topic_prefix)
    return Desk(settings, capsys)


def test_what_is_no_fate_keeps_nobody_from_the_dead_letters(monkeypatch):
    fate = msgspec.json.encode(Fate("dropped", at=2, letter_at=1))
    found = [Record(fate, b"7"), Record(fate, b"seven"), Record(b"{", b"8"), Record(None, b"7")]
    monkeypatch.setattr(topic_reader, "read_to_end", lambda settings, topic: iter(found))

    assert set_aside.fates(Settings()) == {7: Fate("dropped", at=2, letter_at=1)}


@pytest.mark.integration
def test_a_record_goes_back_as_it_came_and_where_it_came_from(desk):
    desk.set_aside(b"ada", b"bob")
    told = desk.run("retry 1")
    (again,) = desk.published()

    assert told == "retried: 1\n"
    assert (again.key(), again.value(), again.partition()) == (b"BOB", b"bob", 1)
    assert again.headers() == [*CAME_WITH, ("thalweg.retries", b"1")]
    assert desk.json("ls") == {"processing_failed": 1}
    assert desk.json("ls --all") == {"processing_failed": {"open": 1, "retried": 1, "dropped": 0}}
    assert [each["offset"] for each in desk.json("ls processing_failed")] == [0]
    assert desk.json("show 1")["fate"]["verdict"] == "retried"
    assert "was retried before" in desk.fails("retry 1")


@pytest.mark.integration
def test_what_fails_again_says_how_often_it_was_tried(desk):
    desk.set_aside(b"ada")
    desk.run("retry 0")
    (again,) = desk.published()
    letter = next(set_aside.read(desk.settings))
    tried = set_aside.DeadLetter(
        *(1, 0, letter.reason, letter.detail, letter.topic, letter.partition, "0"),
        *(again.key(), again.value(), again.headers()),
    )

    assert tried.n_retries == 1
    assert sum(settle(desk.settings, [tried], "retried")) == 1
    assert dict(desk.published()[-1].headers())["thalweg.retries"] == b"2"
    assert len(desk.published()[-1].headers()) == len(CAME_WITH) + 1


@pytest.mark.parametrize("said", [b"9" * 5_000, b"9" * 30, b"-1", b"many", None])
def test_retries_that_nobody_can_have_made_are_none(said):
    """Whoever publishes events may write the header: it ended the list of all dead letters."""
    letter = set_aside.DeadLetter(
        0, 0, "not_json", "no", "t", "0", "0", None, b"", [(dead_letters.RETRIES, said)]
    )

    assert letter.n_retries == 0


@pytest.mark.integration
def test_letters_are_chosen_by_offset_by_reason_or_all(desk):
    desk.set_aside(b"a", b"b", reason=Reason.NOT_JSON)
    desk.set_aside(b"c", b"d")

    assert desk.json("drop --reason not_json --yes") == {"dropped": 2}
    assert desk.json("retry 3") == {"retried": 1}
    assert desk.json("retry --all --yes") == {"retried": 1}
    assert desk.json("ls") == {}
    assert desk.values() == Counter([b"c", b"d"])
    assert "say which" in desk.fails("retry")
    assert "say which" in desk.fails("drop 3 --all")
    assert "no record at offset 17" in desk.fails("drop 17")


@pytest.mark.integration
def test_many_are_settled_only_when_somebody_says_so(desk, monkeypatch):
    desk.set_aside(b"a", b"b")
    refused = desk.fails("retry --all")
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal) as stdin, os.fdopen(keyboard, "wb", buffering=0) as keys:
        monkeypatch.setattr(sys, "stdin", stdin)
        keys.write(b"n\n")
        declined = cli.main(["dead-letters", "drop", "--all"])
        unchanged = desk.json("ls")
        keys.write(b"y\n")
        desk.run("drop --all")

    assert "2 dead letters would be published again: say --yes" in refused
    assert declined == 1
    assert unchanged == {"processing_failed": 2}
    assert desk.json("ls") == {}


@pytest.mark.integration
def test_a_letter_from_elsewhere_can_only_be_dropped(desk):
    desk.set_aside(b"a", topic="of-somebody-else")

    assert "it can only be dropped" in desk.fails("retry 0")
    assert desk.json("drop 0") == {"dropped": 1}


@pytest.mark.integration
def test_what_a_killed_command_left_open_is_published_once(desk):
    desk.set_aside(b"ada")
    (letter,) = set_aside.read(desk.settings)
    kafka = KafkaSettings(
        bootstrap=desk.settings.kafka_bootstrap,
        group=f"{desk.settings.topic_prefix}dead-letters",
    )
    killed = Producer(kafka.transactional_producer(0))
    killed.init_transactions(30)
    killed.begin_transaction()
    killed.produce(desk.topic, b"ada", b"ADA", 1)
    killed.flush(10)

    assert sum(settle(desk.settings, [letter], "retried")) == 1
    assert sum(settle(desk.settings, [letter], "retried")) == 0
    assert desk.values() == Counter([b"ada"])


@pytest.mark.integration
def test_two_who_retry_the_same_at_once_publish_each_letter_once(desk, monkeypatch):
    monkeypatch.setattr("agents.admin.settle.CHUNK", 5)
    desk.set_aside(*(b"%d" % n for n in range(40)))
    letters = list(set_aside.read(desk.settings))

    def retry_until_done(_):
        n_settled = 0
        while True:
            try:
                for n in settle(desk.settings, letters, "retried"):
                    n_settled += n
            except DeliveryFailed:
                continue
            return n_settled

    with ThreadPoolExecutor(2) as both:
        list(both.map(retry_until_done, range(2)))

    assert desk.values() == Counter(b"%d" % n for n in range(40))
    assert desk.json("ls") == {}


def test_a_letter_of_a_topic_made_anew_has_no_fate_from_before():
    fate = Fate("dropped", at=3, letter_at=1)

    assert set_aside.fate_of(17, 1, {17: fate}) is fate
    assert set_aside.fate_of(17, 2, {17: fate}) is None


def test_the_fate_of_a_letter_outlives_it():
    assert topics.DEAD_LETTER_FATES.retention == topics.DEAD_LETTERS.retention
    assert dead_letters.original_headers([("ce_id", b"1")]) == [("ce_id", b"1")]


@pytest.mark.integration
def test_what_cannot_be_delivered_holds_no_reader_up(desk, monkeypatch):
    desk.set_aside(b"ada")

    def stuck(producer, outputs, flush):
        publish(producer, outputs, flush)
        assert producer.flush(10) == 0
        raise DeliveryFailed("1 records undelivered")

    monkeypatch.setattr(settle_module, "publish", stuck)
    assert "1 records undelivered" in desk.fails("retry 0")
    monkeypatch.setattr(settle_module, "publish", publish)

    # Its end is written a moment after it is decided; the broker's own patience is twice as long.
    wait_until(lambda: desk.end("read_committed") == desk.end("read_uncommitted") > 0, 5)
    assert desk.run("retry 0") == "retried: 1\n"
    assert desk.values() == {b"ada": 1}
