"""Which part of the traffic moved: scores by segment, before and after."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Final, Literal, NamedTuple

import msgspec

MOST_FIELDS: Final = 3
_ERROR: Final = 0.01
"""Probability to name a segment although none moved."""
_FEWEST: Final = 5
"""Visits of a segment after the onset below which nothing is said of its scores."""

OTHER: Final = "other"
"""All values that are not declared."""


class Segments:
    """The segments that declared fields divide the traffic into.

    Parameters
    ----------
    fields
        Of each field: its name, its declared values, and the features that are 1 for them.

    Examples
    --------
    >>> segments = Segments([("platform", ("mobile", "desktop"), ("is_mobile", "is_desktop"))])
    >>> segments.names
    ('platform=mobile', 'platform=desktop', 'platform=other')
    >>> segments.of({"is_mobile": 0.0, "is_desktop": 1.0})
    (1,)
    >>> segments.of({"is_mobile": 0.0, "is_desktop": 0.0})
    (2,)
    """

    def __init__(self, fields: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> None:
        fields = fields[:MOST_FIELDS]
        self.names: Final = tuple(
            f"{field}={value}" for field, values, _ in fields for value in (*values, OTHER)
        )
        self._features: list[tuple[int, Sequence[str]]] = []
        first = 0
        for _, _, features in fields:
            self._features.append((first, features))
            first += len(features) + 1

    def of(self, features: Mapping[str, float]) -> tuple[int, ...]:
        """Tell in which segments an event is: one of each field, as places in `names`."""
        found = []
        for segment, names in self._features:
            for name in names:
                if features[name]:
                    break
                segment += 1  # noqa: PLW2901  # the next one
            found.append(segment)
        return tuple(found)


class SegmentMove(NamedTuple):
    """The segment that moved most."""

    segment: str
    moved: Literal["score", "share"]
    """Whether its scores are others, or its share of the traffic is."""
    z: float
    """Standard errors."""


class SegmentSums(msgspec.Struct, array_like=True):
    """Sums of scores by segment, since the reference was begun.

    >>> sums = SegmentSums()
    >>> visits = [(0.1 * (n % 5), (n % 2,)) for n in range(1_000)]
    >>> visits += [(0.5 + 0.1 * (n % 5), (0,)) if n % 2 else (0.2, (1,)) for n in range(50)]
    >>> for score, segments in visits:
    ...     sums.add(score, segments)
    >>> move = sums.moved(visits[-50:], ("mobile", "desktop"))
    >>> move.segment, move.moved, round(move.z)
    ('mobile', 'score', 17)
    """

    n: list[int] = []
    totals: list[float] = []
    squares: list[float] = []

    def add(self, score: float, segments: Sequence[int]) -> None:
        """Take in a score of these segments."""
        for segment in segments:
            while segment >= len(self.n):
                self.n.append(0)
                self.totals.append(0.0)
                self.squares.append(0.0)
            self.n[segment] += 1
            self.totals[segment] += score
            self.squares[segment] += score * score

    def moved(
        self, latest: Sequence[tuple[float, Sequence[int]]], names: Sequence[str]
    ) -> SegmentMove | None:
        """Tell which segment's latest scores, or whose share, are the least like those before.

        `None`: none of them is surely another one than before.

        Parameters
        ----------
        latest
            Scores with their segments, the last of those that were added.
        names
            Of the segments.
        """
        after = SegmentSums()
        for score, segments in latest:
            after.add(score, segments)
        n_fields = len(latest[0][1]) if latest else 0
        if not n_fields:
            return None
        n_after = len(latest)
        n_before = sum(self.n) // n_fields - n_after
        moves = []
        for segment, name in enumerate(names[: len(self.n)]):
            k, total, _ = after._at(segment)
            n, total_before, squares = self._at(segment)
            n, total_before = n - k, total_before - total
            squares -= after._at(segment)[2]
            moves.append(SegmentMove(name, "share", _of_shares(k, n_after, n, n_before)))
            if k >= _FEWEST and n >= _FEWEST:
                mean = total_before / n
                error = math.sqrt(max(0.0, squares / n - mean * mean) * (1 / n + 1 / k))
                z = (total / k - mean) / error if error else 0.0
                moves.append(SegmentMove(name, "score", z))
        most = max(moves, key=lambda move: abs(move.z))
        # Bonferroni: the most extreme of many is extreme by chance.
        line = NormalDist().inv_cdf(1 - _ERROR / 2 / len(moves))
        return most if abs(most.z) >= line else None

    def _at(self, segment: int) -> tuple[int, float, float]:
        if segment >= len(self.n):
            return 0, 0.0, 0.0
        return self.n[segment], self.totals[segment], self.squares[segment]


def _of_shares(k: int, n_after: int, n: int, n_before: int) -> float:
    """Hold a share against what it was, in standard errors.

    >>> round(_of_shares(30, 50, 500, 1_000), 1)
    1.4
    """
    if n_after < 1 or n_before < 1:
        return 0.0
    share = (k + n) / (n_after + n_before)
    error = math.sqrt(share * (1 - share) * (1 / n_after + 1 / n_before))
    return (k / n_after - n / n_before) / error if error else 0.0
