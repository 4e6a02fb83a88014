"""Which snapshots are taken into service: nobody who may write to `models` sets a model back."""

import weakref

import pytest

from agents.deployments.deployed import Deployed
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.served_models import ServedModels
from examples.shop.pipeline import PIPELINE
from online_models.learner import Learner
from online_models.lineage import Rebuilt
from online_models.signing import Signer, Verifier
from online_models.snapshot import encode, environment_of
from tests.agents.outcome_log import FOLD, make_outcomes

SIGNER = Signer.generate()
CHAMPION, TARGET = PIPELINE.champion, PIPELINE.label.target
HERE = environment_of("", PIPELINE.use_case)
OUTCOMES = make_outcomes(60)


def snapshot(n: int, *, first: int = 0, environment: str = HERE, rebuilt: int = -1) -> bytes:
    learner = Learner(CHAMPION, feature_names=FOLD.names, schema=FOLD.schema, target=TARGET)
    for offset, outcome in list(enumerate(OUTCOMES))[first:n]:
        learner.learn(outcome, offset)
    return encode(learner, SIGNER, at_ms=0, environment=environment, rebuilt=Rebuilt(rebuilt))


class Service:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.served = ServedModels(
            Deployed(PIPELINE),
            FOLD.schema,
            TARGET,
            Verifier([SIGNER.public_pem()]),
            self.metrics,
            environment=HERE,
            stopwatch=lambda: 0.0,
        )

    def offer(self, blob: bytes) -> int:
        """Offer a snapshot; tell the version that serves then."""
        self.served.offer(CHAMPION, blob)
        return self.served.by_name[CHAMPION].version

    @property
    def n_refused(self) -> float:
        return self.metrics.counter(metric_list.SNAPSHOTS, model=CHAMPION, result="refused").value


@pytest.fixture
def service():
    return Service()


def test_an_old_snapshot_that_is_put_there_again_is_refused_and_the_good_one_goes_on(
    service, caplog
):
    old = snapshot(20)
    versions = [service.offer(blob) for blob in (old, snapshot(40), old, snapshot(40))]

    assert versions == [20, 40, 40, 40]
    assert service.n_refused == 1
    assert "it has learned up to offset 19, and the one that is served up to 39" in caplog.text


def test_a_snapshot_of_another_environment_with_the_same_keys_is_refused(service, caplog):
    staging = environment_of("staging-", PIPELINE.use_case)
    versions = [service.offer(blob) for blob in (snapshot(20), snapshot(40, environment=staging))]

    assert versions == [20, 20]
    assert (
        "snapshot is for environment staging-/purchase-intent, expected /purchase-intent"
        in caplog.text
    )


def test_a_model_may_fall_back_if_it_was_decided_to_learn_it_anew_and_what_was_before_is_refused(
    service, caplog
):
    before, rebuilt = snapshot(40), snapshot(20, rebuilt=7)
    versions = [
        service.offer(blob)
        for blob in (before, rebuilt, before, snapshot(50), snapshot(30, rebuilt=7))
    ]

    assert versions == [40, 20, 20, 20, 30]
    assert "it is from before the decision to learn the model anew (offset 7" in caplog.text


def test_a_model_that_began_anew_on_another_log_is_served(service):
    versions = [service.offer(blob) for blob in (snapshot(40), snapshot(30, first=10))]

    assert versions == [40, 20]


def test_a_snapshot_of_a_former_release_is_served_until_it_would_set_the_model_back(service):
    """It names no environment; and it is not the way around the order either."""
    versions = [
        service.offer(blob)
        for blob in (snapshot(20, environment=""), snapshot(40), snapshot(20, environment=""))
    ]

    assert versions == [20, 40, 40]


def test_a_version_that_was_trained_apart_is_not_the_model_that_goes_on_learning(service, caplog):
    """Its lineage is another one where it learned a span alone, so that alone would not tell."""
    learner = Learner(CHAMPION, feature_names=FOLD.names, schema=FOLD.schema, target=TARGET)
    for offset, outcome in list(enumerate(OUTCOMES))[10:]:
        learner.learn(outcome, offset)
    trained = encode(learner, SIGNER, at_ms=0, environment=HERE, version=20261128034512)
    versions = [service.offer(blob) for blob in (snapshot(40), trained)]

    assert versions == [40, 40]
    assert "version 20261128034512, which was trained apart" in caplog.text


def test_a_model_that_was_replaced_goes_in_pieces_once_no_batch_uses_it():
    tree = "binary_hoeffding_tree_v1"
    pauses: list[None] = []
    served = ServedModels(
        Deployed(PIPELINE),
        FOLD.schema,
        TARGET,
        Verifier([SIGNER.public_pem()]),
        Metrics(),
        environment=HERE,
        stopwatch=lambda: 0.0,
        pause=lambda: pauses.append(None),
    )
    for n in (20, 40):
        learner = Learner(tree, feature_names=FOLD.names, schema=FOLD.schema, target=TARGET)
        for offset, outcome in enumerate(OUTCOMES[:n]):
            learner.learn(outcome, offset)
        assert served.offer(tree, encode(learner, SIGNER, at_ms=0, environment=HERE))
        if n == 20:
            in_a_batch, model = served.by_name[tree], weakref.ref(served._read[tree][0])
    served.give_up_retired()
    while_used = len(served._retired)
    del in_a_batch
    n_pauses = len(pauses)
    served.give_up_retired()

    assert (while_used, len(served._retired)) == (1, 0)
    assert model() is None
    assert len(pauses) > n_pauses
    assert served.by_name[tree].version == 40
