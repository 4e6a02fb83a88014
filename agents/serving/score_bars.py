"""Sketches as the bars that the page draws: shares of equal steps. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

from agents.observability.metric_list import SCORE_BUCKETS
from online_models.sketch import Sketch, score_bounds, value_bounds

Bounds = Callable[[int, int], tuple[float, float]]

_OUTSIDE: Final = 0.005
"""Share of amounts on either side that the steps do not reach; they stand with the last step."""


def score_shares(sketch: Sketch) -> list[float]:
    """Tell which share of the scores lies in each step from 0 to 1.

    >>> from online_models.sketch import score_cell
    >>> sketch = Sketch.of({score_cell(0.02): 3, score_cell(0.97): 1}, squares=4)
    >>> [round(share, 2) for share in score_shares(sketch)][::19]
    [0.75, 0.25]
    """
    return _shares(sketch, score_bounds, 0.0, 1.0)


def amount_range(*sketches: Sketch) -> tuple[float, float]:
    """Tell between which amounts nearly all lie.

    >>> from online_models.sketch import value_cell
    >>> [round(end, 1) for end in amount_range(Sketch.of({value_cell(8.0): 9}, squares=9))]
    [8.0, 8.4]
    """
    parts = sorted(part for sketch in sketches for part in _parts(sketch, value_bounds))
    n, before = sum(count for *_, count in parts), 0
    low = high = 0.0
    for begin, end, count in parts:
        if before <= _OUTSIDE * n:
            low = begin
        if before < (1.0 - _OUTSIDE) * n:
            high = end
        before += count
    return low, high if high > low else low + 1.0


def amount_shares(sketch: Sketch, low: float, high: float) -> list[float]:
    """Tell which share of the amounts lies in each step; what is beyond, in the nearest.

    >>> from online_models.sketch import value_cell
    >>> sketch = Sketch.of({value_cell(-5.0): 1, value_cell(3.5): 1}, squares=2)
    >>> [round(share, 2) for share in amount_shares(sketch, 0.0, 20.0)][:4]
    [0.5, 0.0, 0.0, 0.5]
    """
    return _shares(sketch, value_bounds, low, high)


def _parts(sketch: Sketch, bounds: Bounds) -> Iterator[tuple[float, float, int]]:
    for cell, count in sketch.counts.items():
        yield *bounds(cell, sketch.level), count


def _shares(sketch: Sketch, bounds: Bounds, low: float, high: float) -> list[float]:
    """Spread each cell evenly over the steps that it reaches into."""
    shares, n = [0.0] * SCORE_BUCKETS, sketch.n
    width = (high - low) / SCORE_BUCKETS
    last = SCORE_BUCKETS - 1
    for begin, end, count in _parts(sketch, bounds):
        first_step = min(max(int((begin - low) / width), 0), last)
        last_step = min(max(int((end - low) / width), 0), last)
        if first_step == last_step:
            shares[first_step] += count / n
            continue
        for step in range(first_step, last_step + 1):
            left = begin if step == first_step else low + step * width
            right = end if step == last_step else low + (step + 1) * width
            shares[step] += (right - left) / (end - begin) * count / n
    return shares
