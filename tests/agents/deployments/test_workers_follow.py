"""A worker that predicts while somebody promotes and rolls back, as processes on a real broker."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
import pytest

from agents.admin import published_models, topic_reader
from agents.deployments import decisions, desk
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.deployments import Deployment
from schemas.predictions import Prediction
from tests.agents.deployments.published import CHALLENGER, CHAMPION, N_LEARNED, Environment
from tests.agents.outcome_log import make_outcomes
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

WITHIN_MS = 1_000
EVERY_S = 0.02


def worker(role: str, environment: Environment) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "agents.cli", "worker", role], env=os.environ | environment.env
    )


class Traffic:
    """A worker that predicts, and a user who never rests."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.worker = worker("predict", environment)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    def predictions(self) -> list[Prediction]:
        settings = self.environment.settings
        topic = topics.PREDICTIONS.named(settings.topic_prefix)
        return [
            msgspec.json.decode(message.value() or b"", type=Prediction)
            for message in topic_reader.read_to_end(settings, topic)
        ]

    def decide(self, make: Callable[..., Deployment]) -> None:
        registry = self.environment.log().registry
        event = make(PIPELINE, registry, at=0, by="ada", why="a test")
        key = PIPELINE.use_case.encode()
        self.environment.produce(topics.DEPLOYMENTS, msgspec.json.encode(event), key)

    def decided_at(self) -> list[int]:
        """When decisions were written, ms since the epoch."""
        settings = self.environment.settings
        topic = topics.DEPLOYMENTS.named(settings.topic_prefix)
        return [each.timestamp()[1] for each in topic_reader.read_to_end(settings, topic)]

    def answered_by(self, model: str) -> bool:
        found = self.predictions()
        return bool(found) and found[-1].model == model

    def stop(self) -> None:
        self._closing.set()
        self._thread.join()
        self.worker.terminate()
        self.worker.wait(30)

    def _publish(self) -> None:
        while not self._closing.wait(EVERY_S):
            event = {"user_id": "ada", "action": "home", "ts": time.time_ns() // 1_000_000}
            self.environment.produce(topics.USER_EVENTS, msgspec.json.encode(event), b"ada")


@pytest.fixture
def traffic(kafka, tmp_path) -> Iterator[Traffic]:
    made = Traffic(Environment(kafka.bootstrap, tmp_path))
    yield made
    made.stop()


def test_a_promotion_and_its_rollback_are_followed_within_a_second(traffic):
    """Counted from when the event is written, by a producer that is connected: a command's first
    has to connect, which takes it half a second."""
    wait_until(lambda: traffic.answered_by(CHAMPION), 60, every_s=0.2)
    traffic.decide(partial(decisions.promotion, reference=CHALLENGER))
    wait_until(lambda: traffic.answered_by(CHALLENGER), 10, every_s=0.2)
    traffic.decide(decisions.rollback)
    wait_until(lambda: traffic.answered_by(CHAMPION), 10, every_s=0.2)

    answers = [
        (each.predicted_at, each.model) for each in traffic.predictions() if each.source == "model"
    ]
    models = [model for _, model in answers]
    changes = [n for n in range(1, len(models)) if models[n] != models[n - 1]]
    waits_ms = [
        answers[n][0] - decided_at
        for n, decided_at in zip(changes, traffic.decided_at(), strict=True)
    ]
    assert [models[n] for n in changes] == [CHALLENGER, CHAMPION]
    assert all(0 <= wait_ms <= WITHIN_MS for wait_ms in waits_ms), waits_ms
    assert {reason for each in traffic.predictions() for reason in each.degraded} <= {"no_model"}


def test_a_version_is_kept_promoted_and_answers_while_its_model_goes_on(traffic):
    """With a learner beside it: snapshot and event are in one transaction with what was learned."""
    environment = traffic.environment
    settings, said = environment.settings, {"by": "ada", "why": "a test"}
    outcomes = [msgspec.msgpack.encode(each) for each in make_outcomes(N_LEARNED + 20)]
    for value in outcomes[:N_LEARNED]:
        environment.produce(topics.OUTCOMES, value, b"")
    desk.keep(settings, PIPELINE, CHALLENGER, **said)
    version = f"{CHALLENGER}@{N_LEARNED}"
    learner = worker("learn", environment)
    try:
        wait_until(lambda: traffic.answered_by(CHAMPION), 60, every_s=0.2)
        wait_until(
            lambda: [*environment.log().registry.standings][:1] == [version], 60, every_s=0.2
        )
        for value in outcomes[N_LEARNED:]:
            environment.produce(topics.OUTCOMES, value, b"")
        desk.promote(settings, PIPELINE, version, **said)
        wait_until(lambda: traffic.answered_by(CHALLENGER), 10, every_s=0.2)
        wait_until(lambda: traffic.predictions()[-1].degraded == [], 10, every_s=0.2)
        desk.promote(settings, PIPELINE, CHAMPION, **said)
        desk.promote(settings, PIPELINE, CHALLENGER, **said)
        desk.archive(settings, PIPELINE, version, **said)
        environment.produce(topics.OUTCOMES, outcomes[-1], b"")
        wait_until(lambda: version not in published_models.snapshots(settings), 30, every_s=0.2)
    finally:
        learner.terminate()
        learner.wait(30)

    served = [
        each.model_version
        for each in traffic.predictions()
        if each.model == CHALLENGER and not each.degraded
    ]
    assert served[0] == N_LEARNED
    (registered,) = [each for each in environment.log().entries if each.event.kind == "registered"]
    assert registered.event.through == N_LEARNED - 1
