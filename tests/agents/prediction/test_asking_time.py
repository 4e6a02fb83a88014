"""Who is too slow to serve is found when it is loaded, whatever else the machine does."""

from itertools import accumulate, chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.deployments.deployed import Deployed
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.asking_time import ASKED, BUDGET_S, LONGEST_S, RUNS, asking_p99_s
from agents.prediction.served_models import ServedModels
from examples.shop.pipeline import PIPELINE
from online_models import catalogue
from online_models.learner import Learner
from online_models.scorer import Scorer
from online_models.signing import Signer, Verifier
from online_models.snapshot import encode
from tests.agents.outcome_log import FOLD, make_outcomes

SIGNER = Signer.generate()
CHAMPION, TARGET = PIPELINE.champion, PIPELINE.label.target
X = [{"clicks": 1.0}]


class Counted(Scorer):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(catalogue.make("binary_logistic_v1"), n_learned=0)
        self.n_asked = 0

    def score(self, features: dict[str, float]) -> float:
        self.n_asked += 1
        return super().score(features)


def taking(*seconds: float) -> "Stopwatch":
    return Stopwatch(chain(seconds, repeat(seconds[-1])))


class Stopwatch:
    """Each reading is so much later than the one before."""

    def __init__(self, seconds: "chain[float]") -> None:
        self._at_s = accumulate(chain([0.0], seconds))

    def __call__(self) -> float:
        return next(self._at_s)


@given(slow=st.integers(0, 5))
def test_the_99th_percentile_is_that_of_most_runs(slow):
    """One pause of the machine in each run, or one run that was disturbed, is no matter."""
    run = [0.0, *([BUDGET_S] * slow), *([1e-6] * (ASKED - slow))]
    disturbed = [0.0, *([1e-4] * ASKED)]
    p99_s = asking_p99_s(Counted(), X, stopwatch=taking(*run[1:], *disturbed, *run))

    assert (p99_s > 1e-4) == (slow > 1)


def test_a_slow_model_is_not_asked_for_long():
    scorer = Counted()
    p99_s = asking_p99_s(scorer, X, stopwatch=taking(0.009))

    assert p99_s == pytest.approx(0.009)
    assert scorer.n_asked == RUNS * 3
    assert scorer.n_asked * 0.009 <= RUNS * (LONGEST_S + 0.009)


def test_without_anything_to_ask_a_model_is_quick():
    scorer = Counted()

    assert asking_p99_s(scorer, [], stopwatch=taking(1.0)) == 0.0
    assert scorer.n_asked == 0


@pytest.mark.parametrize(("seconds", "may_serve"), [(0.0019, True), (0.0021, False)])
def test_a_model_over_the_budget_is_loaded_to_shadow_only_and_that_is_told(
    seconds, may_serve, caplog
):
    metrics = Metrics()
    learner = Learner(CHAMPION, feature_names=FOLD.names, schema=FOLD.schema, target=TARGET)
    for offset, outcome in enumerate(make_outcomes(20)):
        learner.learn(outcome, offset)
    served = ServedModels(
        Deployed(PIPELINE),
        FOLD.schema,
        TARGET,
        Verifier([SIGNER.public_pem()]),
        metrics,
        stopwatch=taking(seconds),
    )
    for _ in range(2):
        assert served.offer(CHAMPION, encode(learner, SIGNER, at_ms=0))

    assert served.by_name[CHAMPION].may_serve == may_serve
    asking = metrics.gauge(metric_list.MODEL_ASKING_SECONDS, model=CHAMPION)
    assert asking.value == pytest.approx(seconds)
    assert metrics.gauge(metric_list.MODEL_MAY_SERVE, model=CHAMPION).value == may_serve
    assert caplog.text.count("it may only shadow") == (not may_serve)
