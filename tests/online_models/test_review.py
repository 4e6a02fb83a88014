"""Decisions that people should judge: within their time, and so that they tell of all."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.review import Review, ReviewSampler
from schemas.errors import InvalidDeclaration

REVIEW = Review(confidence=0.5, per_day=50)
MINUTE_MS = 60_000
DAY = 1_440

decisions = st.lists(
    st.tuples(st.floats(0, 1), st.integers(-MINUTE_MS, 600 * MINUTE_MS)), max_size=200
)


def chosen(stream, *, share=50, review=REVIEW, restarts=()):
    """Which of a stream of (score, event time) are chosen, and with what probability."""
    sampler, found = ReviewSampler(review, share=share), []
    for n, (score, at_ms) in enumerate(stream):
        if n in restarts:
            sampler = ReviewSampler(review, share=share, encoded=sampler.encode())
        found.append(sampler.choose(f"p{n}", score, at_ms=at_ms))
    return found


def days(n, *, seed=0, per_minute=2):
    """A steady stream of uncertain decisions."""
    dice = random.Random(seed)
    return [
        (dice.uniform(0.3, 0.7), minute * MINUTE_MS + 1)
        for minute in range(n * DAY)
        for _ in range(per_minute)
    ]


@given(decisions, st.integers(0, 5))
def test_no_day_has_more_than_its_share_and_nothing_sure_is_chosen(stream, share):
    at_ms, clock = [], 1
    for _, step in stream:
        clock = max(1, clock + step)
        at_ms.append(clock)
    timed = [(score, at) for (score, _), at in zip(stream, at_ms, strict=True)]
    found = chosen(timed, share=share)
    newest = 0
    per_day: dict[int, int] = {}
    for (score, at), p in zip(timed, found, strict=True):
        newest = max(newest, at) if abs(2 * score - 1) < REVIEW.confidence else newest
        if p is not None:
            assert 0 < p <= 1
            assert abs(2 * score - 1) < REVIEW.confidence
            day = newest // (DAY * MINUTE_MS)
            per_day[day] = per_day.get(day, 0) + 1

    assert all(n <= share for n in per_day.values())


@given(decisions, st.sets(st.integers(0, 200)))
def test_whoever_goes_on_chooses_the_same(stream, restarts):
    assert chosen(stream, restarts=restarts) == chosen(stream)


def test_the_budget_is_nearly_used_once_it_is_known_how_many_there_are():
    found = [p is not None for p in chosen(days(10))]
    per_day = [sum(found[day * 2 * DAY : (day + 1) * 2 * DAY]) for day in range(10)]

    assert max(per_day) <= 50
    assert 0.6 * 50 < sum(per_day[1:]) / 9 < 0.9 * 50


def test_what_is_chosen_tells_of_all():
    """By their weights the chosen are as many as all, and their scores add up to those of all."""
    stream = days(60)
    settled = 2 * DAY * 2  # from when it is known how many there are
    ours = [
        (1 / p, score)
        for (score, _), p in zip(stream, chosen(stream), strict=True)
        if p is not None
    ][100:]
    n_all = len(stream) - settled
    n = math.fsum(weight for weight, _ in ours)
    total = math.fsum(weight * score for weight, score in ours)

    assert n == pytest.approx(n_all, rel=0.05)
    assert total / n == pytest.approx(0.5, rel=0.02)


def test_the_less_is_known_the_sooner_somebody_is_asked():
    review = Review(confidence=0.95, per_day=50)
    dice = random.Random(2)
    stream = [
        (dice.choice((0.05, 0.5)), minute * MINUTE_MS + 1)
        for minute in range(10 * DAY)
        for _ in range(3)
    ]
    pairs = [*zip(stream, chosen(stream, review=review), strict=True)][DAY * 3 :]
    scores = [score for (score, _), p in pairs if p is not None]
    ratio = scores.count(0.5) / scores.count(0.05)

    # Of a coin flip 0.693 nats are unknown, of one in twenty 0.199.
    assert ratio == pytest.approx(0.693 / 0.199, rel=0.35)


@given(st.integers(1, 1_000), st.integers(1, 64))
def test_partitions_share_the_budget_to_the_last_one(per_day, n_partitions):
    review = Review(confidence=0.3, per_day=per_day)
    shares = [review.share_of(n, n_partitions) for n in range(n_partitions)]

    assert sum(shares) == per_day
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"confidence": 0, "per_day": 1}, "confidence"), ({"confidence": 1, "per_day": 0}, "per_day")],
)
def test_a_review_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(InvalidDeclaration, match=said):
        Review(**wrong)
