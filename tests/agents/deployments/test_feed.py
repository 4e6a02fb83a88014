"""Workers that follow the log of deployments, on a real broker."""

import uuid
from collections.abc import Iterable, Iterator
from functools import partial

import msgspec
import pytest
from confluent_kafka import Producer

from agents.admin import topic_admin
from agents.deployments import decisions, feed, log
from agents.deployments.deployed import Deployed
from agents.deployments.feed import DeploymentFeed
from agents.embedded.kafka import EmbeddedKafka
from agents.kafka.client_settings import KafkaSettings
from agents.pipeline import Pipeline
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.deployments import Deployment
from schemas.errors import DeliveryFailed
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

CHAMPION, CHALLENGER = PIPELINE.champion, PIPELINE.challengers[0]


class Log:
    """A log of deployments, and processes that follow it."""

    def __init__(self, bootstrap: str) -> None:
        self.settings = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        topic_admin.create(self.settings, [topics.DEPLOYMENTS])
        self.topic = topics.DEPLOYMENTS.named(self.settings.topic_prefix)
        self.kafka = KafkaSettings(bootstrap=bootstrap, group=self.topic)
        self.failures: list[BaseException] = []
        self.feeds: list[DeploymentFeed] = []

    def follow(self, pipeline: Pipeline = PIPELINE) -> Deployed:
        deployed = Deployed(pipeline)
        made = DeploymentFeed(self.kafka, self.topic, deployed, on_failure=self.failures.append)
        self.feeds.append(made)
        made.start()
        return deployed

    def promote(self, model: str) -> log.Entry:
        registry = log.read(self.settings, PIPELINE.use_case).registry
        event = decisions.promotion(PIPELINE, registry, model, at=0, by="ada", why="tests")
        return log.append(self.settings, event, "/test")

    def roll_back(self) -> log.Entry:
        registry = log.read(self.settings, PIPELINE.use_case).registry
        event = decisions.rollback(PIPELINE, registry, at=0, by="ada", why="tests")
        return log.append(self.settings, event, "/test")

    def write(self, *values: bytes | None) -> None:
        producer = Producer(self.kafka.producer())
        for value in values:
            producer.produce(self.topic, value, b"")
        assert producer.flush(30) == 0


@pytest.fixture
def deployments(kafka: EmbeddedKafka) -> Iterator[Log]:
    made = Log(kafka.bootstrap)
    yield made
    for each in made.feeds:
        each.stop()
    assert made.failures == []


def all_follow(followers: Iterable[Deployed], champion: str) -> bool:
    return {each.roles.champion for each in followers} == {champion}


def test_with_an_empty_log_the_declared_champion_stays(deployments):
    deployed = deployments.follow()

    assert (deployed.roles.champion, deployed.roles.challengers) == (CHAMPION, (CHALLENGER,))


def test_all_follow_and_who_starts_later_knows_at_once(deployments):
    early = [deployments.follow() for _ in range(3)]
    for decide, expected in (
        (lambda: deployments.promote(CHALLENGER), CHALLENGER),
        (deployments.roll_back, CHAMPION),
        (deployments.roll_back, CHALLENGER),
    ):
        assert decide().refusal is None
        wait_until(partial(all_follow, early, expected))
        late = deployments.follow()

        assert late.roles.champion == expected
        assert late.registry == early[0].registry


def test_garbage_and_other_use_cases_are_passed_over(deployments):
    promoted = deployments.promote(CHALLENGER)
    deployments.write(None, b"", b"{", b"[]", b'{"kind": "promoted"}', b"\xff")
    stranger = msgspec.structs.replace(promoted.event, use_case="fraud", model=CHAMPION)
    unknown = msgspec.structs.replace(promoted.event, kind="exposed", model=CHAMPION)
    nobody = msgspec.structs.replace(promoted.event, model="@", expects=10**9)
    deployments.write(*map(msgspec.json.encode, (stranger, unknown, nobody)))
    deployed = deployments.follow()

    assert deployed.roles.champion == CHALLENGER
    assert [
        entry.event.kind for entry in log.read(deployments.settings, "purchase-intent").entries
    ] == [*("promoted", "exposed", "promoted")]


def test_a_decision_counts_once_its_transaction_is_committed(deployments):
    deployed = deployments.follow()
    event = Deployment(
        kind="promoted",
        use_case=PIPELINE.use_case,
        model=CHALLENGER,
        at=0,
        by="learn",
        replaces=CHAMPION,
    )
    writer = Producer(deployments.kafka.transactional_producer(turn=0))
    writer.init_transactions(30)
    for end in (writer.abort_transaction, writer.commit_transaction):
        writer.begin_transaction()
        writer.produce(deployments.topic, msgspec.json.encode(event), b"", 0)
        assert writer.flush(30) == 0
        assert deployed.roles.champion == CHAMPION
        end(30)
    wait_until(lambda: deployed.roles.champion == CHALLENGER)

    assert deployments.roll_back().refusal is None
    wait_until(lambda: deployed.roles.champion == CHAMPION)


def test_a_feed_of_a_topic_that_is_not_there_says_so(deployments, monkeypatch):
    monkeypatch.setattr(feed, "START_TIMEOUT_S", 0.5)
    nowhere = DeploymentFeed(
        deployments.kafka,
        f"{deployments.topic}-not",
        Deployed(PIPELINE),
        on_failure=deployments.failures.append,
    )
    deployments.feeds.append(nowhere)

    with pytest.raises(DeliveryFailed, match="who serves is not known"):
        nowhere.start()
