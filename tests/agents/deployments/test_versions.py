"""Versions that are kept: as they were at one moment, for as long as somebody may want them."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from faust.types.tuples import TP

from agents.deployments import decisions
from agents.deployments.log import DeploymentLog, decoded
from agents.deployments.trained_versions import next_version, registration
from agents.learning.accuracy_guard import KEY as TOLD
from agents.learning.publication import CHALLENGER_INTERVAL_S
from agents.learning.restoring import new_learner
from agents.learning.training import Training
from agents.learning.visit_watch import KEY as WATCHED
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from online_models import chunks
from online_models.learner import Learner
from online_models.registry import Registry
from online_models.snapshot import encode
from schemas import topics
from schemas.deployments import ARCHIVED, REGISTERED, reference
from schemas.errors import InvalidDeclaration, ThalwegError
from schemas.outcomes import Outcome

CHAMPION, CHALLENGER = PIPELINE.champion, PIPELINE.challengers[0]
FEATURES = dict.fromkeys(PIPELINE.compiled().names, 1.0)


class Kept:
    """A pipeline in which one outcome comes after another."""

    def __init__(self, **policies: object) -> None:
        self.driver = PipelineDriver(replace(PIPELINE, **policies))  # type: ignore[arg-type]
        self._n = 0

    def learn(self, n: int = 1) -> None:
        for _ in range(n):
            self._n += 1
            user, event_id = f"u{self._n}", f"e{self._n}"
            said = {"user_id": user, "event_id": event_id, "ts": self.driver.now_ms}
            self.driver.publish({**said, "action": "home"})
            self.driver.label({**said, "label": self._n % 2 == 0})
        self.driver.advance(timedelta(seconds=CHALLENGER_INTERVAL_S))

    def answer(self) -> tuple[str, int, list[str]]:
        self.driver.publish({"user_id": "ada", "action": "home", "ts": self.driver.now_ms})
        found = self.driver.predictions[-1]
        return found.model, found.model_version, found.degraded

    def score(self, name: str) -> float:
        return self.driver._served.by_name[name].scorer.score(FEATURES)

    def snapshots(self) -> set[str]:
        compacted = self.driver._topics.compacted(TP(topics.MODELS.name, 0))
        of_models = (
            key for key, value in compacted if value is not None and key not in (TOLD, WATCHED)
        )
        return {key.decode() for key in of_models}

    def log(self) -> DeploymentLog:
        log = DeploymentLog(Registry(PIPELINE.use_case))
        for record in self.driver.read(topics.DEPLOYMENTS):
            event = decoded(record.value())
            assert event is not None
            log.take(event, record.offset())
        return log

    def state(self, name: str) -> str:
        return self.log().registry.state(name, PIPELINE.models)


def test_a_version_is_kept_with_the_next_outcome_and_once():
    kept = Kept()
    kept.learn(3)
    kept.driver.keep(CHAMPION, why="a good week")
    before = kept.snapshots()
    kept.learn(2)
    (wish, registered) = kept.log().entries

    assert before == {CHAMPION, CHALLENGER}
    assert kept.snapshots() == {*before, f"{CHAMPION}@4"}
    event = registered.event
    assert (event.kind, event.reference, event.by) == (REGISTERED, f"{CHAMPION}@4", "learn")
    assert (event.why, event.expects) == ("test: a good week", wish.offset)
    assert (event.first, event.through, event.target) == (0, 3, PIPELINE.label.target)
    assert event.lineage == kept.driver._training.learners[CHAMPION].progress.lineage != ""
    assert event.parameters["LogisticRegression.optimizer.lr.learning_rate"] == 0.001
    # What is not known of a young model is left out.
    assert event.metrics.keys() <= {"roc_auc", "log_loss", "recent_roc_auc", "recent_log_loss"}
    assert kept.log().registry.wanted == {}
    assert kept.state(f"{CHAMPION}@4") == "development"


def test_a_version_serves_as_it_was_while_its_model_goes_on_learning():
    kept = Kept(challenger_share=1.0)
    kept.learn(2)
    kept.driver.keep(CHAMPION)
    kept.learn(1)
    then = kept.score(CHAMPION)
    kept.learn(5)
    kept.driver.promote(f"{CHAMPION}@3")
    answers = [kept.answer() for _ in range(2)]
    kept.learn(4)
    for role in ("predict", "learn"):
        kept.driver.crash(role)
        answers.append(kept.answer())

    assert answers == [(CHAMPION, 3, [])] * 4
    assert kept.score(f"{CHAMPION}@3") == then != kept.score(CHAMPION)
    assert kept.driver.model_versions == {CHAMPION: 12, CHALLENGER: 12, f"{CHAMPION}@3": 3}
    answered = kept.driver.predictions[-1].prediction_id
    assert {
        each.model for each in kept.driver.shadow_predictions if each.prediction_id == answered
    } == {
        CHAMPION,
        CHALLENGER,
    }


def test_who_is_put_back_is_the_version_that_was_replaced():
    kept = Kept()
    kept.driver.keep(CHAMPION)
    kept.learn(2)
    kept.driver.promote(f"{CHAMPION}@1")
    kept.driver.promote(CHALLENGER)
    in_between = kept.answer()
    kept.driver.crash("predict")
    kept.driver.roll_back()
    put_back = kept.answer()
    kept.driver.promote(CHALLENGER)
    kept.driver.promote(CHAMPION)

    assert in_between == (CHALLENGER, 2, [])
    assert put_back == (CHAMPION, 1, [])
    assert kept.answer() == (CHAMPION, 2, [])
    assert f"{CHAMPION}@1" not in kept.driver.model_versions  # nobody needs it at hand any more
    assert kept.state(f"{CHAMPION}@1") == "staging"


def test_a_version_in_parts_serves_and_leaves_none_of_them_behind(monkeypatch):
    monkeypatch.setattr(chunks, "PART_BYTES", 500)
    kept = Kept()
    kept.driver.keep(CHAMPION)
    kept.learn(2)
    version = f"{CHAMPION}@1"
    in_parts = [key for key in kept.snapshots() if key.startswith(f"{version}/part/")]
    kept.driver.promote(version)
    answer = kept.answer()
    kept.driver.crash("predict")
    again = kept.answer()
    kept.driver.promote(CHALLENGER)
    kept.driver.promote(CHAMPION)
    kept.driver.crash("learn")
    kept.driver.archive(version)
    kept.learn(1)

    assert len(in_parts) > 1
    assert answer == again == (CHAMPION, 1, [])
    assert [key for key in kept.snapshots() if key.startswith(version)] == []
    assert kept.answer() == (CHAMPION, 3, [])


def test_an_archived_version_leaves_with_the_next_outcome_and_is_not_to_serve_again():
    kept = Kept()
    kept.driver.keep(CHAMPION)
    kept.learn(2)
    version = f"{CHAMPION}@1"
    kept.driver.promote(version)
    with pytest.raises(ThalwegError, match="is the champion"):
        kept.driver.archive(version)
    kept.driver.promote(CHALLENGER)
    with pytest.raises(ThalwegError, match="is `previous`"):
        kept.driver.archive(version)
    kept.driver.promote(CHAMPION)
    kept.driver.archive(version)
    at_first = kept.snapshots()
    kept.driver.crash("learn")
    kept.learn(1)

    assert version in at_first
    assert kept.snapshots() == {CHAMPION, CHALLENGER}
    assert kept.state(version) == "archived"
    for decide in (kept.driver.promote, kept.driver.archive):
        with pytest.raises(ThalwegError, match=f"no model `{version}`"):
            decide(version)


def test_a_challenger_that_goes_on_from_a_version_learns_on_and_can_be_promoted():
    kept = Kept(keep_versions=1)
    kept.learn(2)
    kept.driver.keep(CHALLENGER)
    kept.learn(2)
    origin = f"{CHALLENGER}@3"
    kept.driver.resume(origin)
    for refused, reason in (
        (lambda: kept.driver.resume(CHAMPION), "is the champion"),
        (lambda: kept.driver.archive(origin), "goes on from"),
        (lambda: kept.driver.resume(f"{CHALLENGER}@7"), "no model"),
    ):
        with pytest.raises(ThalwegError, match=reason):
            refused()
    kept.driver.keep(CHALLENGER)
    kept.learn(2)  # there is room for one version: the newer, and whom a model goes on from
    kept.driver.crash("learn")
    kept.learn(1)
    kept.driver.promote(CHALLENGER)

    learner = kept.driver._training.learners[CHALLENGER]
    assert kept.answer() == (CHALLENGER, 7, [])
    assert learner.through == 6
    assert kept.snapshots() == {CHAMPION, CHALLENGER, origin, f"{CHALLENGER}@5"}
    with pytest.raises(ThalwegError, match="is the champion"):
        kept.driver.resume(origin)
    with pytest.raises(ThalwegError, match="whom a rollback puts back"):
        kept.driver.resume(CHAMPION)


def test_versions_are_kept_regularly_and_the_oldest_make_room_but_for_those_in_use():
    kept = Kept(keep_every=2, keep_versions=2)
    kept.learn(4)
    kept.driver.promote(f"{CHAMPION}@2")
    kept.learn(9)
    log = kept.log()

    expected = {
        reference(model, version) for model in (CHAMPION, CHALLENGER) for version in (10, 12)
    } | {f"{CHAMPION}@2"}
    assert set(decisions.versions(log.registry)) == expected
    # What was archived with the last outcome leaves with the next one.
    leaving = {f"{CHAMPION}@8", f"{CHALLENGER}@8"}
    assert kept.snapshots() == {CHAMPION, CHALLENGER} | expected | leaving
    assert all(entry.refusal is None for entry in log.entries)
    archived = [each.event.reference for each in log.entries if each.event.kind == "archived"]
    assert len(archived) == len(set(archived))
    assert f"{CHAMPION}@2" not in archived
    parents = [e.event.parent for e in log.entries if e.event.kind == REGISTERED]
    assert parents[:4] == ["", "", f"{CHAMPION}@2", f"{CHALLENGER}@2"]


def test_a_model_that_begins_anew_gets_versions_of_its_own_and_the_old_ones_make_room():
    """It counts from 0 again, so a greater number is not a younger version."""
    kept = Kept(keep_every=2, keep_versions=3)
    kept.learn(6)
    kept.driver.promote(f"{CHAMPION}@2")
    kept.driver.deploy(
        replace(PIPELINE, features=PIPELINE.features[1:], keep_every=2, keep_versions=3)
    )
    kept.learn(9)

    log = kept.log()
    assert [each for each in decisions.versions(log.registry) if each.startswith(CHAMPION)] == [
        reference(CHAMPION, version) for version in (2, 3, 5, 7, 9)
    ]
    assert all(entry.refusal is None for entry in log.entries)
    assert kept.answer()[::2] == (CHAMPION, ["stand_in"])  # the old one has other features


def test_the_name_of_a_version_never_comes_to_mean_another_model():
    kept = Kept()
    kept.learn(1)
    kept.driver.keep(CHAMPION)
    kept.learn(1)
    (_, first) = kept.log().entries
    kept.driver.deploy(replace(PIPELINE, features=PIPELINE.features[1:]))
    kept.learn(1)
    kept.driver.keep(CHAMPION)
    kept.learn(1)
    while_taken = kept.log()
    kept.learn(1)

    assert first.event.reference == f"{CHAMPION}@2"
    assert [*while_taken.registry.wanted] == [CHAMPION]
    assert kept.log().registry.standings[f"{CHAMPION}@2"].registered == first.event
    assert kept.log().entries[-1].event.reference == f"{CHAMPION}@3"
    assert kept.log().registry.wanted == {}


def test_what_is_under_way_is_not_done_twice_before_the_log_shows_it():
    kept = Kept()
    kept.driver.keep(CHAMPION)
    training: Training = kept.driver._training
    batch = kept.driver._topics.batch(TP(topics.OUTCOMES.name, 0), 0)
    for _ in range(3):
        training._versions.settle(batch, training.learners, kept.driver.now_ms)
    first = [output.key for output in batch.outputs]
    kept.driver.crash("learn")  # nothing of it was committed
    kept.learn(1)

    assert first == [f"{CHAMPION}@0".encode(), PIPELINE.use_case.encode()]
    assert [each.event.reference for each in kept.log().entries] == [CHAMPION, f"{CHAMPION}@1"]


def test_a_version_that_is_too_large_to_carry_is_told_of_once(monkeypatch, caplog):
    monkeypatch.setattr(chunks, "MOST_BYTES", 100)
    kept = Kept()
    kept.driver.keep(CHALLENGER)
    kept.learn(3)

    assert [each.event.kind for each in kept.log().entries] == ["wanted"]
    assert kept.snapshots() == set()


def test_a_version_whose_snapshot_is_another_is_refused(caplog):
    kept = Kept()
    kept.driver.keep(CHAMPION)
    kept.learn(2)
    kept.driver.promote(f"{CHAMPION}@1")
    head = dict(kept.driver._topics.compacted(TP(topics.MODELS.name, 0)))[CHAMPION.encode()]

    assert not kept.driver._served.offer(f"{CHAMPION}@1", head)
    assert "snapshot is of version 2, expected 1" in caplog.text
    assert kept.answer() == (CHAMPION, 1, [])


@pytest.mark.parametrize("policy", [{"keep_every": -1}, {"keep_versions": 0}])
def test_a_policy_that_keeps_nothing_is_refused(policy):
    with pytest.raises(InvalidDeclaration, match="keep_every"):
        replace(PIPELINE, **policy)


class Trained(Kept):
    """Beside `learn`, somebody trains versions from the archive."""

    def register(self, *, at_ms: int, learner: Learner | None = None) -> str:
        driver = self.driver
        learner = learner or driver._training.learners[CHAMPION]
        version = next_version(self.log().registry, learner.model, at_ms)
        blob = encode(learner, driver._signer, at_ms=at_ms, version=version)
        event = registration(
            *(learner, version, blob),
            use_case=PIPELINE.use_case,
            at=at_ms,
            by="ada@desk",
            why="new prices",
        )
        for key, value in chunks.split(event.reference, blob, place=0):
            driver.append(value, topic=topics.MODELS, key=key)
        driver.append(msgspec.json.encode(event), topic=topics.DEPLOYMENTS, key=b"")
        driver._follow_deployments()
        return event.reference


AT_MS = 1_795_837_512_000


def test_a_trained_version_serves_under_the_time_of_its_training_and_leaves_whole(monkeypatch):
    monkeypatch.setattr(chunks, "PART_BYTES", 500)
    trained = Trained()
    trained.learn(3)
    version = trained.register(at_ms=AT_MS)
    then = trained.score(CHAMPION)
    trained.driver.promote(version)
    trained.learn(3)
    answer = trained.answer()
    score = trained.score(version)
    in_parts = [key for key in trained.snapshots() if key.startswith(f"{version}/part/")]
    trained.driver.promote(CHALLENGER)
    trained.driver.promote(CHAMPION)
    trained.driver.archive(version)
    trained.learn(1)

    assert version == f"{CHAMPION}@20261128034512"
    assert answer == (CHAMPION, 20261128034512, [])
    assert score == then != trained.score(CHAMPION)
    assert len(in_parts) > 1
    assert [key for key in trained.snapshots() if key.startswith(version)] == []


def test_trained_versions_answer_no_wish_and_are_no_beginning_of_counting():
    trained = Trained(keep_every=4, keep_versions=3)
    trained.learn(1)
    trained.driver.keep(CHAMPION)
    versions = [trained.register(at_ms=AT_MS) for _ in range(2)]
    wanted = [*trained.log().registry.wanted]
    trained.learn(4)
    found = [e for e in decisions.versions(trained.log().registry) if e.startswith(CHAMPION)]
    parents = {e.event.reference: e.event.parent for e in trained.log().entries if e.event.version}

    assert versions == [f"{CHAMPION}@20261128034512", f"{CHAMPION}@20261128034513"]
    assert wanted == [CHAMPION]
    assert found == [*versions, f"{CHAMPION}@2"]
    assert parents[f"{CHAMPION}@2"] == ""
    trained.learn(6)
    found = [e for e in decisions.versions(trained.log().registry) if e.startswith(CHAMPION)]
    assert found == [f"{CHAMPION}@{version}" for version in (2, 6, 10)]


def test_the_parent_of_a_version_is_what_its_model_went_on_from():
    trained = Trained()
    trained.driver.keep(CHALLENGER)
    trained.learn(3)
    learner = new_learner(PIPELINE, PIPELINE.compiled(), CHALLENGER)
    for record in trained.driver.read(topics.OUTCOMES)[1:]:
        learner.learn(msgspec.msgpack.decode(record.value() or b"", type=Outcome), record.offset())
    origin = trained.register(at_ms=AT_MS, learner=learner)
    trained.driver.resume(origin)
    for _ in range(2):
        trained.driver.keep(CHALLENGER)
        trained.learn(2)
    parents = {
        event.reference: event.parent
        for event in (each.event for each in trained.log().entries)
        if event.kind == REGISTERED and event.by == "learn"
    }

    assert parents == {
        f"{CHALLENGER}@1": "",
        f"{CHALLENGER}@3": origin,
        f"{CHALLENGER}@5": f"{CHALLENGER}@3",
    }


def test_a_version_that_is_gone_on_from_while_it_makes_room_holds_nothing_up():
    """`learn` archives the oldest, and somebody was faster: the next wish comes true as ever."""
    kept = Kept(keep_versions=1)
    kept.driver.keep(CHALLENGER)
    kept.learn(2)
    kept.driver.keep(CHALLENGER)
    kept.learn(1)
    training: Training = kept.driver._training
    registry = training._deployed.registry
    oldest = decisions.versions(registry)[0]
    faster = decisions.resumption(PIPELINE, registry, oldest, at=0, by="ada", why="a good one")
    batch = kept.driver._topics.batch(TP(topics.OUTCOMES.name, 0), 3)
    training._versions.settle(batch, training.learners, kept.driver.now_ms)
    archived = [each.value for each in batch.outputs if each.topic == topics.DEPLOYMENTS.name]
    for value in (msgspec.json.encode(faster), *archived):
        kept.driver.append(value, topic=topics.DEPLOYMENTS, key=b"")
    kept.driver._follow_deployments()
    kept.driver.keep(CHALLENGER)
    kept.learn(2)

    refused = [each for each in kept.log().entries if each.refusal is not None]
    assert [(each.event.kind, each.event.reference) for each in refused] == [(ARCHIVED, oldest)]
    assert kept.log().registry.wanted == {}


def test_a_model_whose_features_changed_can_be_learned_anew_though_its_version_cannot():
    kept = Kept()
    kept.driver.keep(CHALLENGER)
    kept.learn(3)
    kept.driver.resume(f"{CHALLENGER}@1")
    kept.driver.promote(CHALLENGER)
    kept.driver.deploy(replace(PIPELINE, features=PIPELINE.features[1:]))
    kept.learn(2)
    before = kept.driver._training.learners[CHALLENGER]
    kept.driver.rebuild(CHALLENGER)
    after = kept.driver._training.learners[CHALLENGER]

    assert before is not after
    assert before.fingerprint() == after.fingerprint()
    assert after.n_learned == 2
