"""Do users do what was rare, or never seen? A promise on false alarms, as the scores have it.

An action's rank says how rare it is: the share of all actions so far that are as rare, or rarer.
While nothing changes ranks are uniform (conformal: Vovk, Gammerman, Shafer, Algorithmic Learning in
a Random World, 2nd ed., 2022), however many actions there are and however seldom some of them come.
Bets stake on low ranks, at several scales; what they own grows as `online_models.drift.detector`
has it. So the second or third time that an action comes which never did is an alarm in a stream
that is long enough, and the tenth of one that has been rare.

Who does the same again and again in a visit did it once: an action does not count again for the
latest users who took it, until they begin another visit. What else they do in it has to do with
that: a visit wins once, as the rarest of its actions does. Actions that are frequent anyway win
nothing, so what bets lose on them is taken off when a rare one comes: a frequent one costs a look
into two tables.
"""

import math
from collections import Counter
from typing import Final
from zlib import crc32

import msgspec

from online_models.drift.detector import DriftAlarm
from online_models.drift.run_length import RunLength

_LATEST_USERS: Final = 8
"""Who an action is not counted of again in that visit, beside which a rare one has few others."""
_SCALES: Final = tuple(2.0**-power for power in range(4, 12))
"""Ranks that each bet wins from: the sixteenth of all actions that is rarest, to one in 2,048."""
_STAKES: Final = tuple(0.3 * math.sqrt(scale) for scale in _SCALES)
"""Of what is owned. The rarer a win, the less, or all would be lost between two."""
_N_BETS: Final = len(_SCALES)
_LATEST_RARE_USERS: Final = 32
"""Whose visits win no more than once. Among so many rare ones bets have lost most of it again."""

_Ranks = tuple[float, float]
"""From where to where ranks of an action reach."""
_Onset = tuple[int, int, list[int]]
"""How many actions came before the first that a bet won from, when that was, and each one's count;
of those that came later there is none."""
_NO_ONSET: Final[_Onset] = (0, 0, [])


def _per_bet() -> list[float]:
    return [0.0] * _N_BETS


class _State(msgspec.Struct, array_like=True):
    """All that changes, as it is stored."""

    in_time: bool = False
    n: int = 0
    """Actions that count."""
    n_visits: int = 0
    newest_ms: int = 0
    """Event time up to which bets were given their share."""
    actions: list[str] = []
    """In the order in which they first came; the next two have theirs at the same places."""
    counts: list[int] = []
    latest: list[list[int]] = []
    """Hashes of the latest users of each."""
    frequent: list[int] = []
    """Places of actions on which all bets lose."""
    n_frequent: int = 0
    """How many of them came since bets were settled."""
    n_given: int = 0
    """Visits since then."""
    owned: list[float] = msgspec.field(default_factory=_per_bet)
    grown: list[float] = msgspec.field(default_factory=_per_bet)
    """By how much each bet grew since its onset; one that falls to 1 has none."""
    onsets: list[_Onset] = msgspec.field(default_factory=lambda: [_NO_ONSET] * _N_BETS)
    rarest: dict[int, _Ranks] = {}
    """By hashes of users: the rarest that they did in this visit, those who began last."""


def _factors(ranks: _Ranks) -> list[float]:
    """Tell what each bet makes of an action of such ranks.

    Actions that are as rare share a range of ranks: a bet wins from the part of it that it staked
    on. So the mean over all actions, by their shares, is exactly 1.
    """
    first, end = ranks
    return [
        1.0 - stake + stake / scale * max(0.0, min(end, scale) - first) / (end - first)
        for scale, stake in zip(_SCALES, _STAKES, strict=True)
    ]


class ActionMix:
    """Watches for actions that come more often than rare ones do, in memory that is bounded.

    After an alarm it forgets all and begins anew; the warm-up is its cool-down. That an action
    stays away is not seen.

    Parameters
    ----------
    run_length
        Average number of visits, or time, to a false alarm.
    warmup
        Visits before the first bet.

    Examples
    --------
    >>> mix = ActionMix(RunLength.scores(10_000), warmup=100)
    >>> ordinary = [
    ...     mix.update(action, f"user-{n}", at_ms=n, begins_visit=action == "home")
    ...     for n in range(1_000)
    ...     for action in ("home", "search", "cart" if n % 10 else "help")
    ... ]
    >>> any(ordinary)
    False
    >>> mix.update("crash", "ada", at_ms=1_000, begins_visit=False)
    >>> action, alarm = mix.update("crash", "bo", at_ms=1_001, begins_visit=False)
    >>> action, alarm.signal, alarm.onset_ms, alarm.reference
    ('crash', 'action_mix', 1000, 0.0)
    """

    def __init__(self, run_length: RunLength, *, warmup: int) -> None:
        self._run_length: Final = run_length
        self._warmup: Final = warmup
        self._resume(_State(in_time=run_length.in_time))

    def update(
        self, action: str, user_id: str, at_ms: int, *, begins_visit: bool
    ) -> tuple[str, DriftAlarm] | None:
        """Take in what a user did; tell which action is none of the rare ones any more, if one is.

        Parameters
        ----------
        begins_visit
            Whether it is the first of a visit: these count for the budget.
        """
        state = self._state
        user = crc32(user_id.encode())
        if begins_visit:
            state.n_visits += 1
            state.n_given += 1
            self._forget(user)
        if state.n_visits <= self._warmup:  # bets are given no time of it, counted or not
            state.newest_ms = max(at_ms, state.newest_ms)
        place = self._places.get(action)
        if place is None:
            place = self._places[action] = len(state.actions)
            state.actions.append(action)
            state.counts.append(0)
            state.latest.append([])
        latest = state.latest[place]
        if user in latest:
            return None
        latest.append(user)
        if len(latest) > _LATEST_USERS:
            del latest[0]
        state.n += 1
        state.counts[place] += 1
        if place in self._frequent:
            state.n_frequent += 1
            return None
        return self._settle(place, user, at_ms)

    def encode(self) -> bytes:
        """Write the state; its size is bounded by the number of actions that there are."""
        return msgspec.msgpack.encode(self._state)

    @classmethod
    def decode(cls, blob: bytes, run_length: RunLength, *, warmup: int) -> "ActionMix":
        """Go on from what `encode` wrote, under a policy that may have changed.

        Where visits were counted and now time is, or the other way round, bets begin with nothing.
        """
        mix = cls(run_length, warmup=warmup)
        state = msgspec.msgpack.decode(blob, type=_State)
        if state.in_time != run_length.in_time:
            state.in_time, state.owned = run_length.in_time, _per_bet()
        mix._resume(state)
        return mix

    def _resume(self, state: _State) -> None:
        self._state = state
        self._places = {action: place for place, action in enumerate(state.actions)}
        self._frequent = frozenset(state.frequent)

    def _forget(self, user: int) -> None:
        """Let what somebody does in another visit count again.

        Else few users would soon have done all that is frequent, and only rare actions counted.
        """
        state = self._state
        state.rarest.pop(user, None)
        for users in state.latest:
            if user in users:
                users.remove(user)

    def _settle(self, place: int, user: int, at_ms: int) -> tuple[str, DriftAlarm] | None:
        """Let the bets have what they were given, lose what they lost, and win from an action."""
        state = self._state
        given = float(state.n_given)
        if state.in_time:
            given = self._run_length.step(at_ms - state.newest_ms) if state.newest_ms else 0.0
        n_lost, state.n_frequent, state.n_given = state.n_frequent, 0, 0
        state.newest_ms = max(at_ms, state.newest_ms)
        if state.n_visits <= self._warmup:
            return None
        factors = self._factors(user, self._ranks(place))
        before: _Onset | None = None
        for bet, (stake, factor) in enumerate(zip(_STAKES, factors, strict=True)):
            lost = (1.0 - stake) ** n_lost
            # Given late, lost early: what is owned is less than it could be, so alarms are rarer.
            state.owned[bet] = (state.owned[bet] + given) * lost * factor
            grown = state.grown[bet] * lost
            if grown > 1.0:
                state.grown[bet] = grown * factor
                continue
            state.grown[bet] = factor
            if before is None:
                before = state.n - 1, at_ms, state.counts.copy()
                before[2][place] -= 1
            state.onsets[bet] = before
        if sum(state.owned) < self._run_length.amount * _N_BETS or max(state.grown) <= 1.0:
            return None
        alarm = self._alarm()
        self._resume(_State(in_time=state.in_time))
        return alarm

    def _factors(self, user: int, ranks: _Ranks) -> list[float]:
        """Tell what each bet makes of what a user did, beside what it won from them in this visit.

        Actions of one visit have to do with each other, as the steps of a checkout have: they win
        once, as the rarest of them does, and each is a loss. So whatever they have to do with each
        other, a visit makes no more than 1 on average.
        """
        factors = _factors(ranks)
        rarest = self._state.rarest
        before = rarest.get(user)
        if before is not None:
            factors = [
                (1.0 - stake) * max(1.0, now / then)
                for stake, now, then in zip(_STAKES, factors, _factors(before), strict=True)
            ]
        if ranks[0] < _SCALES[0] and (before is None or ranks[1] < before[1]):
            rarest[user] = ranks
            if len(rarest) > _LATEST_RARE_USERS:
                del rarest[next(iter(rarest))]
        return factors

    def _ranks(self, place: int) -> _Ranks:
        """Tell from where to where an action's ranks reach, and note which ones are frequent.

        That is for the actions to come: a bet is made before it is known on what.
        """
        state = self._state
        n, counts = state.n, state.counts
        n_by_count = Counter(counts)
        fewer, n_fewer = {}, 0
        for count in sorted(n_by_count):
            fewer[count] = n_fewer
            n_fewer += count * n_by_count[count]
        state.frequent = [
            other for other, count in enumerate(counts) if fewer[count] >= _SCALES[0] * n
        ]
        self._frequent = frozenset(state.frequent)
        count = counts[place]
        return fewer[count] / n, (fewer[count] + count * n_by_count[count]) / n

    def _alarm(self) -> tuple[str, DriftAlarm]:
        state = self._state
        n_before, onset_ms, before = state.onsets[state.grown.index(max(state.grown))]
        n_since = state.n - n_before
        moves = []
        before = before + [0] * (len(state.counts) - len(before))
        for action, count, count_before in zip(state.actions, state.counts, before, strict=True):
            value, reference = (count - count_before) / n_since, count_before / max(1, n_before)
            # What never came varies as well.
            share = (count_before + 0.5) / (n_before + 1)
            severity = (value - reference) / math.sqrt(share * (1.0 - share))
            moves.append((severity, action, value, reference))
        severity, action, value, reference = max(moves)
        return action, DriftAlarm(
            "action_mix",
            value,
            reference,
            math.log10(max(1.0, sum(state.owned) / _N_BETS)),
            math.log10(max(1.0, self._run_length.amount)),
            state.n,
            n_since_onset=n_since,
            onset_ms=onset_ms,
            severity=severity,
        )
