"""Has the stream of scores moved? An alarm with a promise on false alarms.

Each score is turned into its rank among the scores since the last reset. While nothing
changes, such sequential ranks are uniform whatever the distribution of the scores is, so the
detector needs no assumption about it and no tuning to it. Two normal variables derive from a
rank: how high it is (location), and how far from the middle (spread). Each is watched upward
and downward by a CUSUM.

The promise holds for independent scores. Scores of one user resemble each other, which makes
real alarms more frequent than promised.

References
----------
Sequential ranks: Bhattacharya and Frierson, A nonparametric control chart for detecting small
disorders, Ann. Statist. 9 (1981). Threshold: Siegmund, Sequential Analysis (1985), ch. X.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Final, Literal, NamedTuple

import msgspec

Signal = Literal["score_mean", "score_spread"]

_ALLOWANCE: Final = 0.125
"""CUSUM's k: tuned to shifts of a quarter of a standard deviation, in fewest events."""

_RECENT: Final = 0.01
"""Weight of the newest score in `mean`, which thus looks back on about 100 scores."""

_LEVELS: Final = 1_024
"""Resolution of ranks."""

_MOST_EDGES: Final = 256
"""Bounds the state, and with it what a batch writes to the changelog."""


def _running_sums(per_level: Iterable[float]) -> tuple[float, ...]:
    return tuple(accumulate(per_level, initial=0.0))


# Sums, so that the mean over the ranks that tied scores share is one subtraction. Taking their
# middle rank instead would look like a lack of spread where many scores are equal.
_HIGH_BEFORE: Final = _running_sums(
    NormalDist().inv_cdf((level + 0.5) / _LEVELS) for level in range(_LEVELS)
)
_FAR_BEFORE: Final = _running_sums(
    NormalDist().inv_cdf(abs(2 * level + 1 - _LEVELS) / _LEVELS) for level in range(_LEVELS)
)


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """The scores are no longer what they were since the last reset."""

    signal: Signal
    value: float
    """Mean, or mean distance from the reference mean, of the latest scores."""
    reference: float
    """The same, of all scores since the last reset."""
    statistic: float
    threshold: float
    """What the statistic exceeded."""
    n: int
    """Scores since the last reset."""


class Standing(NamedTuple):
    """How much speaks for a change of one signal."""

    signal: Signal
    statistic: float
    """The higher of its two CUSUMs; an alarm is raised above the threshold."""
    recent: float
    """Mean, or mean distance from the reference mean, of about the latest hundred scores."""
    reference: float
    """The same, of all scores since the last reset."""


class _State(msgspec.Struct, array_like=True):
    """All that changes, as it is stored."""

    n: int = 0
    total: float = 0.0
    total_distance: float = 0.0
    mean: float = 0.0
    spread: float = 0.0
    warmup: list[float] = []
    edges: list[float] = []
    """Some scores of the warm-up, sorted. Each is a bin, and so is each gap around them. There are
    none until the warm-up is over."""
    counts: list[int] = []
    """Scores in each bin."""
    tree: list[int] = []
    """Fenwick tree over `counts`: how many lie below a bin, in logarithmic time."""
    higher: float = 0.0
    lower: float = 0.0
    wider: float = 0.0
    narrower: float = 0.0


class ScoreDrift:
    """Watches location and spread of a stream of scores in constant time and memory.

    After an alarm it forgets all and begins anew; the warm-up is its cool-down.

    Parameters
    ----------
    scores_per_false_alarm
        Average number of scores to a false alarm, if the scores are independent.
    warmup_scores
        Scores that set the reference before the first alarm; at least 2.

    Examples
    --------
    >>> drift = ScoreDrift(scores_per_false_alarm=100_000, warmup_scores=200)
    >>> steady = [0.1 + 0.8 * (i * 0.618034 % 1.0) for i in range(2_000)]
    >>> [alarm for score in steady if (alarm := drift.update(score))]
    []
    >>> alarms = [alarm for score in steady if (alarm := drift.update(score / 2))]
    >>> alarms[0].signal, alarms[0].n, alarms[0].value < alarms[0].reference
    ('score_mean', 2035, True)
    """

    def __init__(self, *, scores_per_false_alarm: float, warmup_scores: int) -> None:
        self.threshold = _threshold(scores_per_false_alarm)
        self._warmup_scores = warmup_scores
        self._state = _State()

    def update(self, score: float) -> DriftAlarm | None:
        """Take in a score; tell if by now the scores are not what they were."""
        state = self._state
        n = state.n = state.n + 1
        state.total += score
        weight = 1 / n if n * _RECENT < 1 else _RECENT
        state.mean += weight * (score - state.mean)
        distance = abs(score - state.total / n)
        state.total_distance += distance
        state.spread += weight * (distance - state.spread)
        if not state.edges:  # not `n`: the policy may have changed since the reference was set
            state.warmup.append(score)
            if n >= self._warmup_scores:
                _set_reference(state)
            return None

        bin_ = bisect_left(state.edges, score) + bisect_right(state.edges, score)
        below = _count(state, bin_)
        first = below * _LEVELS // n
        end = -((below + state.counts[bin_]) * -_LEVELS // n)
        high = (_HIGH_BEFORE[end] - _HIGH_BEFORE[first]) / (end - first)
        far = (_FAR_BEFORE[end] - _FAR_BEFORE[first]) / (end - first)

        state.higher = max(0.0, state.higher + high - _ALLOWANCE)
        state.lower = max(0.0, state.lower - high - _ALLOWANCE)
        state.wider = max(0.0, state.wider + far - _ALLOWANCE)
        state.narrower = max(0.0, state.narrower - far - _ALLOWANCE)
        if self.statistic <= self.threshold:
            return None
        alarm = self._alarm()
        self._state = _State()
        return alarm

    @property
    def n(self) -> int:
        """Scores since the last reset."""
        return self._state.n

    @property
    def statistic(self) -> float:
        """The highest of the four CUSUMs; an alarm is raised above `threshold`."""
        state = self._state
        return max(state.higher, state.lower, state.wider, state.narrower)

    def standings(self) -> tuple[Standing, Standing]:
        """Tell of each signal where it stands."""
        state = self._state
        n = state.n or 1
        return (
            Standing("score_mean", max(state.higher, state.lower), state.mean, state.total / n),
            Standing(
                "score_spread",
                max(state.wider, state.narrower),
                state.spread,
                state.total_distance / n,
            ),
        )

    def encode(self) -> bytes:
        """Write the state; its size is bounded."""
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def decode(
        cls, blob: bytes, *, scores_per_false_alarm: float, warmup_scores: int
    ) -> "ScoreDrift":
        """Go on where the encoded detector was, under a policy that may have changed.

        Another warm-up holds for a reference that is not set yet; one that is set stays.

        >>> policy = {"scores_per_false_alarm": 100_000}
        >>> drift = ScoreDrift(**policy, warmup_scores=100)
        >>> alarms = [drift.update(0.3) for _ in range(60)]
        >>> shorter = ScoreDrift.decode(drift.encode(), **policy, warmup_scores=50)
        >>> shorter.update(0.4), shorter.n
        (None, 61)
        """
        drift = cls(scores_per_false_alarm=scores_per_false_alarm, warmup_scores=warmup_scores)
        drift._state = msgspec.msgpack.decode(blob, type=_State)
        return drift

    def _alarm(self) -> DriftAlarm:
        signal, statistic, value, reference = max(self.standings(), key=_statistic)
        return DriftAlarm(signal, value, reference, statistic, self.threshold, self.n)


def _statistic(standing: Standing) -> float:
    return standing.statistic


def _set_reference(state: _State) -> None:
    """Turn the warm-up into bins and count it into them."""
    distinct = sorted(set(state.warmup))
    state.edges = distinct[:: -(-len(distinct) // _MOST_EDGES)]
    bins = 2 * len(state.edges) + 1
    state.counts, state.tree = [0] * bins, [0] * (bins + 1)
    for score in state.warmup:
        _count(state, bisect_left(state.edges, score) + bisect_right(state.edges, score))
    state.warmup = []


def _count(state: _State, bin_: int) -> int:
    """Count a score into its bin, and tell how many lie in the bins below."""
    tree = state.tree
    below, node = 0, bin_
    while node > 0:
        below += tree[node]
        node &= node - 1
    state.counts[bin_] += 1
    node, nodes = bin_ + 1, len(tree)
    while node < nodes:
        tree[node] += 1
        node += node & -node
    return below


def _threshold(scores_per_false_alarm: float) -> float:
    """Solve Siegmund's formula for the limit of four CUSUMs that share a false-alarm budget.

    >>> [round(_threshold(events), 1) for events in (1_000, 1_000_000)]
    [18.4, 45.7]
    """
    each = 4 * scores_per_false_alarm
    low, high = 0.0, 1_000.0
    for _ in range(60):  # halvings: to the last digit
        middle = (low + high) / 2
        b = 2 * _ALLOWANCE * (middle + 1.166)
        if (math.exp(b) - b - 1) / (2 * _ALLOWANCE**2) < each:
            low = middle
        else:
            high = middle
    return high
