"""The models that predict serves, on a real broker: the newest good one, whatever is published."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from agents.admin import topic_admin
from agents.deployments.deployed import Deployed
from agents.embedded.kafka import EmbeddedKafka
from agents.kafka.client_settings import KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction import served_models
from agents.prediction.model_feed import ModelFeed
from agents.prediction.served_models import LEARNED_SINCE, ServedModels
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from online_models.learner import Learner
from online_models.signing import Signer, Verifier
from online_models.snapshot import encode
from schemas import topics
from schemas.deployments import Deployment
from tests.agents.outcome_log import FOLD, make_outcomes
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

SIGNER = Signer.generate()
CHAMPION, CHALLENGER = PIPELINE.champion, PIPELINE.challengers[0]
TARGET = PIPELINE.label.target
OUTCOMES = make_outcomes(40)


def learner_after(n: int, name: str = CHAMPION, schema: str = FOLD.schema) -> Learner:
    learner = Learner(name, feature_names=FOLD.names, schema=schema, target=TARGET)
    for offset, outcome in enumerate(OUTCOMES[:n]):
        learner.learn(outcome, offset)
    return learner


def snapshot(n: int, name: str = CHAMPION, *, signer: Signer = SIGNER) -> bytes:
    return encode(learner_after(n, name), signer, at_ms=time.time_ns() // 1_000_000)


class Models:
    """A topic of snapshots, and feeds that follow it."""

    def __init__(self, bootstrap: str, *followed: str) -> None:
        here = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        topic_admin.create(here, [topics.MODELS])
        self.topic = topics.MODELS.named(here.topic_prefix)
        self.kafka = KafkaSettings(bootstrap=bootstrap, group=f"{here.topic_prefix}predict")
        self.metrics = Metrics()
        self.failures: list[BaseException] = []
        verifier = Verifier([SIGNER.public_pem()])
        declared = replace(PIPELINE, champion=followed[0], challengers=followed[1:])
        self.deployed = Deployed(declared)
        self.served = ServedModels(self.deployed, FOLD.schema, TARGET, verifier, self.metrics)
        self.feed = ModelFeed(
            self.kafka,
            self.topic,
            self.served,
            self.metrics,
            on_failure=self.failures.append,
        )
        self._producer = Producer(self.kafka.producer())

    def publish(self, value: bytes | None, name: str = CHAMPION, **headers: bytes) -> None:
        self._producer.produce(
            self.topic,
            value,
            name,
            headers={header.replace("_", "-"): text for header, text in headers.items()},
        )
        assert self._producer.flush(30) == 0

    def start(self) -> ModelFeed:
        self.feed.start()
        assert self.feed.caught_up.wait(20)
        return self.feed

    def stop(self) -> None:
        if self.feed._thread.ident is not None:
            self.feed.stop()

    @property
    def versions(self) -> dict[str, int]:
        return {name: served.version for name, served in self.served.by_name.items()}

    def n(self, result: str, model: str = CHAMPION) -> float:
        return self.metrics.counter(metric_list.SNAPSHOTS, model=model, result=result).value

    @property
    def n_fresh(self) -> int:
        freshness = self.metrics.histogram(metric_list.FRESHNESS_SECONDS, model=CHAMPION)
        return freshness.cumulative()[-1]


@pytest.fixture
def models(kafka: EmbeddedKafka) -> Iterator[Models]:
    made = Models(kafka.bootstrap, CHAMPION, CHALLENGER)
    yield made
    made.stop()


def test_with_no_model_published_the_feed_is_caught_up_all_the_same(models):
    models.start()

    assert models.versions == {}
    assert models.failures == []


def test_the_newest_snapshot_of_each_model_is_loaded_and_no_other(models):
    for n in (10, 20, 30):
        models.publish(snapshot(n), learned_since=b"1700000000000")
    models.publish(snapshot(5, CHALLENGER), CHALLENGER)
    models.start()
    expected = learner_after(30)
    features = dict(zip(FOLD.names, OUTCOMES[35].features, strict=True))

    assert models.versions == {CHAMPION: 30, CHALLENGER: 5}
    assert models.n("loaded") == 1
    served = models.served.by_name[CHAMPION]
    assert served.scorer.score(features) == expected.scorer().score(features)
    assert models.metrics.gauge(metric_list.MODEL_VERSION, model=CHAMPION).value == 30
    assert models.n_fresh == 0  # what was there at the start is no news


def test_models_that_the_pipeline_does_not_name_are_passed_over(kafka):
    models = Models(kafka.bootstrap, CHAMPION)
    models.publish(snapshot(5, CHALLENGER), CHALLENGER)
    models.publish(snapshot(10))
    models.start()
    models.stop()

    assert models.versions == {CHAMPION: 10}


def test_what_is_published_later_is_served_soon(models):
    models.publish(snapshot(10))
    models.publish(snapshot(5, CHALLENGER), CHALLENGER)
    models.start()
    before = models.served.by_name[CHAMPION]
    models.publish(snapshot(20))
    wait_until(lambda: models.versions == {CHAMPION: 20, CHALLENGER: 5})

    assert before.version == 10  # a batch that looked before keeps what it saw
    assert (models.n("loaded"), models.n("loaded", CHALLENGER)) == (2, 1)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: snapshot(20, signer=Signer.generate()),
        lambda: snapshot(20)[:-1] + b"!",
        lambda: snapshot(20, CHALLENGER),
        lambda: encode(learner_after(0, schema="another"), SIGNER, at_ms=0),
        lambda: b"junk",
    ],
    ids=["a stranger's", "tampered", "another model's", "of other features", "junk"],
)
def test_a_refused_snapshot_leaves_the_last_good_one_in_service(
    models, caplog, bad: Callable[[], bytes]
):
    models.publish(snapshot(10))
    models.start()
    models.publish(bad())
    wait_until(lambda: models.n("refused") == 1)
    assert models.versions == {CHAMPION: 10}
    assert f"refused a snapshot of {CHAMPION}" in caplog.text

    models.publish(snapshot(30))
    wait_until(lambda: models.versions == {CHAMPION: 30})
    assert models.failures == []


def test_a_tombstone_leaves_the_last_good_one_in_service(models):
    models.publish(snapshot(10))
    models.start()
    models.publish(None)
    models.publish(snapshot(5, CHALLENGER), CHALLENGER)
    wait_until(lambda: CHALLENGER in models.versions)

    assert models.versions[CHAMPION] == 10


def test_a_snapshot_is_served_once_its_transaction_is_committed(models):
    models.start()
    writer = Producer(models.kafka.transactional_producer(turn=0))
    writer.init_transactions(30)
    for n, end in ((10, writer.abort_transaction), (20, writer.commit_transaction)):
        writer.begin_transaction()
        writer.produce(models.topic, snapshot(n), CHAMPION)
        assert writer.flush(30) == 0
        assert models.versions == {}
        end(30)
    wait_until(lambda: models.versions != {})

    assert models.versions == {CHAMPION: 20}
    assert models.n("loaded") == 1


def test_freshness_is_the_time_since_the_oldest_label_in_a_snapshot_was_known(models):
    models.start()
    assert LEARNED_SINCE == "learned-since"
    models.publish(snapshot(10), learned_since=b"%d" % (time.time() * 1_000 - 5_000))
    wait_until(lambda: models.n_fresh == 1)
    freshness = models.metrics.histogram(metric_list.FRESHNESS_SECONDS, model=CHAMPION)
    assert 5 < freshness.sum < 15

    models.publish(snapshot(20), learned_since=b"long ago")
    models.publish(snapshot(30))
    wait_until(lambda: models.versions == {CHAMPION: 30})
    assert models.n_fresh == 1
    assert models.failures == []


def test_the_age_of_a_model_counts_from_when_its_snapshot_was_written(models):
    models.publish(encode(learner_after(3), SIGNER, at_ms=int(time.time() * 1_000) - 60_000))
    models.start()
    models.served.tell_ages(time.time_ns() // 1_000_000)
    age_s = models.metrics.gauge(metric_list.MODEL_AGE_SECONDS, model=CHAMPION).value

    assert age_s is not None
    assert 60 <= age_s < 80


def test_a_feed_that_breaks_says_so(models, monkeypatch):
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(served_models, "decode_servable", breaks)
    models.publish(snapshot(10))
    models.feed.start()
    wait_until(lambda: models.failures != [])

    assert str(models.failures[0]) == "out of order"


def promote(models: Models, model: str, version: int | None, offset: int) -> None:
    registry = models.deployed.registry
    event = Deployment(
        kind="promoted",
        use_case=PIPELINE.use_case,
        model=model,
        version=version,
        at=0,
        by="ada",
        expects=registry.offset,
        replaces=models.deployed.roles.champion,
    )
    models.deployed.follow(registry.fold(event, offset))


def test_a_version_is_looked_up_when_it_comes_into_use_and_leaves_when_nobody_needs_it(models):
    version = f"{CHALLENGER}@5"
    models.publish(snapshot(10))
    models.publish(snapshot(5, CHALLENGER), version)
    models.publish(snapshot(8, CHALLENGER), CHALLENGER)
    models.start()
    at_first = models.versions
    promote(models, CHALLENGER, 5, offset=0)
    wait_until(lambda: version in models.versions)
    while_champion = models.versions
    promote(models, CHAMPION, None, offset=1)
    promote(models, CHALLENGER, None, offset=2)
    wait_until(lambda: version not in models.versions)

    assert at_first == models.versions == {CHAMPION: 10, CHALLENGER: 8}
    assert while_champion == {CHAMPION: 10, CHALLENGER: 8, version: 5}
    assert (models.n("loaded"), models.n("loaded", CHALLENGER)) == (1, 1)  # nothing came again
    assert models.n("loaded", version) == 1
    assert f'thalweg_model_version{{model="{version}"}}' not in models.metrics.samples()


def test_a_version_that_is_published_after_it_came_into_use_is_loaded_then(models):
    version = f"{CHALLENGER}@5"
    models.start()
    promote(models, CHALLENGER, 5, offset=0)
    models.publish(snapshot(10))
    wait_until(lambda: models.versions == {CHAMPION: 10})
    models.publish(snapshot(8, CHALLENGER), version)  # of another moment than its name says
    models.publish(snapshot(5, CHALLENGER), version)
    wait_until(lambda: version in models.versions)

    assert models.versions == {CHAMPION: 10, version: 5}
