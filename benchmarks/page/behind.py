"""How far a page that shows a count is behind what it counts. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

Shown = Sequence[tuple[float, float]]
"""(when it was painted, ms; the count that was shown), in the order of time."""


def delays_ms(published_ms: Sequence[float], shown: Shown) -> list[float]:
    """Tell of each event how long after its publication the page counted it.

    Events that were counted before the first look, or are not counted by the last, are left out.

    Parameters
    ----------
    published_ms
        When each event was published, in that order.

    Examples
    --------
    >>> delays_ms([0.0, 100.0, 900.0, 2_500.0], [(50.0, 0.0), (1_000.0, 3.0), (2_000.0, 3.0)])
    [1000.0, 900.0, 100.0]
    """
    counts = [count for _, count in shown]
    if not counts:
        return []
    found = []
    for number in range(int(counts[0]) + 1, min(int(counts[-1]), len(published_ms)) + 1):
        at_ms, _ = shown[bisect_left(counts, number)]
        found.append(at_ms - published_ms[number - 1])
    return found


def ages_ms(published_ms: Sequence[float], shown: Shown) -> Iterator[float]:
    """Tell at each update how old the newest event is that is counted, as it is painted.

    >>> list(ages_ms([0.0, 100.0, 900.0], [(50.0, 0.0), (1_000.0, 3.0), (2_000.0, 3.0)]))
    [100.0]
    """
    before = shown[0][1] if shown else 0.0
    for at_ms, count in shown:
        if before < count <= len(published_ms):
            yield at_ms - published_ms[int(count) - 1]
        before = max(before, count)
