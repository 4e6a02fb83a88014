"""A model that is learned anew from the log: it comes to what it was, and nobody waits for it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agents import cli
from agents.deployments.deployed import Deployed
from agents.kafka.batch import Headers
from agents.learning.training import Training
from agents.observability.metrics import Metrics
from agents.prediction.model_feed import ModelFeed
from agents.prediction.served_models import ServedModels
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from online_models import pickling
from online_models.learner import Learner
from online_models.registry import Registry
from online_models.signing import Verifier
from online_models.snapshot import decode, encode, environment_of
from schemas import topics
from schemas.deployments import REBUILD, REGISTERED, RESUMED, Deployment, reference, split
from schemas.outcomes import Outcome
from tests.agents.deployments.published import Environment
from tests.agents.learning.test_late_learners import MemoryLog
from tests.agents.outcome_log import FEATURES, FOLD, make_outcomes
from tests.agents.record import PUBLISHED_MS
from tests.agents.test_learn import (
    CHALLENGER,
    CHAMPION,
    SIGNER,
    TARGET,
    VERIFIER,
    new_learners,
    outcomes_at,
    packed,
)
from tests.waiting import wait_until

MODELS = (CHAMPION, CHALLENGER)
LOG = packed(160)
HERE = environment_of("", PIPELINE.use_case)
OUTCOMES = make_outcomes(len(LOG))
BATCH = 10
OURS = {"schema": FOLD.schema, "target": TARGET, "environment": HERE}
SPANS = {
    reference(model, version): span
    for model in MODELS
    for version, span in ((20260101000000, (0, 30)), (20260202000000, (20, 70)))
}
"""Versions, and which outcomes of the log each has learned."""


def trained(name: str, span: tuple[int, int]) -> Learner:
    learner = Learner(
        name,
        feature_names=FOLD.names,
        schema=FOLD.schema,
        target=TARGET,
        label_delay=PIPELINE.label.horizon + PIPELINE.allowed_lateness,
    )
    return learn_on(learner, *span)


def learn_on(learner: Learner, start: int, end: int) -> Learner:
    for offset in range(start, end):
        learner.learn(OUTCOMES[offset], offset)
    return learner


def version(name: str, number: int) -> bytes:
    learner = trained(name, SPANS[reference(name, number)])
    return encode(learner, SIGNER, at_ms=0, environment=HERE, version=number)


def of_another_log(start: int, end: int, *first: Outcome) -> bytes:
    """Train a version on outcomes that stand at the same offsets of a topic that is gone."""
    learner = trained(CHALLENGER, (0, 0))
    outcomes = [*first, *(replace(each, prediction_id=each.user_id) for each in OUTCOMES)]
    for offset in range(start, end):
        learner.learn(outcomes[(offset - start) % len(outcomes)], offset)
    number = 20260101000000
    return encode(learner, SIGNER, at_ms=0, environment=HERE, version=number)


OF_ANOTHER_RULE = encode(
    Learner(CHALLENGER, feature_names=FOLD.names, schema=FOLD.schema, target="other"),
    SIGNER,
    at_ms=0,
    environment=HERE,
)
VERSIONS = {each: version(*split(each)) for each in SPANS}  # type: ignore[arg-type]


class Role:
    """A learner that may die at any moment, and who serves what it publishes."""

    def __init__(self) -> None:
        self.log = MemoryLog(LOG, 0)
        self.deployed = Deployed(PIPELINE)
        self.snapshots: dict[str, bytes] = {}
        self.decided: dict[str, int] = {}
        self.origins: dict[str, str] = {}
        self.versions = dict(VERSIONS)
        for each in VERSIONS:
            self.happens(REGISTERED, each)
        self.now_s = 1_000.0
        self.served = ServedModels(
            self.deployed,
            FOLD.schema,
            TARGET,
            VERIFIER,
            Metrics(),
            environment=HERE,
            stopwatch=lambda: 0.0,
        )
        self.start()

    def start(self) -> None:
        self.training = Training(
            PIPELINE,
            FEATURES,
            self.log,
            models="models",
            dead_letters="dead-letters",
            signer=SIGNER,
            verifier=VERIFIER,
            metrics=Metrics(),
            deployed=self.deployed,
            environment=HERE,
            version=self.versions.get,
            stopwatch=lambda: 0.0,
        )
        restoring = self.training.begin_restore(0)
        for name, blob in self.snapshots.items():
            restoring.restore(name.encode(), blob)
        restoring.complete()
        self.training.install(0, restoring)

    def decide(self, model: str) -> None:
        self.decided[model] = self.happens(REBUILD, model)

    def resume(self, origin: str) -> None:
        model, _ = split(origin)
        self.decided[model] = self.happens(RESUMED, origin)
        self.origins[model] = origin

    def happens(self, kind: str, subject: str) -> int:
        registry = self.deployed.registry
        name, number = split(subject)
        event = Deployment(
            kind=kind,
            use_case=PIPELINE.use_case,
            model=name,
            version=number,
            at=0,
            by="ada",
            why="a test",
            expects=registry.offset,
        )
        assert registry.refusal(event) is None
        self.deployed.follow(registry.fold(event, registry.offset + 1))
        return registry.offset + 1

    def learn(self) -> None:
        start = self.log.n_committed
        step = outcomes_at(LOG[start : start + BATCH])
        if step.records:
            self.training.learn(step, PUBLISHED_MS)
            self.training.publish_due(step, self.now_s, PUBLISHED_MS)
            self.log.n_committed = step.next_offset
            for output in step.outputs:
                self._publish(output.topic, output.value or b"", output.key or b"", None)

    def go_on(self, n: int) -> None:
        for beginning in self.training.due():
            self.training.begin_anew(beginning, self.training.prepared(beginning))
        if (gap := self.training.late.gap()) is not None:
            self.training.late.fill(gap, self.training.outcomes(gap))
        left = iter(range(n))
        self.training.teach_late(lambda: next(left, None) is not None, self.now_s)
        self.training.publish_learned_again(self._publish, self.now_s, PUBLISHED_MS)
        self.training.publish_news(self._publish, self.now_s, PUBLISHED_MS)

    def _publish(self, topic: str, value: bytes, key: bytes, headers: Headers | None) -> None:
        assert topic == "models"
        self.snapshots[key.decode()] = value
        # What is served never falls back, so nothing of what a learner publishes is refused.
        assert self.served.offer(key.decode(), value)


def uninterrupted(n: int, origins: Mapping[str, str] | None = None) -> dict[str, Learner]:
    """Let each model learn the log, or what its origin learned, and then the rest of the log."""
    return {
        name: learn_on(trained(name, SPANS.get((origins or {}).get(name, ""), (0, 0))), 0, n)
        for name in MODELS
    }


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_happens_a_model_that_is_learned_anew_is_the_one_that_learned_all_along(data):
    """Batches, slices, deaths, decisions: in any order, more than one of them of the same model.

    One that goes on from a version comes to what that version would be had it never been put by.
    """
    role = Role()
    for action in data.draw(
        st.lists(
            st.sampled_from(["learn", "learn", "go on", "die", "decide", "resume"]), max_size=30
        )
    ):
        role.now_s += data.draw(st.sampled_from([0.1, 20.0]))
        match action:
            case "learn":
                role.learn()
            case "go on":
                role.go_on(data.draw(st.integers(0, 60)))
            case "die":
                role.start()
            case "decide":
                role.decide(data.draw(st.sampled_from(MODELS)))
            case "resume":
                role.resume(data.draw(st.sampled_from([*SPANS, *MODELS])))
    role.learn()
    for _ in range(20):
        role.now_s += 20.0
        role.go_on(1_000)

    expected = uninterrupted(role.log.n_committed, role.origins)
    for name, learner in role.training.learners.items():
        assert learner.fingerprint() == expected[name].fingerprint()
    for name, decision in role.decided.items():
        manifest = decode(role.snapshots[name], VERIFIER, model=name, **OURS).manifest
        assert (manifest.through, manifest.rebuilt) == (expected[name].through, decision)
        assert manifest.confirmed is not False
        assert role.served.by_name[name].version == expected[name].version


@pytest.mark.parametrize(
    ("put_there", "reason"),
    [
        (lambda good: good[:-1] + b"!", "sha256 differs"),
        (lambda good: OF_ANOTHER_RULE, "for label rule other"),
        (lambda good: VERSIONS[reference(CHALLENGER, 20260202000000)], "expected"),
        (lambda good: None, "no snapshot of"),
        (lambda good: of_another_log(0, 30), "it began with another outcome at offset 0 than"),
        (lambda good: of_another_log(500, 530), "ours has no offset 529 yet"),
        (lambda good: of_another_log(0, 500, OUTCOMES[0]), "ours has no offset 499 yet"),
    ],
    ids=[
        *("tampered", "another label rule", "another version", "none", "another log"),
        *("another log, behind ours", "another log that began alike"),
    ],
)
def test_a_version_that_is_refused_leaves_the_present_model_where_it_is(put_there, reason, caplog):
    role = Role()
    origin = reference(CHALLENGER, 20260101000000)
    role.learn()
    if (blob := put_there(role.versions.pop(origin))) is not None:
        role.versions[origin] = blob
    role.resume(origin)
    role.go_on(1_000)
    is_still_tried = bool(role.training.due())
    role.learn()
    role.start()
    role.go_on(1_000)
    role.learn()
    role.now_s += 20.0
    role.go_on(1_000)

    assert not is_still_tried
    assert reason in caplog.text
    assert origin in caplog.text
    for name, learner in uninterrupted(30).items():
        assert role.training.learners[name].fingerprint() == learner.fingerprint()
    assert role.served.by_name[CHALLENGER].version == 30


def test_a_model_that_is_not_what_the_log_makes_of_it_is_put_right_and_that_is_told():
    role = Role()
    for _ in range(4):
        role.learn()
    learner = role.training.learners[CHAMPION]
    learner._estimator.learn_one(dict.fromkeys(FEATURES.names, 1.0), True)  # type: ignore[call-arg]
    role.decide(CHAMPION)
    for _ in range(3):
        role.go_on(1_000)
    manifest = decode(role.snapshots[CHAMPION], VERIFIER, model=CHAMPION, **OURS).manifest

    assert manifest.confirmed is False
    for name, learner in uninterrupted(40).items():
        assert role.training.learners[name].fingerprint() == learner.fingerprint()


def test_while_a_model_is_learned_anew_the_former_one_goes_on_and_its_lag_is_told():
    role = Role()
    for _ in range(4):
        role.learn()
    role.decide(CHALLENGER)
    role.go_on(5)
    role.learn()
    role.now_s += 60
    role.go_on(5)
    role.training.tell()
    (late,) = role.training.late.learners

    assert (late.model, late.n_learned) == (CHALLENGER, 10)
    assert role.training.learners[CHALLENGER].n_learned == 50
    assert role.training.late.lags() == {CHALLENGER: 40}


def test_a_decision_is_obeyed_once_and_a_version_stays_as_it_is():
    driver = PipelineDriver(PIPELINE)
    for n in range(5):
        said = {"user_id": f"u{n}", "event_id": f"e{n}", "ts": driver.now_ms}
        driver.publish({**said, "action": "home"})
        driver.label({**said, "label": n % 2 == 0})
    former = driver._training.learners[CHAMPION]
    driver.rebuild(CHAMPION)
    rebuilt = driver._training.learners[CHAMPION]
    n_snapshots = len(driver.read(topics.MODELS))
    driver.crash("learn")
    driver.crash("predict")

    assert rebuilt is not former
    assert rebuilt.fingerprint() == former.fingerprint()
    assert driver._training.learners[CHAMPION].fingerprint() == rebuilt.fingerprint()
    assert driver._training.late.learners == ()
    assert len(driver.read(topics.MODELS)) == n_snapshots
    assert driver.model_versions[CHAMPION] == 5
    assert Registry(PIPELINE.use_case).refusal(
        Deployment(
            kind=REBUILD, use_case=PIPELINE.use_case, model=CHAMPION, version=5, at=0, by="ada"
        )
    )


@pytest.mark.parametrize("model", MODELS)
def test_a_fingerprint_tells_one_outcome_less(model):
    learner = new_learners()[model]
    seen = []
    for offset, outcome in enumerate(make_outcomes(30)):
        learner.learn(outcome, offset)
        seen.append(learner.fingerprint())

    assert len(set(seen)) == 30
    assert pickling.fingerprint(learner.scorer().model) == pickling.fingerprint(learner._estimator)


def forged(snapshot: bytes) -> bytes:
    """Let a snapshot claim that it was learned anew already, as whoever may write can."""
    signature, manifest, state = msgspec.msgpack.decode(snapshot)
    claims = {"rebuilt": 1 << 40, "confirmed": True, "version": 7, "n_learned": 7}
    claimed = msgspec.msgpack.encode(msgspec.msgpack.decode(manifest) | claims)
    return msgspec.msgpack.encode((signature, claimed, state))


@pytest.mark.integration
def test_a_snapshot_that_was_tampered_with_is_refused_until_its_model_is_learned_anew(
    kafka, tmp_path, monkeypatch, capsys
):
    here = Environment(kafka.bootstrap, tmp_path)
    for model in MODELS:
        here.produce(topics.MODELS, None, model.encode())
    for outcome in make_outcomes(300):
        here.produce(topics.OUTCOMES, msgspec.msgpack.encode(outcome), b"")
    for name, value in here.env.items():
        monkeypatch.setenv(name, value)
    prefix = here.settings.topic_prefix
    verifier = Verifier([here.signer.public_pem()])
    feeds: list[ModelFeed] = []

    def served() -> ServedModels:
        """Begin to serve, as a worker that starts now."""
        environment = environment_of(prefix, PIPELINE.use_case)
        made = ServedModels(
            Deployed(PIPELINE), FOLD.schema, TARGET, verifier, Metrics(), environment=environment
        )
        kafka_settings = here.kafka()
        topic = topics.MODELS.named(prefix)
        feed = ModelFeed(kafka_settings, topic, made, Metrics(), on_failure=lambda _: None)
        feeds.append(feed)
        feed.start()
        assert feed.caught_up.wait(20)
        return made

    def answers(models: ServedModels) -> list[float]:
        scorer = models.by_name[CHAMPION].scorer
        return [
            scorer.score(dict(zip(FOLD.names, each.features, strict=True)))
            for each in make_outcomes(320)[300:]
        ]

    all_along = served()
    command = [sys.executable, "-m", "agents.cli", "worker", "learn"]
    with subprocess.Popen(command, env=os.environ | here.env) as worker:
        try:
            wait_until(
                lambda: (
                    CHAMPION in all_along.by_name and all_along.by_name[CHAMPION].version == 300
                ),
                60,
                every_s=0.2,
            )
            expected = answers(all_along)
            good = here.newest(CHAMPION)
            here.produce(topics.MODELS, forged(good), CHAMPION.encode())
            newly_started = served()
            while_tampered = CHAMPION in newly_started.by_name, answers(all_along)
            code = cli.main(["models", "rebuild", CHAMPION, "--why", "tampered with", "--json"])
            wait_until(lambda: CHAMPION in newly_started.by_name, 10)
        finally:
            worker.kill()
            for feed in feeds:
                feed.stop()
    told = json.loads(capsys.readouterr().out)

    assert code == 0
    assert while_tampered == (False, expected)
    assert answers(newly_started) == expected
    assert (told["version"], told["learned"], told["confirmed"]) == (300, 300, True)
    assert "signature is by none" in told["before_refused"]
    assert told["same_as_before"] is None
    assert here.log().entries[-1].event.kind == REBUILD
    ours = {"model": CHAMPION, "schema": FOLD.schema, "target": TARGET}
    ours["environment"] = environment_of(prefix, PIPELINE.use_case)
    before, after = (
        decode(blob, verifier, **ours).learner for blob in (good, here.newest(CHAMPION))
    )
    assert after.fingerprint() == before.fingerprint()
