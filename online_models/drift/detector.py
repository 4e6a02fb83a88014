"""Have the scores changed? An alarm with a promise on false alarms.

A score becomes its rank among all since the last reset, and each bet (`bets`) stakes on that rank.
`R = (R + w) * factor` is what a bet owns that is given `w` before each score: the
Shiryaev-Roberts e-detector. Without a change no bet wins on average, so the mean of all R is on
average what was given so far. An alarm is raised once it reaches a budget: the expected sum of `w`
until a false alarm is at least that budget, whatever the distribution of the scores is. `w` is one,
or the time since the score before: so the budget is a number of scores or a span of time.

That is a theorem for scores whose order tells nothing. Those that follow the hour are ranked in
classes of hours, and what a score tells of the next one (`dependence`) is taken off before: for
these the promise rests on measurement (docs/drift.md).

References
----------
Shin, Ramdas, Rinaldo: E-detectors, New England J. Statist. Data Sci. 2 (2024),
doi 10.51387/23-NEJSDS51. Vovk: Testing randomness online, Statist. Sci. 36 (2021).
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from online_models.drift.bets import N_BETS, SIGNAL_OF_BET, SIGNALS, TAIL, Signal, factors
from online_models.drift.dependence import CLASSES, Dependence, hour_class
from online_models.drift.moments import NO_MOMENTS, Moments
from online_models.drift.ranks import Counts, no_counts, normal_score, reference
from online_models.drift.run_length import RunLength

_N_RECENT: Final = 100
"""Scores that what is told as recent looks back on."""

_MOST_WARMUP_SCORES: Final = 256
"""That are kept until the reference is set. A longer warm-up goes on counting ranks, no bets."""

_EVIDENCE: Final = 100.0
"""What a bet grows to by chance in a hundredth of all stretches."""

_Sums = tuple[float, float, float]
"""By signal: of scores, of their distances from the mean they had, of those in a tail."""


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """The scores are no longer what they were since the last reset."""

    signal: Signal
    """What moved: mean, spread, or the share of scores in the tails."""
    value: float
    """The mean score since the onset; or the mean distance from the mean; or the share of scores
    among the lowest and highest fiftieth of those before."""
    reference: float
    """The same, from the last reset to the onset."""
    statistic: float
    """Logarithm (base 10) of what the bets own, in scores or in hours."""
    threshold: float
    """The same of the budget, which they reached."""
    n: int
    """Scores since the last reset."""
    n_since_onset: int = 0
    onset_ms: int = 0
    """Event time of the first score that bets on the signal won from: the likely onset."""
    severity: float = 0.0
    """From reference to value, in standard deviations of what is measured."""
    moments: Moments = NO_MOMENTS
    """Of all scores since the last reset."""


class Standing(NamedTuple):
    """How much speaks for a change of one signal."""

    signal: Signal
    statistic: float
    """Its part of the statistic; an alarm is raised where all together reach the threshold."""
    recent: float
    """As `DriftAlarm.value`, of about the latest hundred scores."""
    reference: float
    """As `DriftAlarm.value`, of all scores since the last reset."""


_Onset = tuple[int, int, _Sums]
"""Scores and sums before the first score that a bet won from, and the event time of that score."""
_NO_ONSET: Final[_Onset] = (0, 0, (0.0, 0.0, 0.0))


def _per_bet() -> list[float]:
    return [0.0] * N_BETS


class _State(msgspec.Struct, array_like=True):
    """All that changes, as it is stored."""

    in_time: bool = False
    """What is owned counts hours, not scores."""
    n: int = 0
    newest_ms: int = 0
    sums: _Sums = (0.0, 0.0, 0.0)
    squares: float = 0.0
    recent: _Sums = (0.0, 0.0, 0.0)
    warmup: list[tuple[float, int]] = []
    """Scores with their classes of hours, until the reference is set."""
    edges: list[float] = []
    normal: list[float] = []
    """The normal score of each edge."""
    counts: list[list[int]] = []
    """By class of hours."""
    dependence: Dependence = msgspec.field(default_factory=Dependence)
    owned: list[float] = msgspec.field(default_factory=_per_bet)
    grown: list[float] = msgspec.field(default_factory=_per_bet)
    """By how much each bet grew since its onset; one that falls to 1 has none."""
    onsets: list[_Onset] = msgspec.field(default_factory=lambda: [_NO_ONSET] * N_BETS)


class ScoreDrift:
    """Watches mean, spread and tails of a stream of scores in constant time and memory.

    After an alarm it forgets all and begins anew; the warm-up is its cool-down.

    Parameters
    ----------
    run_length
        Average number of scores, or time, to a false alarm.
    warmup_scores
        Scores that set the reference before the first alarm; at least 2.

    Examples
    --------
    >>> drift = ScoreDrift(RunLength.scores(100_000), warmup_scores=200)
    >>> steady = [0.1 + 0.8 * (i * 0.618034 % 1.0) for i in range(2_000)]
    >>> [alarm for score in steady if (alarm := drift.update(score, at_ms=0))]
    []
    >>> alarms = [alarm for score in steady if (alarm := drift.update(score / 2, at_ms=9))]
    >>> alarms[0].signal, alarms[0].n - 2_000, alarms[0].onset_ms
    ('score_mean', 29, 9)
    >>> [round(each, 2) for each in (alarms[0].reference, alarms[0].value)]
    [0.5, 0.24]
    """

    def __init__(self, run_length: RunLength, *, warmup_scores: int) -> None:
        self._run_length = run_length
        self._warmup_scores = warmup_scores
        self._resume(_State(in_time=run_length.in_time))

    def update(self, score: float, at_ms: int) -> DriftAlarm | None:
        """Take in a score of an event time; tell if by now the scores are not what they were."""
        state = self._state
        n, sums = state.n, state.sums
        given = self._run_length.step(at_ms - state.newest_ms) if n else 0.0
        state.newest_ms = max(at_ms, state.newest_ms)
        state.n = n + 1
        class_ = hour_class(at_ms)
        if not state.edges:  # not `n`: the policy may have changed since the reference was set
            self._measure(score, is_in_tail=False)
            state.warmup.append((score, class_))
            if state.n >= min(self._warmup_scores, _MOST_WARMUP_SCORES):
                self._set_reference()
            return None
        first, end = self._rank(score, class_)
        self._measure(score, is_in_tail=not TAIL <= (first + end) / 2 <= 1 - TAIL)
        if n < self._warmup_scores:
            return None
        owned, grown, total = state.owned, state.grown, 0.0
        for bet, factor in enumerate(factors(first, end)):
            owned[bet] = now_owned = (owned[bet] + given) * factor
            total += now_owned
            if grown[bet] > 1.0:
                grown[bet] *= factor
            else:
                grown[bet] = factor
                state.onsets[bet] = n, at_ms, sums
        # Where all scores are equal no bet wins, nor loses what it is given.
        if total < self._run_length.amount * N_BETS or max(grown) <= 1.0:
            return None
        alarm = self._alarm()
        self._resume(_State(in_time=state.in_time))
        return alarm

    @property
    def n(self) -> int:
        """Scores since the last reset."""
        return self._state.n

    @property
    def moments(self) -> Moments:
        """Of the scores since the last reset."""
        state = self._state
        total, distances, _ = state.sums
        return Moments(state.n, total, distances, state.squares)

    @property
    def threshold(self) -> float:
        """The statistic at which an alarm is raised."""
        return _log10(self._run_length.amount)

    @property
    def statistic(self) -> float:
        """How much speaks for a change of whatever signal."""
        return _log10(sum(self._state.owned) / N_BETS)

    def standings(self) -> list[Standing]:
        """Tell of each signal where it stands."""
        state = self._state
        n = state.n or 1
        owned = dict.fromkeys(SIGNALS, 0.0)
        for signal, each in zip(SIGNAL_OF_BET, state.owned, strict=True):
            owned[signal] += each
        return [
            Standing(signal, _log10(owned[signal] / N_BETS), recent, total / n)
            for signal, recent, total in zip(SIGNALS, state.recent, state.sums, strict=True)
        ]

    def encode(self) -> bytes:
        """Write the state; its size is bounded."""
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def decode(cls, blob: bytes, run_length: RunLength, *, warmup_scores: int) -> "ScoreDrift":
        """Go on where the encoded detector was, under a policy that may have changed.

        Another warm-up holds for a reference that is not set yet; one that is set stays. Where
        scores were counted and now time is, or the other way round, bets begin with nothing.

        >>> policy = RunLength.scores(100_000)
        >>> drift = ScoreDrift(policy, warmup_scores=100)
        >>> alarms = [drift.update(0.3, at_ms=0) for _ in range(60)]
        >>> shorter = ScoreDrift.decode(drift.encode(), policy, warmup_scores=50)
        >>> shorter.update(0.4, at_ms=0), shorter.n
        (None, 61)
        """
        drift = cls(run_length, warmup_scores=warmup_scores)
        state = msgspec.msgpack.decode(blob, type=_State)
        if state.in_time != run_length.in_time:
            state.in_time = run_length.in_time
            state.owned = _per_bet()
        drift._resume(state)
        return drift

    def _resume(self, state: _State) -> None:
        self._state = state
        self._count(anew=not state.counts)

    def _count(self, *, anew: bool) -> None:
        state = self._state
        if anew:
            state.counts = [no_counts() for _ in range(CLASSES)]
        self._counts = [Counts(each) for each in state.counts]

    def _set_reference(self) -> None:
        """Turn the warm-up into edges, learn how it depends on itself, and count it."""
        state = self._state
        state.edges, state.normal = reference([score for score, _ in state.warmup])
        dependence = state.dependence
        normal = [
            normal_score(state.edges, state.normal, score, state.n) for score, _ in state.warmup
        ]
        classes = [class_ for _, class_ in state.warmup]
        for value, class_ in zip(normal, classes, strict=True):
            dependence.learn(value, class_)
        dependence.settle()
        dependence.last = 0.0
        for value, class_ in zip(normal, classes, strict=True):
            self._counts[class_].add(value - dependence.expected())
            dependence.last = value
        state.warmup = []

    def _rank(self, score: float, class_: int) -> tuple[float, float]:
        """Tell from where to where a score lies among those of its hours, and count it."""
        state = self._state
        dependence = state.dependence
        normal = normal_score(state.edges, state.normal, score, state.n)
        ranks = self._counts[class_].add(normal - dependence.expected())
        dependence.learn(normal, class_)
        # Not while there is evidence: a change looks like dependence, and would be forgotten.
        if (
            dependence.n >= dependence.next_look
            and max(state.grown) < _EVIDENCE
            and dependence.settle()
        ):
            # What comes is not to be ranked among what was expected otherwise.
            self._count(anew=True)
        return ranks

    def _measure(self, score: float, *, is_in_tail: bool) -> None:
        state = self._state
        n = state.n
        scores, distances, tails = state.sums
        scores += score
        distance = abs(score - scores / n)
        state.sums = scores, distances + distance, tails + is_in_tail
        state.squares += score * score
        mean, spread, tail = state.recent
        weight = 1 / n if n < _N_RECENT else 1 / _N_RECENT
        state.recent = (
            mean + weight * (score - mean),
            spread + weight * (distance - spread),
            tail + weight * (is_in_tail - tail),
        )

    def _alarm(self) -> DriftAlarm:
        state = self._state
        # Whatever moves the mean far moves the tails too: bets come in the order of what people
        # look at first, and a third of the best one's evidence is enough.
        enough = max(state.grown) ** (1 / 3)
        bet = next(bet for bet, grown in enumerate(state.grown) if grown >= enough)
        signal = SIGNAL_OF_BET[bet]
        n_before, onset_ms, sums_before = state.onsets[bet]
        which = SIGNALS.index(signal)
        before, since = sums_before[which], state.n - n_before
        reference = before / max(1, n_before)
        value = (state.sums[which] - before) / since
        deviation = math.sqrt(self._variances(reference)[which])
        return DriftAlarm(
            signal,
            value,
            reference,
            self.statistic,
            self.threshold,
            state.n,
            n_since_onset=since,
            onset_ms=onset_ms,
            severity=(value - reference) / deviation if deviation else 0.0,
            moments=self.moments,
        )

    def _variances(self, share: float) -> _Sums:
        """Tell how scores, their distances from the mean, and a share vary."""
        state = self._state
        scores, distances, _ = state.sums
        mean_square = state.squares / state.n
        of_scores = max(0.0, mean_square - (scores / state.n) ** 2)
        of_distances = max(0.0, of_scores - (distances / state.n) ** 2)
        return of_scores, of_distances, max(0.0, share * (1 - share))


def _log10(amount: float) -> float:
    """Take the logarithm of what is more than nothing much: a bar on the page begins at zero."""
    return math.log10(max(1.0, amount))
