"""The detectors of all partitions: scores by means of ten, beside answers, and both as stored."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.drift import RunLength, ScoreDrift, VisitDrift
from online_models.drift.block_drift import BLOCK, BlockDrift

BUDGET = RunLength.scores(2_000)


def visits(seed: int, n: int = 900, turn: int = 500) -> list[tuple[float, float]]:
    """Scores and rests, of which the scores are others from a turn on, and so are the rests."""
    rng = random.Random(seed)
    scores = [rng.betavariate(2, 5) ** (1 if i < turn else 2) for i in range(n)]
    return [(score, (rng.random() < 0.2 + 0.4 * (score < 0.05)) - score) for score in scores]


@given(st.integers(0, 99), st.booleans())
@settings(max_examples=10, deadline=None)
def test_blocks_are_watched_as_scores_are(seed, in_time):
    blocks = BlockDrift(RunLength(2_000.0, in_time=in_time), warmup_scores=100)
    means = ScoreDrift(
        RunLength(2_000.0 if in_time else 2_000.0 / BLOCK, in_time=in_time),
        warmup_scores=100 // BLOCK,
    )
    scores = [score for score, _ in visits(seed)]
    found = [
        (n, alarm.signal, alarm.n // BLOCK)
        for n, score in enumerate(scores)
        if (alarm := blocks.update(score, n * 60_000)) is not None
    ]
    expected = [
        (n, alarm.signal, alarm.n)
        for n in range(BLOCK - 1, len(scores), BLOCK)
        if (alarm := means.update(sum(scores[n - 9 : n + 1]) / BLOCK, n * 60_000)) is not None
    ]

    assert found == expected


@given(st.integers(0, 99), st.integers(0, 900))
@settings(max_examples=10, deadline=None)
def test_decoded_detectors_go_on_where_the_encoded_ones_were(seed, at):
    whole, first = (VisitDrift(BUDGET, BUDGET, warmup=100) for _ in range(2))
    seen = visits(seed)
    expected = [whole.update(*visit, n) for n, visit in enumerate(seen)]
    early = [first.update(*visit, n) for n, visit in enumerate(seen[:at])]
    second = VisitDrift.decode(first.encode(), BUDGET, BUDGET, warmup=100)

    assert early + [second.update(*visit, n) for n, visit in enumerate(seen[at:], at)] == expected
    assert second.encode() == whole.encode()


@pytest.mark.parametrize("of_scores", [None, BUDGET])
def test_what_moved_is_named_and_scores_only_if_asked(of_scores):
    drift, told = VisitDrift(BUDGET, of_scores, warmup=100), set()
    for n, visit in enumerate(visits(3)):
        told |= {moved for moved, _ in drift.update(*visit, n)}
    signals = {standing.signal for standing, _ in drift.standings()}

    assert ("world" in told, "score_mean" in signals) == (of_scores is not None,) * 2
    assert {"answer_mean", "answer_error"} <= signals


def test_scores_that_are_asked_for_later_begin_then():
    alone = VisitDrift(BUDGET, None, warmup=100)
    for n, visit in enumerate(visits(3)[:200]):
        alone.update(*visit, n)
    both = VisitDrift.decode(alone.encode(), BUDGET, BUDGET, warmup=100)

    assert both.n == 200
    assert {standing.signal for standing, _ in both.standings()} > {"score_mean"}


def test_what_is_stored_is_bounded():
    rng, drift, sizes = random.Random(1), VisitDrift(*[RunLength.scores(1e12)] * 2, warmup=100), []
    for n in range(10_000):
        drift.update(rng.random(), rng.uniform(-1, 1), n)
        if n % 2_000 == 1_999:
            sizes.append(len(drift.encode()))

    assert max(sizes) < 10_000
