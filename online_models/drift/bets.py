"""Bets on a rank: what pays if the scores changed, and pays nothing on average if they did not.

A rank is where a score lies among those before, from 0 to 1. While nothing changes it is uniform,
so a bet is a density over ranks: its mean is exactly 1, it cannot win in the long run. These are
polynomials and steps, whose means over a range of ranks need no table and no rounding.
"""

from typing import Final, Literal

Signal = Literal[
    "score_mean",
    "score_spread",
    "score_tail",
    "class_mix",
    "answer_mean",
    "answer_error",
    "action_mix",
]

SIGNALS: Final[tuple[Signal, ...]] = ("score_mean", "score_spread", "score_tail")

SIGNAL_OF_BET: Final[tuple[Signal, ...]] = (
    *("score_mean", "score_mean"),
    *("score_spread", "score_spread"),
    *("score_tail", "score_tail"),
)
"""Higher and lower, wider and narrower, more of the lowest and more of the highest."""
N_BETS: Final = len(SIGNAL_OF_BET)
TAIL: Final = 0.02
"""Share of the scores in the lower, and in the upper, tail."""

_ON_MEAN: Final = 0.6
_ON_SPREAD: Final = 0.8
_ON_TAIL: Final = 0.05
"""Stakes, of what a bet owns. Higher ones find large changes sooner and small ones later."""


def factors(first: float, end: float) -> tuple[float, ...]:
    """Tell what each bet pays on a rank that lies somewhere from `first` to `end`.

    Scores that are equal share a range of ranks: each bet pays its mean over it. So the mean
    payment is exactly 1 over any partition of the ranks, weighted by the widths of its parts.

    >>> [round(factor, 2) for factor in factors(0.98, 1.0)]
    [1.59, 0.41, 1.75, 0.25, 0.95, 3.45]
    >>> ranges = [(0.0, 0.3), (0.3, 0.96), (0.96, 1.0)]
    >>> means = [sum((b - a) * factors(a, b)[bet] for a, b in ranges) for bet in range(N_BETS)]
    >>> [round(mean, 12) for mean in means]
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    both = first + end
    # Legendre polynomials of the rank: 2u - 1 and 6u² - 6u + 1.
    mean = _ON_MEAN * (both - 1)
    spread = _ON_SPREAD * (2 * (both * both - first * end) - 3 * both + 1)
    lowest = highest = 1 - _ON_TAIL
    if first < TAIL:
        lowest += _ON_TAIL / TAIL * (min(end, TAIL) - first) / (end - first)
    if end > 1 - TAIL:
        highest += _ON_TAIL / TAIL * (end - max(first, 1 - TAIL)) / (end - first)
    return 1 + mean, 1 - mean, 1 + spread, 1 - spread, lowest, highest
