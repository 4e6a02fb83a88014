"""A step only where harm is excluded, a stop only where it is shown, however often one looks."""

import math
import random
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.confidence_sequence import _COSTS, _SLOPES, ConfidenceSequence
from online_models.gate import MOST, Comparison, Gates
from schemas.errors import InvalidDeclaration

units = st.floats(-1, 1)
N, SEEDS = 1_500, 100


def sequence(numbers: list[float]) -> ConfidenceSequence:
    made = ConfidenceSequence()
    for x in numbers:
        made.update(x)
    return made


@given(low=units, high=units, share=st.floats(0, 1))
def test_the_evidence_of_every_slope_is_not_expected_to_grow(low, high, share):
    """Whatever a number's distribution, of two values at most here: extremes of all others."""
    mean = share * high + (1 - share) * low
    for slope, cost in zip(_SLOPES, _COSTS, strict=True):
        expected = sum(
            p * math.exp(slope * (x - mean) - cost * x * x)
            for p, x in ((share, high), (1 - share, low))
        )

        assert expected <= 1 + 1e-12


@given(st.lists(units, min_size=1, max_size=50), st.floats(0.001, 0.5))
def test_the_interval_has_the_mean_and_is_mirrored_with_the_numbers(numbers, error):
    low, high = sequence(numbers).interval(error=error)
    mirrored = sequence([-x for x in numbers]).interval(error=error)

    assert low <= sequence(numbers).mean <= high
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)


@given(st.lists(st.floats(0.2, 1), min_size=40, max_size=200), units)
def test_what_is_said_to_be_sure_is_what_the_interval_says(numbers, bound):
    known = sequence(numbers)
    low, high = known.interval(error=0.05)

    for is_sure, beyond in (
        (known.is_below(bound, error=0.025), bound - high),
        (known.is_above(bound, error=0.025), low - bound),
    ):
        if abs(beyond) > 1e-6 and low > -1 and high < 1:
            assert is_sure == (beyond > 0)


def steady(chance: random.Random) -> Iterator[tuple[float, float]]:
    while True:
        yield 0.0, chance.choice((-0.3, 0.1, 0.1, 0.1))


def rare_and_large(chance: random.Random) -> Iterator[tuple[float, float]]:
    while True:
        yield 0.01, 1.0 if chance.random() < 0.01 else 0.0


def wandering(chance: random.Random) -> Iterator[tuple[float, float]]:
    """What is to be expected, and how far off it may be, follow from what came before."""
    total = 0.0
    while True:
        mean = 0.3 * math.tanh(-total / 10)
        spread = 0.6 if total > 0 else 0.1
        x = mean + chance.choice((-spread, spread))
        total += x
        yield mean, x


@pytest.mark.parametrize("process", [steady, rare_and_large, wandering])
def test_it_covers_what_was_to_be_expected_at_all_times(
    process: Callable[[random.Random], Iterator[tuple[float, float]]],
) -> None:
    error, n_missed = 0.1, 0
    for seed in range(SEEDS):
        known, expected = ConfidenceSequence(), 0.0
        for n, (mean, x) in zip(range(N), process(random.Random(seed)), strict=False):
            known.update(x)
            expected += mean
            if n % 10 == 0 or n < 100:
                so_far = expected / known.n
                if known.is_above(so_far, error=error / 2) or known.is_below(
                    so_far, error=error / 2
                ):
                    n_missed += 1
                    break

    # Ten are allowed on average; more than this by chance three times in a hundred.
    assert n_missed <= 16


def test_it_is_no_more_than_twice_as_wide_as_one_that_is_looked_at_once():
    chance = random.Random(1)
    known = sequence([chance.gauss(0, 0.15) for _ in range(10_000)])
    low, high = known.interval(error=0.05)

    assert (high - low) / 2 < 2 * 1.96 * 0.15 / 100


# ---- the gate ------------------------------------------------------------------------------------

GATES = Gates(min_labels=200)
scores = st.floats(0, 1)


def compared(pairs: list[tuple[bool, float, float]]) -> Comparison:
    made = Comparison("tree", 0.1)
    for offset, (label, candidate, champion) in enumerate(pairs):
        made.update(offset, label, candidate=candidate, champion=champion)
    return made


def test_the_better_candidate_steps_and_the_worse_one_stops():
    pairs = [(n % 5 == 0, 0.2, 0.5) for n in range(500)]

    assert compared(pairs).verdict(GATES, n_steps=3) == "step"
    assert compared([(x, b, a) for x, a, b in pairs]).verdict(GATES, n_steps=3) == "stop"


def test_neither_a_step_without_enough_labels_nor_a_stop_that_waits_for_them():
    pairs = [(n % 5 == 0, 0.1, 0.6) for n in range(150)]

    assert compared(pairs).verdict(GATES, n_steps=1) is None
    assert compared([(x, b, a) for x, a, b in pairs]).verdict(GATES, n_steps=1) == "stop"


def test_who_is_as_good_steps_where_a_little_harm_is_tolerated_and_waits_where_none_is():
    chance = random.Random(4)
    pairs = []
    for _ in range(4_000):
        off = chance.choice((-0.02, 0.02))
        pairs.append((chance.random() < 0.3, 0.3 + off, 0.3 - off))
    alike = compared(pairs)

    assert alike.verdict(GATES, n_steps=3) is None
    assert alike.verdict(Gates(min_labels=200, tolerance=0.02), n_steps=3) == "step"


@pytest.mark.parametrize("n_steps", [1, 3])
def test_all_stages_together_are_wrong_no_more_often_than_declared(n_steps):
    """However often people step it back and forth: the evidence that is asked for grows."""
    shares = [Comparison("tree", 0.1, stage=n)._error(GATES, n_steps) for n in range(2_000)]
    pairs = [(n % 5 == 0, 0.2, 0.5) for n in range(500)]
    later = compared(pairs)
    later.stage = 60

    assert math.fsum(shares) == pytest.approx(GATES.error)
    assert min(shares) > 0
    assert shares[: n_steps - 1] == [GATES.error / n_steps] * (n_steps - 1)
    assert compared(pairs).verdict(GATES, n_steps=n_steps) == "step"
    assert later.verdict(GATES, n_steps=n_steps) is None


@given(st.lists(st.tuples(st.booleans(), scores, scores), max_size=30))
def test_no_label_decides_alone_and_none_counts_twice(pairs):
    made = compared(pairs)
    whole = msgspec.msgpack.encode(made)
    for offset, (label, candidate, champion) in enumerate(pairs):
        made.update(offset, label, candidate=candidate, champion=champion)

    assert abs(made.differences.total) <= MOST * len(pairs)
    assert made.differences.n == len(pairs)
    assert msgspec.msgpack.encode(made) == whole
    assert msgspec.msgpack.decode(whole, type=Comparison) == made


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"min_labels": 0}, "min_labels"),
        ({"error": 1}, "error"),
        ({"one_in": 0}, "one_in"),
        ({"tolerance": -0.1}, "tolerance"),
    ],
)
def test_gates_that_cannot_be_are_refused(wrong, said):
    with pytest.raises(InvalidDeclaration, match=said):
        Gates(**wrong)
