"""What an event costs in a compiled fold: by features, by their spans, by the number of users."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import msgspec

from benchmarks.features.declared import (
    BASE,
    BY_STATISTIC,
    MERGED,
    SPANS,
    SUBTRACTED,
    THIRTY,
    of_span,
)
from benchmarks.features.load import Click, clicks
from benchmarks.features.stopwatch import fastest
from streams.feature_kinds import Feature, span_name
from streams.fold import FeatureFold, compile_features
from streams.fold_state import UserState
from streams.state import Table

AWAY: Final = timedelta(hours=6)
RARE: Final = timedelta(days=5)
"""From visit to visit, where there are many users."""
HISTORY: Final = timedelta(days=95)
"""What a user did before: no window is still filling."""
N_HISTORIES: Final = 200
PAUSES_MS: Final = (30_000, 30_000, 30_000, 3_600_000, 86_400_000)
"""Where there are many users, what lies between a user's events."""
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    users: int
    """Whose events are worked off in turns."""
    events: int
    """In each round."""
    rounds: int


def beside(folds: Mapping[str, Sequence[Feature]], effort: Effort) -> dict[str, float]:
    """Tell µs an event of several folds, which take turns."""
    running = {name: _Running(features, effort) for name, features in folds.items()}
    loops: dict[str, list[float]] = {name: [] for name in folds}
    for _ in range(effort.rounds):
        for name, each in running.items():
            loops[name].append(fastest([each.next_round()]))
    return {name: min(times) for name, times in loops.items()}


def per_feature(effort: Effort) -> dict[str, Any]:
    """Tell what thirty features cost an event, and what each statistic adds to it."""
    sets: dict[str, Sequence[Feature]] = {"thirty": THIRTY, "base": BASE}
    sets |= {
        name: [*BASE, *(declare(span) for span in SPANS)] for name, declare in BY_STATISTIC.items()
    }
    us = beside(sets, effort)
    return {
        "thirty_us": us["thirty"],
        "feature_us": us["thirty"] / len(THIRTY),
        "statistics_us": {name: (us[name] - us["base"]) / len(SPANS) for name in BY_STATISTIC},
    }


def by_span(effort: Effort) -> dict[str, dict[str, float]]:
    """Tell µs an event of the same statistics over one span after the other."""
    groups = {"subtracted": SUBTRACTED, "merged": MERGED}
    return {
        group: beside({span_name(span): of_span(statistics, span) for span in SPANS}, effort)
        for group, statistics in groups.items()
    }


def by_users(numbers: Sequence[int], effort: Effort) -> dict[int, float]:
    """Tell µs an event with so many users: state is read, brought up to date and written."""
    fold = compile_features(THIRTY, Click)
    histories = [_history(fold, number, RARE) for number in range(N_HISTORIES)]
    partitions = {n: _Users(fold, histories, n, effort) for n in numbers}
    times: dict[int, list[float]] = {n: [] for n in numbers}
    for _ in range(effort.rounds):
        for n, users in partitions.items():
            times[n].append(fastest([users.next_round()]))
    return {n: min(each) for n, each in times.items()}


def _history(
    fold: FeatureFold, number: int, away: timedelta
) -> tuple[UserState, Iterator[Click], Click]:
    """Let a user have done something for so long; return the state, and what comes next."""
    state, coming = fold.new(), clicks(number, away=away)
    first = click = next(coming)
    while click.ts - first.ts < HISTORY // timedelta(milliseconds=1):
        fold.update(state, click)
        click = next(coming)
    return state, coming, click


class _Running:
    """A fold whose users have a history, and go on."""

    def __init__(self, features: Sequence[Feature], effort: Effort) -> None:
        fold = compile_features(features, Click)
        self._update = fold.update
        self._users = [_history(fold, number, AWAY) for number in range(effort.users)]
        self._each = effort.events // effort.users

    def next_round(self) -> Callable[[], int]:
        coming = [islice(clicks, self._each) for _, clicks, _ in self._users]
        states = [state for state, _, _ in self._users]
        work = [
            pair for turn in zip(*coming, strict=True) for pair in zip(states, turn, strict=True)
        ]
        update = self._update

        def loop() -> int:
            for state, click in work:
                update(state, click)
            return len(work)

        return loop


class _Users:
    """Very many users in a table, as the predict role keeps them, none of them warm."""

    def __init__(
        self,
        fold: FeatureFold,
        histories: Sequence[tuple[UserState, Iterator[Click], Click]],
        n: int,
        effort: Effort,
    ) -> None:
        self._fold, self._n, self._events = fold, n, effort.events
        self._table: Table[UserState] = Table("u", fold.encode, fold.decode)
        self._chance = random.Random(n)
        self._templates = [click for _, _, click in histories]
        self._last_ms: dict[int, int] = {}
        encoded = [fold.encode(state) for state, _, _ in histories]
        for number in range(n):
            # Bytes of their own, as those that come from a changelog.
            self._table.restore(f"user-{number}", bytes(bytearray(encoded[number % len(encoded)])))

    def next_round(self) -> Callable[[], int]:
        batches = [self._batch() for _ in range(max(self._events // BATCH, 1))]
        table, update = self._table, self._fold.update

        def loop() -> int:
            for batch in batches:
                for user, click in batch:
                    state = table.get(user)
                    assert state is not None
                    update(state, click)
                    table.mark(user)
                table.changes()
            return sum(map(len, batches))

        return loop

    def _batch(self) -> list[tuple[str, Click]]:
        chosen = self._chance.sample(range(self._n), min(BATCH, self._n))
        return [(f"user-{number}", self._click(number)) for number in chosen]

    def _click(self, number: int) -> Click:
        """Let a user do something some time after what was last."""
        if number not in self._last_ms:
            raw = self._table.raw(f"user-{number}")
            assert raw is not None
            self._last_ms[number] = self._fold.last_event_ms(raw)
        self._last_ms[number] += self._chance.choice(PAUSES_MS)
        template = self._templates[number % len(self._templates)]
        return msgspec.structs.replace(template, ts=self._last_ms[number])
