"""The learner is killed again and again while outcomes flow: each is learned, and once.

The oracle is one thread that learns the committed log from its beginning.
"""

import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Self

import msgspec
import pytest
from confluent_kafka import Producer
from faust.types.tuples import TP

from agents import pipeline
from agents.admin import topic_admin
from agents.deployments import desk
from agents.deployments import log as deployment_log
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.offsets import committed_offsets
from agents.local.keys import ensure_keys
from agents.settings import Settings
from online_models.chunks import SnapshotParts
from online_models.learner import Learner
from online_models.signing import Verifier
from online_models.snapshot import Snapshot, decode, environment_of
from online_models.twin import original
from schemas import topics
from schemas.deployments import split
from schemas.outcomes import Outcome
from tests.agents.outcome_log import FOLD, make_outcomes
from tests.faults.cluster import Cluster
from tests.faults.conftest import tell
from tests.faults.size import FULL, SIZE, only_full
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
KILLS = 30 if SIZE is FULL else 3
PIPELINE = f"tests.faults.{'forest' if SIZE is FULL else 'rollout'}_pipeline"
IN_TRANSACTION = 10
TICK_S = 0.1
N_OUTCOMES = 60_000
"""More than any run takes."""
SETTLED_S = 90


class Outcomes:
    """Writes outcomes in transactions, as predict does, of which some are aborted and repeated."""

    def __init__(self, settings: KafkaSettings, topic: str, dice: random.Random) -> None:
        self.n_committed = 0
        self.failure: BaseException | None = None
        self._topic = topic
        self._dice = dice
        self._producer = Producer(settings.transactional_producer(turn=0))
        self._producer.init_transactions(30)
        self._values = map(msgspec.msgpack.encode, make_outcomes(N_OUTCOMES))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def wait_for(self, n_more: int) -> None:
        """Let so many more outcomes flow."""
        goal = self.n_committed + n_more
        wait_until(lambda: self.n_committed >= goal or self.failure is not None, 60)

    def _run(self) -> None:
        try:
            while not self._closing.wait(TICK_S):
                values = [next(self._values) for _ in range(IN_TRANSACTION)]
                if self._dice.random() < 0.1:
                    self._write(values)
                    self._producer.abort_transaction(30)
                self._write(values)
                self._producer.commit_transaction(30)
                self.n_committed += len(values)
        except BaseException as failure:  # noqa: BLE001  # raised again at the end
            self.failure = failure

    def _write(self, values: list[bytes]) -> None:
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(self._topic, value)
        if self._producer.flush(30) != 0:
            raise TimeoutError("outcomes were not written within 30 s")


class LearnerRun:
    """Topics, keys, outcomes that flow, and one learner after the other."""

    def __init__(self, cluster: Cluster, directory: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.settings = Settings(
            kafka_bootstrap=cluster.bootstrap,
            topic_prefix=f"l{uuid.uuid4().hex[:8]}-",
            replication=cluster.replication,
        )
        topic_admin.create(self.settings)
        self._directory = directory
        self._keys = ensure_keys(directory / "keys")
        self._pipeline = pipeline.load(PIPELINE)
        self._n_started = count()
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._outcomes = topics.OUTCOMES.named(self.settings.topic_prefix)
        writer = KafkaSettings(bootstrap=cluster.bootstrap, group=f"{self._outcomes}-writer")
        self._kafka = KafkaSettings(
            bootstrap=cluster.bootstrap, group=f"{self.settings.topic_prefix}learn"
        )
        self.outcomes = Outcomes(writer, self._outcomes, random.Random(seed + 1))

    def start(self, slot: int = 0) -> None:
        told = {
            "PIPELINE": PIPELINE,
            "KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "TOPIC_PREFIX": self.settings.topic_prefix,
            "SIGNING_KEY_FILE": self._keys.signing_key_file,
            "TRUSTED_KEYS_DIR": self._keys.trusted_keys_dir,
            "METRICS_PORT": 0,
        }
        with (self._directory / f"learn-{slot}-{next(self._n_started)}.log").open("wb") as log:
            self._workers[slot] = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "worker", "learn", "--slot", str(slot)],
                cwd=ROOT,
                env=os.environ | {f"THALWEG_{name}": str(value) for name, value in told.items()},
                stdout=log,
                stderr=log,
            )

    def kill(self, slot: int = 0) -> None:
        worker = self._workers.pop(slot)
        assert worker.poll() is None, "it ended by itself"
        worker.kill()
        worker.wait()

    def freeze(self, slot: int) -> None:
        self._workers[slot].send_signal(signal.SIGSTOP)

    def thaw(self, slot: int) -> None:
        self._workers[slot].send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Kill every learner that is left; one that heard that it was replaced may have ended."""
        for worker in self._workers.values():
            worker.kill()
            worker.wait()
        self._workers.clear()

    def committed(self) -> int:
        """Tell how far the learner's group is."""
        tp = TP(self._outcomes, 0)
        return committed_offsets(self._kafka, [tp], timeout_s=30).get(tp, 0)

    def wait_learning(self) -> None:
        """Wait until more is learned than now."""
        before = self.committed()
        wait_until(lambda: self.committed() > before, SETTLED_S, every_s=0.2)

    def log(self) -> list[tuple[int, Outcome]]:
        return [
            (offset, msgspec.msgpack.decode(value or b"", type=Outcome))
            for offset, _, value in read_to_end(self._kafka, TP(self._outcomes, 0))
        ]

    def snapshots(self) -> dict[str, Snapshot]:
        """Load the newest snapshot of each model and version; twins are of no account here."""
        keys = [path.read_bytes() for path in self._keys.trusted_keys_dir.iterdir()]
        ours, verifier = self._pipeline.models, Verifier(keys)
        parts = SnapshotParts(
            lambda name: original(name) is None and name.partition("@")[0] in ours
        )
        newest: dict[str, bytes] = {}
        models = TP(topics.MODELS.named(self.settings.topic_prefix), 0)
        for _, key, value in read_to_end(self._kafka, models):
            whole = parts.add(key or b"", value)
            if whole is not None and whole.blob is not None:
                newest[whole.model] = whole.blob
        target = self._pipeline.label.target
        return {
            model: decode(
                blob,
                verifier,
                model=split(model)[0],
                schema=FOLD.schema,
                target=target,
                environment=environment_of(self.settings.topic_prefix, self._pipeline.use_case),
            )
            for model, blob in newest.items()
        }

    def wait_published(self, last: int) -> dict[str, Snapshot]:
        """Wait until the newest snapshot of every model reaches to an offset."""
        models = {self._pipeline.champion, *self._pipeline.challengers}
        found: dict[str, Snapshot] = {}

        def all_reach() -> bool:
            nonlocal found
            found = self.snapshots()
            return models <= found.keys() and all(
                found[model].manifest.through == last for model in models
            )

        wait_until(all_reach, SETTLED_S, every_s=0.5)
        return found

    def wish(self) -> None:
        """Let a version of each model be kept with the next outcome."""
        for model in self._pipeline.models:
            desk.keep(self.settings, self._pipeline, model, by="ada", why="a test")

    def wait_granted(self) -> None:
        """Wait until every version that is wished for is kept."""
        use_case = self._pipeline.use_case
        wait_until(
            lambda: not deployment_log.read(self.settings, use_case).registry.wanted,
            SETTLED_S,
            every_s=0.5,
        )

    def check_versions(self, log: list[tuple[int, Outcome]]) -> None:
        """Hold every version that is kept against the log: its event, and its snapshot.

        They are in one transaction, so there are both or neither.
        """
        registry = deployment_log.read(self.settings, self._pipeline.use_case).registry
        kept = {
            reference: standing.registered
            for reference, standing in registry.standings.items()
            if standing.registered is not None
        }
        snapshots = {name: each for name, each in self.snapshots().items() if "@" in name}

        assert registry.wanted == {}
        assert {event.model for event in kept.values()} == set(self._pipeline.models)
        assert snapshots.keys() == kept.keys()
        for name, event in kept.items():
            expected = self.expected([each for each in log if each[0] <= event.through])
            assert snapshots[name].manifest.through == event.through
            found = snapshots[name].learner.fingerprint()
            assert found == expected[event.model].fingerprint(), name

    def check(self) -> None:
        """Hold what a learner comes to that starts now against the log."""
        self.end()
        self.start()
        log = self.log()
        found = self.wait_published(log[-1][0])
        expected = self.expected(log)

        assert len(log) == len({outcome.prediction_id for _, outcome in log})
        assert len(log) == self.outcomes.n_committed
        for name, learner in expected.items():
            assert found[name].learner.n_learned == len(log)
            assert found[name].learner.fingerprint() == learner.fingerprint(), name
        self.check_decisions()

    def check_decisions(self) -> None:
        """See that the gates of the rollout decided each step once, and all in their order."""
        rollout = self._pipeline.rollout
        assert rollout is not None
        log = deployment_log.read(self.settings, self._pipeline.use_case)
        decided = [each for each in log.entries if each.event.rollout]

        assert {each.event.by for each in decided} == {"learn"}
        assert [each.refusal for each in decided] == [None] * len(decided)
        assert [each.event.exposure for each in decided] == [*rollout.steps][: len(decided)]
        assert len(decided) >= 3

    def expected(self, log: list[tuple[int, Outcome]]) -> dict[str, Learner]:
        """Learn the log in one go, in this thread."""
        rule, lateness = self._pipeline.label, self._pipeline.allowed_lateness
        learners = {
            name: Learner(
                name,
                feature_names=FOLD.names,
                schema=FOLD.schema,
                target=rule.target,
                label_delay=rule.horizon + lateness,
            )
            for name in (self._pipeline.champion, *self._pipeline.challengers)
        }
        for offset, outcome in log:
            for learner in learners.values():
                learner.learn(outcome, offset)
        return learners


@pytest.fixture
def learning(cluster, tmp_path) -> Iterator[LearnerRun]:
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1 << 32))
    tell(f"FAULTS_SEED={seed}")
    made = LearnerRun(cluster, tmp_path, seed)
    yield made
    made.end()


def test_a_learner_that_is_killed_again_and_again_learns_each_outcome_once(learning):
    learning.start()
    with learning.outcomes:
        for _ in range(KILLS):
            # Half of them die before they learn, while they start or go on from snapshots.
            if learning.dice.random() < 0.5:
                learning.wait_learning()
            learning.outcomes.wait_for(learning.dice.randrange(1, 200))
            learning.wish()  # the next outcomes come within TICK_S
            learning.kill()
            learning.start()
        learning.wait_learning()
        learning.wait_granted()  # with the next outcome, so while there are some
    learning.check()
    learning.check_versions(learning.log())


@only_full
def test_two_learners_that_take_over_from_each_other_learn_each_outcome_once(learning):
    learning.start(0)
    with learning.outcomes:
        learning.wait_learning()
        learning.start(1)
        for slot in (0, 1, 0):
            learning.outcomes.wait_for(learning.dice.randrange(1, 200))
            learning.kill(slot)
            learning.wait_learning()  # the other one, once it is known that this one is gone
            learning.start(slot)
    learning.check()


@only_full
def test_a_learner_that_was_frozen_and_replaced_sets_no_model_back(learning):
    learning.start(0)
    with learning.outcomes:
        learning.wait_learning()
        learning.start(1)
        learning.outcomes.wait_for(100)
        learning.freeze(0)
        learning.wait_learning()
        learning.thaw(0)
        learning.outcomes.wait_for(300)
        learning.wait_learning()
    learning.check()
