"""The one writer of every model: what it publishes, and how its successor goes on from there."""

import asyncio
import itertools
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from faust.types.tuples import TP

from agents import learn
from agents.admin import topic_admin, topic_reader
from agents.kafka.app import App
from agents.kafka.batch import Batch, Headers
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.learning.publication import CHALLENGER_INTERVAL_S, CHAMPION_INTERVAL_S
from agents.learning.training import Publish, Training
from agents.observability import metric_list
from agents.observability.learner_metrics import LearnerMetrics
from agents.observability.metrics import Metrics
from agents.outcome_log import KafkaOutcomeLog
from agents.prediction.served_models import LEARNED_SINCE
from agents.serving.samples import parse
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from online_models import chunks
from online_models.learner import Learner
from online_models.signing import Signer, Verifier
from online_models.snapshot import decode, encode, environment_of
from schemas import topics
from schemas.errors import DeliveryFailed, TooManyDeadLetters
from schemas.outcomes import Outcome
from streams.dead_letter_share import WINDOW
from tests.agents.outcome_log import FEATURES, FOLD, make_outcomes
from tests.agents.record import PUBLISHED_MS, Record, batch
from tests.waiting import wait_until

SIGNER = Signer.generate()
VERIFIER = Verifier([SIGNER.public_pem()])
CHAMPION, CHALLENGER = PIPELINE.champion, PIPELINE.challengers[0]
TARGET = PIPELINE.label.target
N_OUTCOMES = 400
BATCH = 40
NOWHERE = KafkaSettings(bootstrap="127.0.0.1:1", group="learn")

Log = list[tuple[int, bytes]]


def training_on(
    kafka: KafkaSettings = NOWHERE,
    *,
    outcomes: str = "outcomes",
    metrics: Metrics | None = None,
    dead_letter_limit: float = 1.0,
    stopwatch: Callable[[], float] = lambda: 0.0,
) -> Training:
    return Training(
        PIPELINE,
        FEATURES,
        KafkaOutcomeLog(kafka, outcomes),
        models="models",
        dead_letters="dead-letters",
        signer=SIGNER,
        verifier=VERIFIER,
        metrics=metrics or Metrics(),
        dead_letter_limit=dead_letter_limit,
        stopwatch=stopwatch,
    )


def new_learners() -> dict[str, Learner]:
    return {
        name: Learner(name, feature_names=FOLD.names, schema=FOLD.schema, target=TARGET)
        for name in (CHAMPION, CHALLENGER)
    }


def outcomes_at(log: Iterable[tuple[int, bytes]], published_ms: int = PUBLISHED_MS) -> Batch:
    records = [Record(value, offset=at, published_ms=published_ms) for at, value in log]
    return batch(records, topic="outcomes")


def packed(n: int) -> Log:
    return list(enumerate(map(msgspec.msgpack.encode, make_outcomes(n))))


def published(step: Batch) -> dict[str, bytes]:
    return {(output.key or b"").decode(): output.value or b"" for output in step.outputs}


def told(metrics: Metrics, name: str, **labels: str) -> float:
    wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return metrics.samples().get(f"{name}{{{wanted}}}", 0.0)


# ---- a successor, on a real broker ---------------------------------------------------------------


class OutcomesOnKafka:
    """The log on `outcomes`, in transactions as predict writes it, and a group that reads it."""

    def __init__(self, bootstrap: str) -> None:
        self.settings = Settings(kafka_bootstrap=bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
        self.topic = topics.OUTCOMES.named(self.settings.topic_prefix)
        topic_admin.create(self.settings, [topics.OUTCOMES])
        kafka = KafkaSettings(bootstrap=bootstrap, group=self.topic)
        producer = Producer(kafka.transactional_producer(turn=0))
        producer.init_transactions(30)
        values = [value for _, value in packed(N_OUTCOMES)]
        for start in range(0, N_OUTCOMES, BATCH):
            producer.begin_transaction()
            for value in values[start : start + BATCH]:
                producer.produce(self.topic, value)
            producer.flush(30)
            producer.commit_transaction(30)
        self.log: Log = [
            (offset, value or b"") for offset, _, value in read_to_end(kafka, TP(self.topic, 0))
        ]
        self.batches = [self.log[at : at + BATCH] for at in range(0, N_OUTCOMES, BATCH)]

    def training(self, committed: int, *, metrics: Metrics | None = None) -> Training:
        """Make the learner of a group that has committed an offset."""
        kafka = KafkaSettings(bootstrap=self.settings.kafka_bootstrap, group=uuid.uuid4().hex)
        self.commit(kafka.group, committed)
        return training_on(kafka, outcomes=self.topic, metrics=metrics)

    def commit(self, group: str, offset: int) -> None:
        """Let a group have processed what is before an offset."""
        bootstrap = self.settings.kafka_bootstrap
        member = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
        member.commit(offsets=[TopicPartition(self.topic, 0, offset)], asynchronous=False)
        member.close()


@pytest.fixture(scope="module")
def on_kafka(kafka):
    return OutcomesOnKafka(kafka.bootstrap)


def restore(training: Training, snapshots: dict[str, bytes]) -> None:
    restoring = training.begin_restore(0)
    for name, blob in snapshots.items():
        restoring.restore(name.encode(), blob)
    restoring.complete()
    training.install(0, restoring)
    while training.late.learners:
        if (gap := training.late.gap()) is not None:
            training.late.fill(gap, training.outcomes(gap))
        training.teach_late(lambda: True, 1_000)


def same_models(found: Training, expected: Training, later: Log) -> bool:
    """Tell whether two trainings are the same to the last bit, by what they do from here on."""
    for name, learner in expected.learners.items():
        other = found.learners[name]
        if other.progress != learner.progress:
            return False
        for offset, value in later:
            outcome = msgspec.msgpack.decode(value, type=Outcome)
            if other.learn(outcome, offset) != learner.learn(outcome, offset):
                return False
            features = dict(zip(FOLD.names, outcome.features, strict=True))
            if other.scorer().score(features) != learner.scorer().score(features):
                return False
    return True


@pytest.mark.integration
@pytest.mark.parametrize("n_batches", [1, 4, 9])
def test_a_successor_goes_on_as_if_its_predecessor_had_never_died(on_kafka, n_batches):
    predecessor = training_on()
    predecessor.learners = new_learners()
    snapshots: dict[str, bytes] = {}
    for n, log in enumerate(on_kafka.batches[:n_batches]):
        step = outcomes_at(log)
        predecessor.learn(step, PUBLISHED_MS)
        predecessor.publish_due(step, 1_000 + n * 0.3, PUBLISHED_MS)
        snapshots |= published(step)
    end = on_kafka.batches[n_batches - 1][-1][0] + 1
    # Learned, but not committed before the end came:
    predecessor_lost = outcomes_at(on_kafka.batches[n_batches])
    uninterrupted = training_on()
    uninterrupted.learners = new_learners()
    for log in on_kafka.batches[:n_batches]:
        uninterrupted.learn(outcomes_at(log), PUBLISHED_MS)
    predecessor.learn(predecessor_lost, PUBLISHED_MS)
    successor = on_kafka.training(committed=end)
    restore(successor, snapshots)

    behind = {
        name: decode(blob, VERIFIER, model=name, schema=FOLD.schema, target=TARGET)
        for name, blob in snapshots.items()
    }
    assert behind[CHALLENGER].manifest.n_learned == BATCH  # the rest comes from the log
    assert {learner.n_learned for learner in successor.learners.values()} == {n_batches * BATCH}
    assert same_models(successor, uninterrupted, on_kafka.batches[n_batches])


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["none", "strangers", "tampered", "of another model", "deleted"])
def test_without_a_snapshot_to_trust_a_model_learns_the_whole_log_again_and_says_so(
    on_kafka, caplog, kind
):
    metrics = Metrics()
    trained = training_on()
    trained.learners = new_learners()
    for log in on_kafka.batches[:3]:
        trained.learn(outcomes_at(log), PUBLISHED_MS)
    good = {name: encode(learner, SIGNER, at_ms=0) for name, learner in trained.learners.items()}
    bad: dict[str, bytes] = {
        "none": {},
        "strangers": {CHAMPION: encode(trained.learners[CHAMPION], Signer.generate(), at_ms=0)},
        "tampered": {CHAMPION: good[CHAMPION][:-1] + b"!"},
        "of another model": {CHAMPION: good[CHALLENGER]},
        "deleted": {CHAMPION: cast(Any, None)},
    }[kind]
    snapshots = {CHALLENGER: good[CHALLENGER]} | bad
    successor = on_kafka.training(committed=on_kafka.batches[2][-1][0] + 1, metrics=metrics)
    restore(successor, snapshots)

    is_refused = kind not in ("none", "deleted")
    assert ("cannot go on from the snapshot of " + CHAMPION in caplog.text) == is_refused
    n_refused = told(metrics, "thalweg_snapshots_total", model=CHAMPION, result="refused")
    assert n_refused == is_refused
    assert same_models(successor, trained, on_kafka.batches[3])


@pytest.mark.integration
def test_a_group_that_never_committed_starts_with_untaught_models(on_kafka):
    kafka = KafkaSettings(bootstrap=on_kafka.settings.kafka_bootstrap, group=uuid.uuid4().hex)
    training = training_on(kafka, outcomes=on_kafka.topic)
    restore(training, {})

    assert {name: each.n_learned for name, each in training.learners.items()} == {
        CHAMPION: 0,
        CHALLENGER: 0,
    }


def publish_into(found: dict[str, bytes]) -> Publish:
    def publish(topic: str, value: bytes, key: bytes, headers: Headers | None) -> None:
        assert topic == "models"
        assert key.decode() not in found
        found[key.decode()] = value

    return publish


@pytest.mark.integration
def test_what_is_learned_again_is_published_once_and_only_what_is_news(on_kafka):
    trained = training_on()
    trained.learners = new_learners()
    for log in on_kafka.batches[:3]:
        trained.learn(outcomes_at(log), PUBLISHED_MS)
    good = encode(trained.learners[CHALLENGER], SIGNER, at_ms=0)
    successor = on_kafka.training(committed=on_kafka.batches[2][-1][0] + 1)
    restore(successor, {CHALLENGER: good})
    found: dict[str, bytes] = {}
    for elapsed_s in (1_000, 1_001):
        successor.publish_learned_again(publish_into(found), elapsed_s, PUBLISHED_MS)

    assert set(found) == {CHAMPION}
    snapshot = decode(
        found[CHAMPION], VERIFIER, model=CHAMPION, schema=FEATURES.schema, target=TARGET
    )
    assert snapshot.learner.progress == trained.learners[CHAMPION].progress
    assert successor.due_in_s(CHAMPION, 1_000) == CHAMPION_INTERVAL_S


@pytest.mark.integration
@pytest.mark.parametrize("then", ["an outcome comes", "the log is lost"])
def test_what_is_learned_again_is_not_published_beside_a_batch_or_a_new_owner(on_kafka, then):
    """A batch would not be committed yet; a new owner may have published newer snapshots."""
    successor = on_kafka.training(committed=on_kafka.batches[2][-1][0] + 1)
    restore(successor, {})
    step = outcomes_at(on_kafka.batches[3])
    if then == "an outcome comes":
        successor.learn(step, PUBLISHED_MS)
    else:
        successor.discard(0)
    found: dict[str, bytes] = {}
    successor.publish_learned_again(publish_into(found), 1_000, PUBLISHED_MS)
    successor.publish_due(step, 1_000, PUBLISHED_MS)

    assert found == {}
    assert set(published(step)) == ({CHAMPION, CHALLENGER} if then == "an outcome comes" else set())


@pytest.mark.integration
def test_a_worker_waits_for_no_outcome_to_publish_what_it_learned_again(kafka, tmp_path):
    """After a change of keys, say: until the next outcome every prediction would lack a model."""
    on_kafka = OutcomesOnKafka(kafka.bootstrap)
    settings = on_kafka.settings
    topic_admin.create(
        settings, [topics.MODELS, topics.DEPLOYMENTS, topics.TELEMETRY, topics.DEAD_LETTERS]
    )
    on_kafka.commit(f"{settings.topic_prefix}learn", on_kafka.log[-1][0] + 1)
    (tmp_path / "signing.key").write_bytes(SIGNER.to_pem())
    (tmp_path / "signing.pem").write_bytes(SIGNER.public_pem())

    def snapshots() -> dict[str, bytes]:
        models = topics.MODELS.named(settings.topic_prefix)
        return {
            (message.key() or b"").decode(): message.value() or b""
            for message in topic_reader.read_to_end(settings, models)
        }

    with subprocess.Popen(
        [sys.executable, "-m", "agents.cli", "worker", "learn"],
        env=os.environ
        | {
            "THALWEG_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "THALWEG_TOPIC_PREFIX": settings.topic_prefix,
            "THALWEG_SIGNING_KEY_FILE": str(tmp_path / "signing.key"),
            "THALWEG_TRUSTED_KEYS_DIR": str(tmp_path),
            "THALWEG_METRICS_PORT": "0",
        },
    ) as worker:
        try:
            wait_until(lambda: len(snapshots()) == 2, 120, every_s=0.5)
        finally:
            worker.kill()

    for name, blob in snapshots().items():
        manifest = decode(
            blob,
            VERIFIER,
            model=name,
            schema=FEATURES.schema,
            target=TARGET,
            environment=environment_of(settings.topic_prefix, PIPELINE.use_case),
        ).manifest
        assert (manifest.n_learned, manifest.through) == (N_OUTCOMES, on_kafka.log[-1][0])


# ---- what is published, and when -----------------------------------------------------------------


def test_each_model_is_published_when_it_learned_and_its_interval_is_over():
    training = training_on()
    training.learners = new_learners()
    log = packed(200)
    names = []
    for n in range(20):
        step = outcomes_at(log[n * 10 : n * 10 + 10])
        training.learn(step, PUBLISHED_MS)
        training.publish_due(step, 1_000 + n * 0.2, PUBLISHED_MS)
        names.append(set(published(step)))

    assert names[0] == {CHAMPION, CHALLENGER}
    assert [n for n, each in enumerate(names) if CHAMPION in each] == list(range(0, 20, 3))
    assert [n for n, each in enumerate(names) if CHALLENGER in each] == [0]
    assert training.due_in_s(CHALLENGER, 1_004) == pytest.approx(CHALLENGER_INTERVAL_S - 4)


def test_nothing_is_published_that_has_learned_nothing_since():
    training = training_on()
    training.learners = new_learners()
    step = outcomes_at(packed(10))
    training.learn(step, PUBLISHED_MS)
    training.publish_due(step, 1_000, PUBLISHED_MS)
    idle = outcomes_at([])
    training.publish_due(idle, 2_000, PUBLISHED_MS)

    assert set(published(step)) == {CHAMPION, CHALLENGER}
    assert idle.outputs == []
    assert training.champion_due_in_s(2_000) == 0


def test_a_snapshot_says_since_when_the_oldest_label_in_it_was_known():
    training = training_on()
    training.learners = new_learners()
    log = packed(50)
    since = []
    for n in range(5):
        step = outcomes_at(log[n * 10 : n * 10 + 10], published_ms=PUBLISHED_MS + n)
        training.learn(step, PUBLISHED_MS)
        training.publish_due(step, 1_000 + n * 0.3, PUBLISHED_MS)
        since += [
            dict(output.headers or ())[LEARNED_SINCE]
            for output in step.outputs
            if output.key == CHAMPION.encode()
        ]

    assert since == [b"%d" % (PUBLISHED_MS + n) for n in (0, 1, 3)]


def test_a_snapshot_is_the_model_as_it_was_after_its_batch():
    training = training_on()
    training.learners = new_learners()
    step = outcomes_at(packed(30))
    training.learn(step, PUBLISHED_MS)
    training.publish_due(step, elapsed_s=1_000, now_ms=PUBLISHED_MS + 7)
    (output,) = [output for output in step.outputs if output.key == CHAMPION.encode()]
    snapshot = decode(
        output.value or b"", VERIFIER, model=CHAMPION, schema=FOLD.schema, target=TARGET
    )

    assert (output.topic, output.partition) == ("models", 0)
    assert (snapshot.manifest.version, snapshot.manifest.through) == (30, 29)
    assert snapshot.manifest.created_at == PUBLISHED_MS + 7


def test_a_batch_delivered_again_teaches_nothing_twice():
    training = training_on()
    training.learners = new_learners()
    log = packed(30)
    training.learn(outcomes_at(log[:20]), PUBLISHED_MS)
    training.learn(outcomes_at(log), PUBLISHED_MS)

    assert training.learners[CHAMPION].n_learned == 30


def test_who_lost_the_log_publishes_nothing_of_it_any_more():
    """The batch it was waiting with may be dropped at any moment while it waits."""
    training = training_on()
    training.learners = new_learners()
    log = packed(20)
    for n in range(2):
        step = outcomes_at(log[n * 10 : n * 10 + 10])
        training.learn(step, PUBLISHED_MS)
        training.publish_due(step, 1_000 + n * 0.1, PUBLISHED_MS)
    assert training.champion_due_in_s(1_000.1) == pytest.approx(CHAMPION_INTERVAL_S - 0.1)

    training.discard(0)
    step.emitted.clear()
    training.publish_due(step, 2_000, PUBLISHED_MS)

    assert step.outputs == []
    assert training.champion_due_in_s(1_000.1) == 0


def test_what_is_no_outcome_is_set_aside_and_the_rest_is_learned():
    metrics = Metrics()
    training = training_on(metrics=metrics)
    training.learners = new_learners()
    log = packed(10)
    log[4] = (4, b"no outcome")
    step = outcomes_at(log)
    training.learn(step, PUBLISHED_MS)

    (letter,) = step.outputs
    assert (letter.topic, letter.value) == ("dead-letters", b"no outcome")
    headers = dict(letter.headers or ())
    assert headers["__streams.errors.offset"] == b"4"
    assert (headers["ce_type"], headers["ce_id"]) == (b"thalweg.dead-letter", b"outcomes-0-4")
    assert headers["ce_source"] == b"/thalweg/learn"
    assert training.learners[CHAMPION].n_learned == 9
    assert told(metrics, "thalweg_dead_letters_total", reason="invalid_field") == 1


def test_a_log_of_which_most_is_no_outcome_ends_the_worker():
    training = training_on(dead_letter_limit=0.5)
    training.learners = new_learners()
    garbage = [(offset, b"no outcome") for offset in range(WINDOW)]

    with pytest.raises(TooManyDeadLetters, match="outcomes-0"):
        training.learn(outcomes_at(garbage), PUBLISHED_MS)


def test_a_model_that_raises_holds_no_other_up_and_is_told_of(caplog, monkeypatch):
    metrics = Metrics()
    training = training_on(metrics=metrics)
    training.learners = new_learners()
    challenger = type(training.learners[CHALLENGER]._estimator)

    def buggy(*_: object) -> None:
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr(challenger, "learn_one", buggy)
    training.learn(outcomes_at(packed(10)), PUBLISHED_MS)
    training.tell()
    training.tell()

    assert training.learners[CHAMPION].n_learned == 10
    assert told(metrics, "thalweg_model_skipped_outcomes", model=CHALLENGER) == 10
    assert told(metrics, "thalweg_model_skipped_outcomes", model=CHAMPION) == 0
    assert caplog.text.count("makes it raise: ZeroDivisionError: no luck") == 1


def test_what_is_learned_without_its_weight_is_told_of():
    metrics = Metrics()
    weighed = [msgspec.structs.replace(each, weight=5.0) for each in make_outcomes(10)]
    learners = [
        Learner(name, feature_names=FEATURES.names, schema=FEATURES.schema, target=TARGET)
        for name in ("binary_neighbours_v1", CHAMPION)
    ]
    for learner in learners:
        for offset, outcome in enumerate(weighed):
            learner.learn(outcome, offset)
    LearnerMetrics(metrics).tell(learners)

    name = "thalweg_model_unweighted_outcomes"
    assert told(metrics, name, model="binary_neighbours_v1") == 10
    assert told(metrics, name, model=CHAMPION) == 0


def test_outcomes_that_come_before_the_learners_are_not_passed_over():
    with pytest.raises(DeliveryFailed):
        training_on().learn(outcomes_at(packed(1)), PUBLISHED_MS)


def test_a_snapshot_that_is_too_large_to_carry_is_told_of_and_not_published(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_BYTES", 100)
    metrics = Metrics()
    training = training_on(metrics=metrics)
    training.learners = new_learners()
    step = outcomes_at(packed(10))
    training.learn(step, PUBLISHED_MS)
    training.publish_due(step, 1_000, PUBLISHED_MS)

    assert step.outputs == []
    assert told(metrics, "thalweg_snapshots_total", model=CHAMPION, result="too_large") == 1


async def test_the_last_outcomes_before_a_quiet_time_wait_for_their_snapshot():
    training = training_on()
    training.learners = new_learners()
    app = App("learn", NOWHERE)
    learn.build(app, "outcomes", training)
    (agent,) = app.agents.values()
    log = packed(20)
    first, last = outcomes_at(log[:10]), outcomes_at(log[10:])
    async with agent.test_context() as running:
        await running.put(first)
        await running.put(last)

    assert set(published(first)) == {CHAMPION, CHALLENGER}
    assert set(published(last)) == {CHAMPION}


async def test_a_champion_that_is_dear_to_write_holds_no_batch_up_and_goes_out_beside_it():
    """Of the work of writing one snapshot follows that the next one has to wait."""
    seconds = itertools.count()
    training = training_on(stopwatch=lambda: float(next(seconds)))
    training.learners = new_learners()
    app = App("learn", NOWHERE)
    learn.build(app, "outcomes", training)
    (agent,) = app.agents.values()
    log = packed(20)
    first, last = outcomes_at(log[:10]), outcomes_at(log[10:])
    began_at_s = time.monotonic()
    async with agent.test_context() as running:
        await running.put(first)
        await running.put(last)
    found: dict[str, bytes] = {}
    for later_s in (39, 60, 80):
        training.publish_news(publish_into(found), began_at_s + later_s, PUBLISHED_MS)

    assert set(published(first)) == {CHAMPION, CHALLENGER}
    assert published(last) == {}
    manifests = [
        decode(found[name], VERIFIER, model=name, schema=FOLD.schema, target=TARGET).manifest
        for name in (CHAMPION, CHALLENGER)
    ]
    assert [manifest.n_learned for manifest in manifests] == [20, 20]


def test_who_lost_the_log_tells_nothing_of_its_models_any_more():
    """Two who tell figures of one model look like a model that begins anew each second."""
    metrics = Metrics()
    training = training_on(metrics=metrics)
    training.learners = new_learners()
    step = outcomes_at(packed(200))
    training.learn(step, PUBLISHED_MS)
    training.publish_due(step, 1_000, PUBLISHED_MS)
    training.tell()
    before = metrics.samples()
    training.discard(0)
    training.tell()

    gone = {parse(sample).name for sample in before.keys() - metrics.samples().keys()}
    left = {name for name in metrics.samples() if name.startswith(("thalweg_model_", "thalweg_sn"))}
    assert {metric_list.MODEL_WINDOW_ROC_AUC.name, metric_list.MODEL_WINDOW_OUTCOMES.name} <= gone
    assert {parse(name).name for name in left} == {
        metric_list.MODEL_LEARNED.name,
        metric_list.SNAPSHOTS.name,
    }


async def test_a_wall_clock_that_is_set_back_lets_no_snapshot_wait(monkeypatch):
    clock = itertools.count(PUBLISHED_MS * 1_000_000, -600 * 1_000_000_000)
    set_back = SimpleNamespace(
        monotonic=time.monotonic, time_ns=clock.__next__, time=lambda: next(clock) / 1e9
    )
    monkeypatch.setattr(learn, "time", set_back)
    training = training_on()
    training.learners = new_learners()
    app = App("learn", NOWHERE)
    learn.build(app, "outcomes", training)
    (agent,) = app.agents.values()
    log = packed(20)
    first, last = outcomes_at(log[:10]), outcomes_at(log[10:])
    async with asyncio.timeout(60), agent.test_context() as running:
        await running.put(first)
        await running.put(last)

    assert set(published(last)) == {CHAMPION}


def test_what_is_told_of_models_only_grows_though_a_restore_takes_outcomes_back():
    metrics = Metrics()
    training = training_on(metrics=metrics)
    training.learners = new_learners()
    training.learn(outcomes_at(packed(30)), PUBLISHED_MS)
    training.tell()
    training.tell()
    learned = metrics.counter(metric_list.MODEL_LEARNED, model=CHAMPION)
    assert learned.value == 30

    training.learners = new_learners()
    training.learn(outcomes_at(packed(20)), PUBLISHED_MS)
    training.tell()
    assert learned.value == 30
    training.learn(outcomes_at(packed(50)[20:]), PUBLISHED_MS)
    training.tell()
    assert learned.value == 60
    for model in (CHAMPION, CHALLENGER, metric_list.BASELINE_RATE, metric_list.BASELINE_LAST_CLASS):
        assert told(metrics, "thalweg_model_evaluated_outcomes", model=model) > 0
