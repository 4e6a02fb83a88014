"""Do the classes that a model names come as often as they did? A promise as the scores have it.

For each class a bet says that it comes more often than before: it wins where the class is named,
more the rarer that was. What one owns grows as `online_models.drift.detector` has it.
"""

import math
from typing import Final

import msgspec

from online_models.drift.detector import DriftAlarm
from online_models.drift.run_length import RunLength

MOST_CLASSES: Final = 7
"""That are told apart; those that are named less often at first count as one more."""
OTHER: Final = ""
"""All other classes."""
_STAKE: Final = 0.3
"""Of what a bet owns, on a class that always came; on others it goes with the root of their share,
or bets on rare ones would lose all between two of them."""


class _State(msgspec.Struct, array_like=True):
    """All that changes, as it is stored."""

    in_time: bool = False
    n: int = 0
    newest_ms: int = 0
    seen: dict[str, int] = {}
    """Until it is chosen which are told apart: how often each class was named."""
    places: dict[str, int] = {}
    """Of the classes that are told apart; all others have the last place of these lists."""
    counts: list[int] = []
    stakes: list[float] = []
    owned: list[float] = []
    grown: list[float] = []
    """By how much each bet grew since its onset; one that falls to 1 has none."""
    onsets: list[tuple[int, int, int]] = []
    """Visits and counts of the class before the first that the bet won from, and when it was."""
    n_passed_over: int = 0
    """Visits that chose which classes are told apart. They are not counted: those that came more
    often than usual were chosen for that."""


class ClassMix:
    """Watches how often each class is named, in memory that is bounded.

    Parameters
    ----------
    run_length, warmup
        As `ScoreDrift` has them.

    Examples
    --------
    >>> mix = ClassMix(RunLength.scores(10_000), warmup=100)
    >>> [alarm for n in range(1_000) if (alarm := mix.update("rose" if n % 4 else "iris", n))]
    []
    >>> alarms = [alarm for n in range(200) if (alarm := mix.update("iris", 1_000 + n))]
    >>> name, alarm = alarms[0]
    >>> name, alarm.signal, alarm.n_since_onset < 50, alarm.onset_ms >= 990
    ('iris', 'class_mix', True, True)
    >>> round(alarm.reference, 2), round(alarm.value, 2)
    (0.25, 1.0)
    """

    def __init__(self, run_length: RunLength, *, warmup: int) -> None:
        self._run_length = run_length
        self._warmup = warmup
        self._state = _State(in_time=run_length.in_time)

    def update(self, name: str, at_ms: int) -> tuple[str, DriftAlarm] | None:
        """Take in a class that was named; tell which one came more often, if one did."""
        state = self._state
        given = self._run_length.step(at_ms - state.newest_ms) if state.n else 0.0
        state.newest_ms = max(at_ms, state.newest_ms)
        if not state.stakes:
            state.seen[name] = state.seen.get(name, 0) + 1
            state.n += 1
            if state.n >= self._warmup // 2:
                self._tell_apart()
            return None
        owned, grown, stakes = state.owned, state.grown, state.stakes
        found = state.places.get(name, len(stakes) - 1)
        count = state.counts[found]
        state.counts[found] = count + 1
        state.n += 1
        if state.n <= self._warmup:
            return None
        n_counted = state.n - state.n_passed_over
        total = 0.0
        for place, stake in enumerate(stakes):
            factor = 1 - stake
            if place == found:
                # Its share, this one among them: else what never came would win everything.
                factor += stake * n_counted / (count + 1)
                if grown[place] <= 1.0:
                    grown[place], state.onsets[place] = 1.0, (state.n - 1, at_ms, count)
            owned[place] = now_owned = (owned[place] + given) * factor
            grown[place] *= factor
            total += now_owned
        # Without a win there is nothing but what was given.
        if total < self._run_length.amount * len(stakes) or max(grown) <= 1.0:
            return None
        alarm = self._alarm()
        self._state = _State(in_time=state.in_time)
        return alarm

    def encode(self) -> bytes:
        """Write the state; its size is bounded by `MOST_CLASSES`, once the warm-up is over."""
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def decode(cls, blob: bytes, run_length: RunLength, *, warmup: int) -> "ClassMix":
        """Go on from what `encode` wrote, under a policy that may have changed."""
        mix = cls(run_length, warmup=warmup)
        state = msgspec.msgpack.decode(blob, type=_State)
        if state.in_time != run_length.in_time:
            state.in_time = run_length.in_time
            state.owned = [0.0] * len(state.owned)
        mix._state = state
        return mix

    def _tell_apart(self) -> None:
        state = self._state
        ordered = sorted(state.seen.items(), key=lambda item: (-item[1], item[0]))
        told_apart = ordered[:MOST_CLASSES]
        state.seen = {}
        state.n_passed_over = state.n
        state.places = {name: place for place, (name, _) in enumerate(told_apart)}
        counts = [count for _, count in told_apart]
        counts.append(state.n - sum(counts))
        state.stakes = [_STAKE * math.sqrt((count + 0.5) / (state.n + 1)) for count in counts]
        n = len(state.stakes)
        state.counts = [0] * n
        state.owned, state.grown = [0.0] * n, [0.0] * n
        state.onsets = [(0, 0, 0)] * n

    def _alarm(self) -> tuple[str, DriftAlarm]:
        state = self._state
        place = state.grown.index(max(state.grown))
        name = next((name for name, its in state.places.items() if its == place), OTHER)
        n_before, onset_ms, count_before = state.onsets[place]
        since = state.n - n_before
        n_before -= state.n_passed_over
        reference = count_before / n_before
        value = (state.counts[place] - count_before) / since
        # What never came, or always did, varies as well.
        share = (count_before + 0.5) / (n_before + 1)
        deviation = math.sqrt(share * (1 - share))
        alarm = DriftAlarm(
            "class_mix",
            value,
            reference,
            math.log10(max(1.0, sum(state.owned) / len(state.owned))),
            math.log10(max(1.0, self._run_length.amount)),
            state.n,
            n_since_onset=since,
            onset_ms=onset_ms,
            severity=(value - reference) / deviation,
        )
        return name, alarm
