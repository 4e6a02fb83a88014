"""Choosing among arms: with what probability each, and which one for a given question.

Nothing here draws by itself. A policy tells the probability of each arm, and the hash of a
question's id decides among them. So whoever computes it again, after a crash or in a replay,
chooses the same, and the probability that is noted is the one that was chosen by, whatever the
policy made it of.
"""

from collections.abc import Sequence
from hashlib import blake2b
from statistics import NormalDist
from typing import Final

import numpy as np

_PARTS: Final = 1 << 53
"""As fine as a float between 0 and 1 can be."""
_STEPS: Final = 32
"""Of the integral that tells who is the best."""
_NEAR: Final = 2.5
_FAR: Final = 5.0
"""Standard deviations beyond which a normal distribution has nothing to say."""
_CERTAIN: Final = 1e-6
"""The least deviation, as a part of the largest."""
_DEVIATIONS: Final = np.linspace(-_FAR, _FAR, 2_001)
_BELOW: Final = np.array([NormalDist().cdf(each) for each in _DEVIATIONS])
"""Of a standard normal distribution; to a millionth in between."""


def chosen(question: str, shares: Sequence[float]) -> int:
    """Choose an arm; over all questions each as often as its share says.

    Parameters
    ----------
    question
        Its id.
    shares
        The probability of each arm; all together 1.

    Examples
    --------
    >>> chosen("offers:e1", [0.2, 0.8]), chosen("offers:e1", [0.2, 0.8])
    (1, 1)
    >>> sum(chosen(f"offers:e{n}", [0.2, 0.8]) for n in range(10_000))
    8028
    """
    digest = blake2b(question.encode(), digest_size=8, person=b"arm").digest()
    left = (int.from_bytes(digest) >> 11) / _PARTS
    last = 0
    for number, share in enumerate(shares):
        if share > 0.0:
            if left < share:
                return number
            left -= share
            last = number
    return last  # by the rounding of their sum


def even(n: int) -> list[float]:
    """Give each of n arms the same.

    >>> even(4)
    [0.25, 0.25, 0.25, 0.25]
    """
    return [1.0 / n] * n


def greedy(values: Sequence[float]) -> list[float]:
    """Give all to the largest; those that are equally large have the same.

    >>> greedy([3.0, 1.0, 3.0])
    [0.5, 0.0, 0.5]
    """
    largest = max(values)
    share = 1.0 / sum(value == largest for value in values)
    return [share if value == largest else 0.0 for value in values]


def explored(shares: Sequence[float], explore: float) -> list[float]:
    """Let so large a part of all questions be answered by chance, so that no arm has nothing.

    >>> explored([1.0, 0.0], 0.1)
    [0.95, 0.05]
    """
    least = explore / len(shares)
    return [(1.0 - explore) * share + least for share in shares]


def shares_of_best(means: Sequence[float], deviations: Sequence[float]) -> list[float]:
    """Tell how probable it is that each of some independent normal numbers is the largest.

    What Thompson (1933) draws from. By some 32 steps of an integral, hence to about a hundredth;
    all together they are 1.

    Examples
    --------
    >>> [round(share, 3) for share in shares_of_best([1.0, 0.0], [1.0, 1.0])]  # exactly 0.760
    [0.76, 0.24]
    >>> shares_of_best([1.0, 0.0], [0.0, 0.0])
    [1.0, 0.0]
    >>> [round(share, 3) for share in shares_of_best([1.0, 0.0], [0.0, 1.0])]  # exactly 0.841
    [0.841, 0.159]
    """
    middle = np.array(means)
    by = np.maximum(deviations, _CERTAIN * max(deviations))
    low, high = float((middle - _FAR * by).max()), float((middle + _FAR * by).max())
    width = (high - low) / _STEPS
    if not low + width > low:  # nothing is uncertain
        return greedy(means)
    steps = low + width * np.arange(_STEPS + 1)
    ends = np.clip([middle - _NEAR * by, middle + _NEAR * by], low, high)
    edges = np.sort(np.concatenate((steps, ends.ravel())))
    below = np.interp((edges - middle[:, None]) / by[:, None], _DEVIATIONS, _BELOW)
    rises, between = np.diff(below), (below[:, :-1] + below[:, 1:]) / 2.0
    # Of all the others, whose product must not be had by a division: some are 0.
    others = np.ones_like(between)
    others[1:] = np.cumprod(between[:-1], axis=0)
    others[:-1] *= np.cumprod(between[:0:-1], axis=0)[::-1]
    shares = (rises * others).sum(axis=1)
    whole = float(shares.sum())
    found: list[float] = (shares / whole).tolist() if whole > 0.0 else greedy(means)
    return found
