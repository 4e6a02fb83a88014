"""From predictions and features to sketches: what a `watch` worker counts."""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Final

import msgspec
from confluent_kafka import Message

from online_models.sketch import Sketch, score_cell, value_cell
from schemas.errors import UNREADABLE
from schemas.feature_updates import FeatureUpdate
from schemas.sketches import SCORE, SketchMinute

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
MOST_SCORES_A_SECOND: Final = 2_000
MOST_UPDATES_A_SECOND: Final = 200
"""What a second may take of a core together, 1 to 2 % of it; then fewer users are counted."""
MOST_USERS: Final = 100_000
"""Users of a day who are told apart, some 10 MB; then all count as if they came anew. Those of
earlier days are forgotten first."""
MOST_SIGNALS: Final = 200
"""In a record: so many sketches with their names find room in one of the topic's."""
MOST_MINUTES: Final = 60
"""Between one `take` and the next; where there are more, as in a replay, hours are counted."""
LONGEST_OPEN_S: Final = 60.0
"""How long the newest minute is waited for."""
_HOUR: Final = 60
_BUCKETS: Final = 1 << 16
ALONE: Final = -1
"""The partition of features: they come in one topic of one partition."""


class _Scored(msgspec.Struct):
    """What is counted of a prediction."""

    score: float
    source: str
    model: str
    event_at: int


# Most values have come before: many are 0, or counts.
_value_cell: Final = lru_cache(maxsize=1 << 14)(value_cell)
_decode_scored: Final = msgspec.json.Decoder(_Scored).decode
_decode_update: Final = msgspec.json.Decoder(FeatureUpdate).decode


class _Users:
    """How many values each user had in a day already."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[bytes, int]] = {}
        self._n = 0

    def add(self, day: int, user: bytes) -> int:
        """Count a value; tell by how much the sum of squares grows."""
        n = self._seen.setdefault(day, {}).get(user, 0)
        if not n:
            if self._n >= MOST_USERS:
                self._n -= len(self._seen.pop(min(self._seen)))
            self._n += 1
        self._seen.setdefault(day, {})[user] = n + 1
        return 2 * n + 1


class _Counted:
    """Counts by cell, which become a sketch."""

    __slots__ = ("counts", "squares")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.squares = 0

    def add(self, cell: int, squares: int) -> None:
        self.counts[cell] = self.counts.get(cell, 0) + 1
        self.squares += squares


class _Sampled:
    """Which users are counted: all, or a half, a quarter ... so that it does not cost too much."""

    def __init__(self, most_a_second: int) -> None:
        self._most_a_second = most_a_second
        self.share = 1.0
        self._came = 0

    def takes(self, user: bytes) -> bool:
        self._came += 1
        return self.share >= 1.0 or zlib.crc32(user) % _BUCKETS < self.share * _BUCKETS

    def adapt(self, seconds: float) -> None:
        """Choose the share for what comes as fast as it came in the last seconds."""
        self.share = share_of(self._came / seconds, self._most_a_second)
        self._came = 0


def share_of(came_a_second: float, most_a_second: float) -> float:
    """Tell which part of the users to count, in halves of halves: those of a part are in a larger.

    >>> [share_of(came, 1_000) for came in (0, 1_000, 1_001, 4_000, 9_000)]
    [1.0, 1.0, 0.5, 0.25, 0.0625]
    """
    if came_a_second <= most_a_second:
        return 1.0
    return 0.5 ** math.ceil(math.log2(came_a_second / most_a_second))


class SketchFold:
    """Counts scores and features by minute of event time until somebody takes the sketches.

    Answers that no model gave are left out. Memory is bounded by the users of a day, and by the
    minutes, or hours, between two `take`s.

    Parameters
    ----------
    task
        Of the pipeline: amounts and rewards are no probabilities.
    """

    def __init__(self, use_case: str, task: str) -> None:
        self._use_case = use_case
        has_unit = task in ("regression", "bandit")
        self._cell: Callable[[float], int] = value_cell if has_unit else score_cell
        self._counted: dict[tuple[int, int, str], dict[str, _Counted]] = {}
        """By minute, partition and model, and then by signal."""
        self._step = 1
        self._begun: dict[int, int] = {}
        """With which minutes spans begin that are counted in, and how long these are."""
        self._newest, self._open_s = 0, 0.0
        """The newest of them, and how long it has been the newest."""
        self._scorers, self._updated = _Users(), _Users()
        self._of_predictions = _Sampled(MOST_SCORES_A_SECOND)
        self._of_updates = _Sampled(MOST_UPDATES_A_SECOND)

    @property
    def shares(self) -> Mapping[str, float]:
        """Part of the users whose scores, and whose features, are counted."""
        return {"scores": self._of_predictions.share, "features": self._of_updates.share}

    def predictions(self, records: Iterable[Message]) -> None:
        """Count scores; what is no prediction is passed over."""
        takes = self._of_predictions.takes
        for record in records:
            user = _bytes(record.key())
            if not takes(user):
                continue
            try:
                scored = _decode_scored(record.value() or b"")
            except UNREADABLE:
                continue
            if scored.source not in ("model", "ensemble") or not math.isfinite(scored.score):
                continue
            minute = self._begin(scored.event_at)
            of = (minute, record.partition() or 0, scored.model)
            by_signal = self._counted.get(of)
            if by_signal is None:
                by_signal = self._counted[of] = {SCORE: _Counted()}
            squares = self._scorers.add(scored.event_at // DAY_MS, user)
            by_signal[SCORE].add(self._cell(scored.score), squares)

    def features(self, records: Iterable[Message]) -> None:
        """Count the features of users; tombstones and what is no update are passed over."""
        takes = self._of_updates.takes
        for record in records:
            user = _bytes(record.key())
            value = record.value()
            if value is None or not takes(user):
                continue
            try:
                update = _decode_update(value)
            except UNREADABLE:
                continue
            by_feature = self._counted.setdefault((self._begin(update.as_of), ALONE, ""), {})
            squares = self._updated.add(update.as_of // DAY_MS, user)
            for name, feature in update.features.items():
                if not math.isfinite(feature):
                    continue
                counted = by_feature.get(name)
                if counted is None:
                    counted = by_feature[name] = _Counted()
                counted.add(_value_cell(feature), squares)

    def _begin(self, at_ms: int) -> int:
        """Tell the minute with which the span begins that a time is counted in."""
        minute = at_ms // MINUTE_MS
        minute -= minute % self._step
        if self._begun.get(minute, 0) < self._step:
            self._begun[minute] = self._step
            if len(self._begun) > MOST_MINUTES:
                self._step = _HOUR
        return minute

    def take(self, seconds: float, *, is_last: bool = False) -> list[SketchMinute]:
        """Hand over what was counted in the last seconds, in the order of event time.

        The newest minute is left until there is a newer one, or for a minute: else its values would
        be told in several records, and whoever reads all of them has as many times as much to do.

        Parameters
        ----------
        is_last
            Nothing is left.
        """
        shares, begun = self.shares, self._begun
        for sampled in (self._of_predictions, self._of_updates):
            sampled.adapt(seconds)
        self._step = 1 if sum(begun.values()) <= MOST_MINUTES else _HOUR
        newest = max(begun, default=0)
        self._open_s = self._open_s + seconds if newest == self._newest else 0.0
        self._newest = newest
        is_open = not is_last and self._open_s < LONGEST_OPEN_S
        counted, self._counted = self._counted, {}
        if is_open:
            self._counted = {of: counted.pop(of) for of in [*counted] if of[0] == newest}
        self._begun = {of[0]: begun[of[0]] for of in self._counted}
        return [
            SketchMinute(
                *(self._use_case, minute * MINUTE_MS, partition, model, [*part]),
                [Sketch.of(each.counts, each.squares).encode() for each in part.values()],
                *(shares["features" if partition == ALONE else "scores"], begun[minute]),
            )
            for (minute, partition, model), by_signal in sorted(counted.items(), key=_minute)
            for part in _parts(by_signal)
        ]


def _parts(by_signal: Mapping[str, _Counted]) -> Iterator[dict[str, _Counted]]:
    rest = iter(by_signal.items())
    while part := dict(islice(rest, MOST_SIGNALS)):
        yield part


def _minute(item: tuple[tuple[int, int, str], object]) -> int:
    return item[0][0]


def _bytes(key: bytes | str | None) -> bytes:
    return key.encode() if isinstance(key, str) else key or b""
