import math
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score  # type: ignore[import-untyped]

from online_models.prequential import WINDOW, Prequential

scores = st.floats(0, 1)
judged = st.lists(st.tuples(st.booleans(), scores), min_size=1, max_size=60)


def after(outcomes) -> Prequential:
    prequential = Prequential()
    for label, score in outcomes:
        prequential.update(label, score)
    return prequential


def logit(score: float) -> float:
    p = min(max(score, 1e-15), 1 - 1e-15)
    return max(-20.0, min(20.0, math.log(p) - math.log1p(-p)))


def win(positive: float, negative: float) -> float:
    return (positive > negative) + (positive == negative) / 2


@given(outcomes=judged)
def test_recent_roc_auc_counts_won_pairs(outcomes):
    positives = [score for label, score in outcomes if label]
    negatives = [score for label, score in outcomes if not label]
    wins = [win(positive, negative) for positive in positives for negative in negatives]

    prequential = after(outcomes)

    assert prequential.recent_roc_auc == pytest.approx(
        sum(wins) / len(wins) if wins else math.nan, nan_ok=True
    )


@given(outcomes=judged)
def test_lifetime_roc_auc_errs_by_half_the_pairs_it_cannot_tell_apart(outcomes):
    pairs = [
        (positive, negative)
        for label, positive in outcomes
        if label
        for other, negative in outcomes
        if not other
    ]
    if not pairs:
        return
    exact = sum(win(*pair) for pair in pairs) / len(pairs)
    close = sum(abs(logit(a) - logit(b)) <= 1 / 256 + 1e-9 for a, b in pairs) / len(pairs)

    assert abs(after(outcomes).roc_auc - exact) <= close / 2 + 1e-12


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, label: rng.betavariate(2 + label, 5),
        lambda rng, label: rng.betavariate(0.2 + label / 5, 3),
        lambda rng, label: 1 / (1 + math.exp(-rng.gauss(-2 + label / 2, 0.3))),
        lambda rng, label: rng.uniform(0.1, 0.11 + label / 500),
        lambda rng, label: rng.choice([0.01, 0.1, 0.1, 0.4 + label / 10]),
        lambda rng, label: float(rng.random() < 0.1 + label / 4),
    ],
    ids=["beta", "near zero", "narrow", "very narrow", "few values", "zero or one"],
)
def test_lifetime_metrics_agree_with_sklearn(draw: Callable[[random.Random, bool], float]):
    rng = random.Random(7)
    labels = [rng.random() < 0.1 for _ in range(20_000)]
    given_scores = [draw(rng, label) for label in labels]

    prequential = after(zip(labels, given_scores, strict=True))

    assert prequential.roc_auc == pytest.approx(roc_auc_score(labels, given_scores), abs=1e-3)
    clipped = [min(max(score, 1e-15), 1 - 1e-15) for score in given_scores]
    assert prequential.log_loss == pytest.approx(log_loss(labels, clipped), rel=1e-9)
    assert (prequential.n, prequential.positives) == (20_000, sum(labels))


@given(
    outcomes=st.lists(st.tuples(st.booleans(), scores, st.integers(1, 5)), min_size=1, max_size=40)
)
def test_an_outcome_of_weight_n_counts_as_n_outcomes(outcomes):
    weighed, repeated = Prequential(), Prequential()
    for label, score, weight in outcomes:
        weighed.update(label, score, float(weight))
        for _ in range(weight):
            repeated.update(label, score)

    assert weighed.roc_auc == pytest.approx(repeated.roc_auc, nan_ok=True)
    assert weighed.recent_roc_auc == pytest.approx(repeated.recent_roc_auc, nan_ok=True)
    assert weighed.log_loss == pytest.approx(repeated.log_loss)
    assert weighed.recent_log_loss == pytest.approx(repeated.recent_log_loss)
    assert weighed.n == len(outcomes)


def test_weighted_metrics_agree_with_sklearn_in_the_window_too():
    rng = random.Random(5)
    outcomes = [
        (rng.random() < 0.3, rng.betavariate(2, 5), rng.choice([1.0, 2.5, 10.0]))
        for _ in range(2 * WINDOW + 300)
    ]
    prequential = Prequential()
    # Weights may begin at any time: in former releases there were none.
    outcomes[: WINDOW + 100] = [(label, score, 1.0) for label, score, _ in outcomes[: WINDOW + 100]]
    for label, score, weight in outcomes:
        prequential.update(label, score, weight)

    for chosen, roc_auc, loss in (
        (outcomes, prequential.roc_auc, prequential.log_loss),
        (outcomes[-WINDOW:], prequential.recent_roc_auc, prequential.recent_log_loss),
    ):
        labels, said, weights = zip(*chosen, strict=True)
        exact = roc_auc_score(labels, said, sample_weight=weights)
        assert roc_auc == pytest.approx(exact, abs=1e-3)
        assert loss == pytest.approx(log_loss(labels, said, sample_weight=weights), rel=1e-9)


def test_what_former_releases_wrote_is_read_and_written_alike_without_weights():
    prequential = after([(True, 0.7), (False, 0.2)] * 700)
    written = msgspec.to_builtins(prequential)
    del written["extra_weight"], written["ring_weights"]
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(written), type=Prequential)

    assert msgspec.msgpack.encode(read) == msgspec.msgpack.encode(prequential)


def test_recent_metrics_forget_all_but_the_window():
    rng = random.Random(3)
    outcomes = [(rng.random() < 0.3, round(rng.random(), 2)) for _ in range(WINDOW * 2 + 345)]
    labels, latest = zip(*outcomes[-WINDOW:], strict=True)

    prequential = after(outcomes)

    # Not River's RollingROCAUC: it loses ties (0.4997 here, where sklearn says 0.5006).
    assert prequential.recent_roc_auc == pytest.approx(roc_auc_score(labels, latest), abs=1e-12)
    assert prequential.recent_log_loss == pytest.approx(after(outcomes[-WINDOW:]).log_loss)


def test_memory_is_bounded():
    rng = random.Random(1)
    prequential = after((rng.random() < 0.5, rng.random()) for _ in range(30_000))

    assert len(msgspec.msgpack.encode(prequential)) < 64_000


def test_without_both_labels_roc_auc_is_undefined():
    prequential = after([(True, 0.5)])

    assert math.isnan(prequential.roc_auc)
    assert math.isnan(prequential.recent_roc_auc)
    assert prequential.log_loss == pytest.approx(math.log(2))


def test_without_outcomes_log_loss_is_undefined():
    assert math.isnan(Prequential().log_loss)
    assert math.isnan(Prequential().recent_log_loss)
