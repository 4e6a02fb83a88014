"""A challenger that lags behind: nobody waits for it, and it comes to what it would have been."""

from collections.abc import Iterable
from dataclasses import dataclass

from agents.kafka.batch import Headers
from agents.learning.publication import CHALLENGER_INTERVAL_S
from agents.learning.training import Training
from agents.observability.metrics import Metrics
from examples.shop.pipeline import PIPELINE
from online_models.snapshot import decode, encode
from tests.agents.outcome_log import FEATURES, FOLD
from tests.agents.record import PUBLISHED_MS
from tests.agents.test_learn import (
    CHALLENGER,
    CHAMPION,
    SIGNER,
    TARGET,
    VERIFIER,
    Log,
    new_learners,
    outcomes_at,
    packed,
    published,
    same_models,
    told,
)

N_COMMITTED = 120
LOG = packed(200)


@dataclass
class MemoryLog:
    """The log, as far as its learner committed it."""

    records: Log
    n_committed: int
    n_read: int = 0

    def committed_end(self) -> int:
        return self.n_committed

    def between(self, start: int, end: int) -> Iterable[tuple[int, bytes]]:
        self.n_read += 1
        return self.records[start:end]


def successor(snapshots: dict[str, bytes], *, metrics: Metrics | None = None) -> Training:
    made = Training(
        PIPELINE,
        FEATURES,
        MemoryLog(LOG, N_COMMITTED),
        models="models",
        dead_letters="dead-letters",
        signer=SIGNER,
        verifier=VERIFIER,
        metrics=metrics or Metrics(),
        stopwatch=lambda: 0.0,
    )
    restoring = made.begin_restore(0)
    for name, blob in snapshots.items():
        restoring.restore(name.encode(), blob)
    restoring.complete()
    made.install(0, restoring)
    return made


def taught(n: int) -> Training:
    training = successor({})
    training.learners = new_learners()
    if n > 0:
        training.learn(outcomes_at(LOG[:n]), PUBLISHED_MS)
    return training


def snapshot(name: str, n: int) -> bytes:
    return encode(taught(n).learners[name], SIGNER, at_ms=0)


def beside(training: Training, elapsed_s: float) -> dict[str, int]:
    """Publish beside the batches; tell how much each model has learned by its snapshot."""
    found: dict[str, int] = {}

    def publish(topic: str, value: bytes, key: bytes, headers: Headers | None) -> None:
        name = key.decode()
        ours = {"model": name, "schema": FOLD.schema, "target": TARGET}
        found[name] = decode(value, VERIFIER, **ours).manifest.n_learned

    training.publish_learned_again(publish, elapsed_s, PUBLISHED_MS)
    return found


def a_slice(training: Training, n: int, elapsed_s: float) -> None:
    """Let the late ones learn up to so many outcomes."""
    if (gap := training.late.gap()) is not None:
        training.late.fill(gap, training.outcomes(gap))
    left = iter(range(n))
    training.teach_late(lambda: next(left, None) is not None, elapsed_s)


def test_a_new_challenger_keeps_the_champion_from_nothing():
    metrics = Metrics()
    training = successor({CHAMPION: snapshot(CHAMPION, 100)}, metrics=metrics)
    at_once = beside(training, 1_000)
    step = outcomes_at(LOG[N_COMMITTED:160])
    training.learn(step, PUBLISHED_MS)
    training.publish_due(step, 1_000, PUBLISHED_MS)
    training.tell()

    assert at_once == {CHAMPION: N_COMMITTED}
    assert training.learners[CHAMPION].n_learned == 160
    assert [learner.n_learned for learner in training.late.learners] == [0]
    assert told(metrics, "thalweg_model_lag", model=CHALLENGER) == 160
    assert told(metrics, "thalweg_model_lag", model=CHAMPION) == 0
    assert told(metrics, "thalweg_model_evaluated_outcomes", model=CHALLENGER) == 0


def test_it_catches_up_between_batches_joins_and_is_published_at_once():
    training = successor({CHAMPION: snapshot(CHAMPION, 100)})
    training.publish_learned_again(lambda *_: None, 1_000, PUBLISHED_MS)
    found: list[dict[str, int]] = []
    names: list[set[str]] = []
    for n in range(N_COMMITTED, 180, 10):
        step = outcomes_at(LOG[n : n + 10])
        training.learn(step, PUBLISHED_MS)
        training.publish_due(step, 1_000 + n, PUBLISHED_MS)
        names.append(set(published(step)))
        a_slice(training, 40, 1_000 + n)
        found.append(beside(training, 1_000 + n))
    expected = taught(180)

    assert training.late.learners == ()
    assert same_models(training, expected, LOG[180:])
    # After 40, 80, 120 and 160 outcomes; on its way it is published when it is due.
    assert found == [{}, *({CHALLENGER: n} for n in (80, 120, 160)), {}, {}]
    assert names == [{CHAMPION}] * 4 + [{CHAMPION, CHALLENGER}] * 2


def test_who_dies_on_the_way_need_not_begin_anew():
    first = successor({CHAMPION: snapshot(CHAMPION, N_COMMITTED)})
    a_slice(first, 30, 1_000)
    a_slice(first, 30, 1_000 + CHALLENGER_INTERVAL_S)
    blobs: dict[str, bytes] = {}
    first.publish_learned_again(
        lambda topic, value, key, headers: blobs.update({key.decode(): value}), 1_020, PUBLISHED_MS
    )
    second = successor({CHAMPION: snapshot(CHAMPION, N_COMMITTED)} | blobs)
    n_before = [learner.n_learned for learner in second.late.learners]
    a_slice(second, 1_000, 1_030)

    assert set(blobs) == {CHALLENGER}
    assert n_before == [60]
    assert same_models(second, taught(N_COMMITTED), LOG[N_COMMITTED:])


def test_a_challenger_that_lacks_nothing_is_not_late():
    training = successor(
        {CHAMPION: snapshot(CHAMPION, 100), CHALLENGER: snapshot(CHALLENGER, N_COMMITTED)}
    )

    assert training.late.learners == ()
    assert set(training.learners) == {CHAMPION, CHALLENGER}
    assert beside(training, 1_000) == {CHAMPION: N_COMMITTED}


def test_who_lost_the_log_teaches_nobody_any_more():
    training = successor({CHAMPION: snapshot(CHAMPION, 100)})
    late = training.late
    a_slice(training, 30, 1_000)
    training.discard(0)
    a_slice(training, 30, 2_000)

    assert [learner.n_learned for learner in late.learners] == [30]
    assert beside(training, 2_000) == {}
