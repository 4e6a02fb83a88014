"""Ranks among all values so far, in memory that does not grow.

Only the order of the values counts: any increasing function of them gives the same ranks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

_MOST_REFERENCE_EDGES: Final = 64
_MOST_EDGES: Final = 128
"""As many again may be added by scores lower or higher than any before. Without a change such
records come ever more rarely: the logarithm of the number of scores tells how many."""
_LEAST_STEP: Final = 0.08
"""In a normal score, from one record to the next: more than a bin of `Counts` is wide."""

_BINS: Final = 128
_BLOCK: Final = 16
_FURTHEST: Final = 4.5
_BINS_PER_UNIT: Final = _BINS / (2 * _FURTHEST)


def reference(scores: Sequence[float]) -> tuple[list[float], list[float]]:
    """Take some of the scores as edges, with the normal score of each.

    >>> edges, normal = reference([0.3, 0.1, 0.2, 0.1])
    >>> edges, [round(each, 2) for each in normal]
    ([0.1, 0.2, 0.3], [-0.67, 0.32, 1.15])
    """
    ordered = sorted(scores)
    distinct = sorted(set(scores))
    last = len(distinct) - 1
    n_edges = min(len(distinct), _MOST_REFERENCE_EDGES)
    edges = [distinct[i * last // max(1, n_edges - 1)] for i in range(n_edges)]
    inverse = NormalDist().inv_cdf
    return edges, [
        inverse((bisect_left(ordered, edge) + bisect_right(ordered, edge)) / 2 / len(ordered))
        for edge in edges
    ]


def normal_score(edges: list[float], normal: list[float], score: float, n: int) -> float:
    """Look a score up among edges, and let it be one if it is lower or higher than all.

    What a score once gave it gives until the edges are set anew, so that ranks of what is derived
    from it stay comparable.

    >>> edges, normal = [0.1, 0.3], [-1.0, 1.0]
    >>> [normal_score(edges, normal, score, n=1_000) for score in (0.1, 0.2, 0.3)]
    [-1.0, 0.0, 1.0]
    >>> round(normal_score(edges, normal, 0.4, n=1_000), 2), edges
    (3.29, [0.1, 0.3, 0.4])
    """
    at = bisect_left(edges, score)
    if at == len(edges):
        if at < _MOST_EDGES:
            extreme = NormalDist().inv_cdf(1 - 0.5 / n)
            edges.append(score)
            normal.append(max(normal[-1] + _LEAST_STEP, extreme))
        return normal[-1]
    if edges[at] == score:
        return normal[at]
    if at == 0:
        if len(edges) < _MOST_EDGES:
            extreme = NormalDist().inv_cdf(0.5 / n)
            edges.insert(0, score)
            normal.insert(0, min(normal[0] - _LEAST_STEP, extreme))
        return normal[0]
    return (normal[at - 1] + normal[at]) / 2


class Counts:
    """Where a value lies among all so far, to a fourteenth of a standard deviation.

    >>> counts = Counts([0] * 128)
    >>> [counts.add(value) for value in (0.0, 1.0, -1.0, 0.0)]
    [(0.0, 1.0), (0.5, 1.0), (0.0, 0.3333333333333333), (0.25, 0.75)]
    """

    __slots__ = ("_blocks", "_n", "by_bin")

    def __init__(self, by_bin: list[int]) -> None:
        self.by_bin = by_bin
        self._n = sum(by_bin)
        self._blocks = [sum(by_bin[i : i + _BLOCK]) for i in range(0, _BINS, _BLOCK)]

    def add(self, value: float) -> tuple[float, float]:
        """Count a value; tell from where to where its bin reaches, from 0 to 1 of all."""
        bin_ = int((value + _FURTHEST) * _BINS_PER_UNIT)
        bin_ = 0 if bin_ < 0 else min(bin_, _BINS - 1)
        by_bin, blocks = self.by_bin, self._blocks
        block = bin_ // _BLOCK
        below = sum(blocks[:block]) + sum(by_bin[block * _BLOCK : bin_])
        blocks[block] += 1
        here = by_bin[bin_] = by_bin[bin_] + 1
        n = self._n = self._n + 1
        return below / n, (below + here) / n


def no_counts() -> list[int]:
    """Make what `Counts` begins with."""
    return [0] * _BINS
