"""Do answers still come as the twin expects them? An alarm with a promise on false alarms.

What an answer is beyond what a frozen twin of the model said of it, the rest, is averaged over ten
visits: a visit's own is nearly always one of two values. Where this mean lies among all before is a
rank, and so has the mean of the squares, which is the twin's error. While the relation of inputs
and answers stays, ranks are uniform, however good or badly calibrated the twin is. Four bets stake
on them: answers come more than they did, or less; the twin errs more, or less. What bets own grows
as `online_models.drift.detector` has it, with the same theorem behind it.
"""

import math
from typing import Annotated, Final

import msgspec

from online_models.drift.bets import Signal
from online_models.drift.detector import DriftAlarm, Standing
from online_models.drift.run_length import RunLength
from schemas.labels import LabelValue

BLOCK: Final = 10
"""Visits of which the means are ranked."""
SIGNALS_OF_ANSWERS: Final[tuple[Signal, ...]] = ("answer_mean", "answer_error")
_BETS: Final = ((0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0))
"""Which signal, and whether it is higher or lower."""
_STAKE: Final = 0.8
"""Of what a bet owns, on the highest rank or the lowest."""
_BINS: Final = 128
"""That a mean of 1 is away from one of 0."""
_RECENT: Final = 0.1
"""Weight of the latest block in what is told as recent: some hundred visits."""

_Sums = tuple[float, float, float]
"""Of rests, of their squares, and of the squares of these."""
_NOTHING: Final[_Sums] = (0.0, 0.0, 0.0)
_Onset = tuple[int, int, _Sums]
"""Visits and sums before the block from which on a bet won, and when that began."""


def rest_of(label: LabelValue, score: float, named: str | None = None) -> float | None:
    """Tell an answer less what was said of it, from -1 to 1; `None`: nothing was said.

    Of a class it is whether the one named came, less the confidence in it; an amount counts in
    parts of both.

    >>> rest_of(True, 0.75), rest_of("iris", 0.75, "rose"), rest_of(30.0, 10.0)
    (0.25, -0.75, 0.5)
    """
    if isinstance(label, str):
        return None if named is None else (label == named) - score
    if isinstance(label, bool):
        return label - score
    both = abs(label) + abs(score)
    return (label - score) / both if both else 0.0


_Each = msgspec.Meta(min_length=len(_BETS), max_length=len(_BETS))
"""Of the bets; another release may have had more."""
_PerBet = Annotated[list[float], _Each]


def _per_bet() -> list[float]:
    return [0.0] * len(_BETS)


class _State(msgspec.Struct, array_like=True):
    """All that changes, as it is stored."""

    in_time: bool = False
    n: int = 0
    sums: _Sums = _NOTHING
    recent: tuple[float, float] = (0.0, 0.0)
    newest_ms: int = 0
    block: list[float] = []
    """Rests that are no whole block yet."""
    block_began_ms: int = 0
    counts: tuple[dict[int, int], dict[int, int]] = msgspec.field(default_factory=lambda: ({}, {}))
    """Blocks by bin, of either signal."""
    owned: _PerBet = msgspec.field(default_factory=_per_bet)
    grown: _PerBet = msgspec.field(default_factory=_per_bet)
    """By how much each bet grew since its onset; one that falls to 1 has none."""
    onsets: Annotated[list[_Onset], _Each] = msgspec.field(
        default_factory=lambda: [(0, 0, _NOTHING)] * len(_BETS)
    )


class AnswerDrift:
    """Watches how answers differ from what was said, in memory that is bounded.

    After an alarm it forgets all and begins anew; the warm-up is its cool-down.

    Parameters
    ----------
    run_length
        Average number of visits, or time, to a false alarm.
    warmup
        Visits before the first bet.

    Examples
    --------
    Every fifth visit comes true, as the twin says; then one of thirty does:

    >>> drift = AnswerDrift(RunLength.scores(10_000), warmup=100)
    >>> chance = [n * n * 7 % 997 / 997 for n in range(3_600)]
    >>> [alarm for x in chance[:3_000] if (alarm := drift.update((x < 1 / 5) - 0.2, at_ms=0))]
    []
    >>> alarms = [alarm for x in chance if (alarm := drift.update((x < 1 / 30) - 0.2, at_ms=9))]
    >>> alarms[0].signal, alarms[0].onset_ms, alarms[0].n - 3_000
    ('answer_mean', 9, 150)
    >>> round(alarms[0].reference, 2), round(alarms[0].value, 2)
    (-0.0, -0.17)
    """

    def __init__(self, run_length: RunLength, *, warmup: int) -> None:
        self._run_length: Final = run_length
        self._warmup_blocks: Final = max(2, warmup // BLOCK)
        self._state = _State(in_time=run_length.in_time)

    def update(self, rest: float, at_ms: int) -> DriftAlarm | None:
        """Take in a visit of an event time; tell if by now answers are not what they were.

        Parameters
        ----------
        rest
            The answer less what the twin said of it, from -1 to 1 (`rest_of`).
        """
        state = self._state
        if not state.block:
            state.block_began_ms = at_ms
        state.block.append(rest)
        if len(state.block) < BLOCK:
            return None
        n_before, sums_before = state.n, state.sums
        given = float(BLOCK)
        if state.in_time:
            given = self._run_length.step(at_ms - state.newest_ms) if n_before else 0.0
        state.newest_ms = max(at_ms, state.newest_ms)
        ranks = self._ranks()
        if n_before < self._warmup_blocks * BLOCK:
            return None
        for bet, (signal, sign) in enumerate(_BETS):
            factor = 1.0 + sign * _STAKE * (2.0 * ranks[signal] - 1.0)
            state.owned[bet] = (state.owned[bet] + given) * factor
            if state.grown[bet] > 1.0:
                state.grown[bet] *= factor
            else:
                state.grown[bet] = factor
                state.onsets[bet] = n_before, state.block_began_ms, sums_before
        # Where all are equal no bet wins, nor loses what it is given.
        enough = self._run_length.amount * len(_BETS)
        if sum(state.owned) < enough or max(state.grown) <= 1.0:
            return None
        alarm = self._alarm()
        self._state = _State(in_time=state.in_time)
        return alarm

    @property
    def n(self) -> int:
        """Visits since the last reset, in whole blocks."""
        return self._state.n

    @property
    def threshold(self) -> float:
        """The statistic at which an alarm is raised."""
        return _log10(self._run_length.amount)

    def standings(self) -> list[Standing]:
        """Tell of each signal where it stands, as `ScoreDrift` does."""
        state = self._state
        n = max(1, state.n)
        owned = dict.fromkeys(SIGNALS_OF_ANSWERS, 0.0)
        for (signal, _), each in zip(_BETS, state.owned, strict=True):
            owned[SIGNALS_OF_ANSWERS[signal]] += each
        return [
            Standing(signal, _log10(owned[signal] / len(_BETS)), recent, total / n)
            for signal, recent, total in zip(
                SIGNALS_OF_ANSWERS, state.recent, state.sums[:2], strict=True
            )
        ]

    def encode(self) -> bytes:
        """Write the state; its size is bounded."""
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def decode(cls, blob: bytes, run_length: RunLength, *, warmup: int) -> "AnswerDrift":
        """Go on where the encoded detector was, under a policy that may have changed.

        Where visits were counted and now time is, or the other way round, bets begin with nothing.

        Raises
        ------
        msgspec.MsgspecError
            It was encoded by none, or by one with other bets.
        """
        drift = cls(run_length, warmup=warmup)
        state = msgspec.msgpack.decode(blob, type=_State)
        if state.in_time != run_length.in_time:
            state.in_time, state.owned = run_length.in_time, _per_bet()
        drift._state = state
        return drift

    def _ranks(self) -> tuple[float, float]:
        """Take the block in; tell where its two means lie among those before, from 0 to 1."""
        state = self._state
        block, state.block = state.block, []
        squares = [rest * rest for rest in block]
        sums = math.fsum(block), math.fsum(squares), math.fsum(each * each for each in squares)
        state.n += BLOCK
        state.sums = tuple(map(sum, zip(state.sums, sums, strict=True)))  # type: ignore[assignment]  # three
        mean, error = sums[0] / BLOCK, sums[1] / BLOCK
        weight = max(_RECENT, BLOCK / state.n)
        recent_mean, recent_error = state.recent
        state.recent = (
            recent_mean + weight * (mean - recent_mean),
            recent_error + weight * (error - recent_error),
        )
        of_means, of_errors = state.counts
        return _rank(of_means, mean), _rank(of_errors, 2.0 * error)

    def _alarm(self) -> DriftAlarm:
        state = self._state
        # Fewer answers are fewer errors, too: half of the best bet's evidence is enough.
        enough = math.sqrt(max(state.grown))
        bets = range(len(_BETS))
        found = {_BETS[bet][0] for bet in bets if state.grown[bet] >= enough}
        signal = min(found)
        bet = max((bet for bet in bets if _BETS[bet][0] == signal), key=state.grown.__getitem__)
        n_before, onset_ms, before = state.onsets[bet]
        since = state.n - n_before
        reference = before[signal] / max(1, n_before)
        value = (state.sums[signal] - before[signal]) / since
        mean = state.sums[signal] / state.n
        deviation = math.sqrt(max(0.0, state.sums[signal + 1] / state.n - mean * mean))
        return DriftAlarm(
            SIGNALS_OF_ANSWERS[signal],
            value,
            reference,
            _log10(sum(state.owned) / len(_BETS)),
            self.threshold,
            state.n,
            n_since_onset=since,
            onset_ms=onset_ms,
            severity=(value - reference) / deviation if deviation else 0.0,
        )


def _rank(counts: dict[int, int], mean: float) -> float:
    """Count a mean, and tell the middle of the ranks that it shares with those of its bin."""
    bin_ = round(mean * _BINS)
    below = sum(n for other, n in counts.items() if other < bin_)
    here = counts[bin_] = counts.get(bin_, 0) + 1
    return (below + here / 2) / sum(counts.values())


def _log10(amount: float) -> float:
    return math.log10(max(1.0, amount))
