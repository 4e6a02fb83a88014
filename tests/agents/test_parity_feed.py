"""The comparison on real topics: what the metrics say of what stands there."""

import uuid

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from faust.types.tuples import TP

from agents.admin import topic_admin
from agents.kafka.batch import Output
from agents.kafka.client_settings import KafkaSettings
from agents.observability.metrics import Metrics
from agents.parity_feed import ParityFeed
from agents.settings import Settings
from agents.testing import MemoryRecord
from agents.verdicts import Verdicts
from schemas import dead_letters, topics
from tests.agents.test_parity import ALL_USERS, place, served
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


encoded = msgspec.msgpack.Encoder().encode


class Line:
    """An environment of its own with what a driver served in it."""

    def __init__(self, settings):
        self.settings = settings
        self.kafka = KafkaSettings(bootstrap=settings.kafka_bootstrap, group="parity")
        self.predict = f"{settings.topic_prefix}predict"
        self.metrics = Metrics()
        self.failures = []

    def named(self, topic):
        return topic.named(self.settings.topic_prefix)

    def publish(self, records):
        producer = Producer(self.kafka.producer())
        for record in records:
            topic = self.settings.topic_prefix + record.topic()
            producer.produce(
                topic,
                record.value(),
                record.key(),
                record.partition(),
                headers=record.headers(),
                timestamp=record.timestamp()[1],
            )
        assert producer.flush(30) == 0

    def decide(self, driver):
        """Set aside what the driver set aside, and commit all events."""
        events = self.named(topics.USER_EVENTS).encode()
        strange = [[(dead_letters.TOPIC, events)], [(dead_letters.TOPIC, events), ("offset", b"x")]]
        for headers in (*strange, *(each.headers() for each in driver.read(topics.DEAD_LETTERS))):
            renamed = [
                (name, events if name == dead_letters.TOPIC else value) for name, value in headers
            ]
            producer = Producer(self.kafka.producer())
            producer.produce(self.named(topics.DEAD_LETTERS), b"", b"", headers=renamed)
            assert producer.flush(30) == 0
        member = Consumer({**self.kafka.reader(), "group.id": self.predict})
        ends = [
            TopicPartition(self.named(topics.USER_EVENTS), partition, 1_000_000)
            for partition in range(self.settings.partitions)
        ]
        member.commit(offsets=ends, asynchronous=False)
        member.close()

    def feed(self):
        return ParityFeed(
            self.kafka,
            ALL_USERS,
            self.metrics,
            events=self.named(topics.USER_EVENTS),
            outcomes=self.named(topics.OUTCOMES),
            verdicts=lambda: Verdicts(
                self.kafka,
                group=self.predict,
                events=self.named(topics.USER_EVENTS),
                dead_letters=self.named(topics.DEAD_LETTERS),
            ),
            on_failure=self.failures.append,
        )

    def counted(self, name):
        """Add up a counter, over its labels."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"thalweg_parity_{name}_total"
        )


@pytest.fixture
def line(kafka):
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-", partitions=2
    )
    topic_admin.create(settings)
    return Line(settings)


def test_metrics_tell_how_much_is_compared_and_what_differs(line, monkeypatch):
    driver = served(seed=8, only_named=True)  # other ids hold the topic's full name
    outcomes = driver.read(topics.OUTCOMES)
    feed = line.feed()
    feed.start()
    line.publish(driver.read(topics.USER_EVENTS))
    line.publish(outcomes)
    line.decide(driver)
    wait_until(lambda: line.counted("compared") >= len(outcomes), 30)
    # Before that, the events of outcomes may have been still on their way for longer.
    monkeypatch.setattr("agents.parity_feed.SLACK_S", 0.5)
    stranger = msgspec.structs.replace(driver.outcomes[0], prediction_id="purchase-intent:nobody")
    output = Output("outcomes", encoded(stranger), b"u", 0, None)
    line.publish([MemoryRecord(TP("outcomes", 0), 0, output, 0)])
    wait_until(lambda: line.counted("extra") == 1, 30)
    feed.stop()

    assert line.failures == []
    assert (line.counted("compared"), line.counted("mismatches")) == (len(outcomes), 0)


def test_a_log_without_its_beginning_is_not_compared(line, caplog):
    driver = served(seed=9)
    line.publish(driver.read(topics.USER_EVENTS))
    admin = AdminClient(line.kafka.client())
    cut = [TopicPartition(line.named(topics.USER_EVENTS), 0, 5)]
    for deleted in admin.delete_records(cut).values():
        deleted.result(30)
    feed = line.feed()
    feed.start()
    wait_until(lambda: "parity is not measured" in caplog.text, 30)
    feed.stop()

    assert line.failures == []


def test_a_broker_that_cannot_tell_yet_is_asked_again(line, monkeypatch, caplog):
    """The leaders of topics that were just made are not known for a moment."""
    real, failures = ParityFeed._assign, [KafkaError.NOT_LEADER_FOR_PARTITION]

    def assign(feed, consumer, verdicts):
        if failures:
            raise KafkaException(KafkaError(failures.pop()))
        return real(feed, consumer, verdicts)

    monkeypatch.setattr(ParityFeed, "_assign", assign)
    driver = served(seed=10, only_named=True)
    line.publish(driver.read(topics.USER_EVENTS))
    line.publish(driver.read(topics.OUTCOMES))
    line.decide(driver)
    feed = line.feed()
    feed.start()
    wait_until(lambda: line.counted("compared") == len(driver.outcomes), 30)
    feed.stop()

    assert line.failures == []
    assert "parity is not measured yet" in caplog.text


def test_what_predict_set_aside_is_not_compared_and_what_is_undecided_waits(line):
    """Read later, an event from a clock that is ahead looks as good as any."""
    driver = served(seed=11, only_named=True, hurries=True)
    aside = {place(letter) for letter in driver.read(topics.DEAD_LETTERS)}
    feed = line.feed()
    line.publish(driver.read(topics.USER_EVENTS))
    line.publish(driver.read(topics.OUTCOMES))
    feed.start()
    wait_until(lambda: feed.n_waiting == len(driver.read(topics.USER_EVENTS)), 30)
    assert line.counted("compared") == 0

    line.decide(driver)
    wait_until(lambda: line.counted("compared") == len(driver.outcomes), 30)
    feed.stop()

    assert line.failures == []
    assert len(aside) > 1
    assert (line.counted("mismatches"), line.counted("missing")) == (0, 0)
