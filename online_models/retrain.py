"""When a model is to be trained again: by time, and because an alert says that the world moved.

What it rests on stands in the log of deployments and among the alerts, so that whoever looks, and
whenever, comes to the same answer: a supervisor that is started again neither repeats a training
nor leaves one out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

from schemas.errors import InvalidDeclaration

KINDS: Final = ("drift", "accuracy")
"""Alerts that may ask for it."""
_MS: Final = timedelta(milliseconds=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """Which models are trained again from the archive, when, and over how much of it.

    >>> Retrain(every=timedelta(days=7), since=timedelta(days=90), on=("drift",)).cool_down.days
    1
    >>> Retrain()
    Traceback (most recent call last):
    schemas.errors.InvalidDeclaration: Retrain has every, on, or both
    """

    every: timedelta | None = None
    """Time from the begin of a training to the next one."""
    on: Sequence[str] = ()
    """Kinds of alerts after which a model is trained as well: `drift`, `accuracy`."""
    since: timedelta | None = None
    """How much of the archive is learned, back from its last day, in days; `None`: all."""
    models: Sequence[str] = ()
    """Those that are trained, whenever they do not answer users; by default all of the
    pipeline's."""
    cool_down: timedelta = _DAY
    """Time from the begin of a training until an alert may begin another one."""
    retry_after: timedelta = timedelta(hours=1)
    """Time after which a training that left no version, since it failed or was killed, is begun
    again: longer than it takes."""

    def __post_init__(self) -> None:
        if self.every is None and not self.on:
            raise InvalidDeclaration("Retrain has every, on, or both")
        if isinstance(self.on, str) or not set(self.on) <= set(KINDS):
            raise InvalidDeclaration(f"on has kinds of alerts, {', '.join(KINDS)}, not {self.on}")
        for name, least in (
            *(("every", _MS), ("cool_down", timedelta(0)), ("retry_after", _MS)),
            ("since", _DAY),
        ):
            span = getattr(self, name)
            if span is not None and span < least:
                raise InvalidDeclaration(f"{name} is {least} or more, not {span}")


class Attempt(NamedTuple):
    """The last training of a model that a policy began."""

    at: int
    """When it began, ms since the epoch, by the clock of who began it."""
    is_over: bool
    """Whether a version came of it."""


class Raised(NamedTuple):
    """An alert."""

    kind: str
    at: int
    """Ms since the epoch."""


def due(
    policy: Retrain, last: Attempt | None, alerts: Iterable[Raised], *, now_ms: int
) -> str | None:
    """Tell why a model is to be trained now; `None`: it is not.

    A training that began in the future, by a clock that was wrong, counts as if it had begun as
    long ago: else nobody would train until then.

    Examples
    --------
    >>> weekly = Retrain(every=timedelta(days=7), on=("drift",))
    >>> day = 86_400_000
    >>> due(weekly, Attempt(at=0, is_over=True), [], now_ms=6 * day) is None
    True
    >>> due(weekly, Attempt(at=0, is_over=True), [], now_ms=7 * day)
    'it is time'
    >>> due(weekly, Attempt(at=0, is_over=True), [Raised("drift", day // 2)], now_ms=day)
    'an alert of drift'
    >>> due(weekly, Attempt(at=0, is_over=False), [], now_ms=day)
    'the last training left no version'
    """
    since_ms = float("inf") if last is None else abs(now_ms - last.at)
    if last is not None and not last.is_over:
        is_lost = since_ms >= policy.retry_after / _MS
        return "the last training left no version" if is_lost else None
    if policy.every is not None and since_ms >= policy.every / _MS:
        return "it is time"
    if since_ms >= policy.cool_down / _MS:
        for each in alerts:
            if each.kind in policy.on and now_ms - each.at < since_ms:
                return f"an alert of {each.kind}"
    return None


def next_at(policy: Retrain, last: Attempt | None) -> int | None:
    """Tell when a model is due at the latest, ms since the epoch; `None`: when an alert says so.

    >>> next_at(Retrain(every=timedelta(seconds=7)), Attempt(at=1_000, is_over=True))
    8000
    """
    if last is None:
        return None if policy.every is None else 0
    span = policy.every if last.is_over else policy.retry_after
    return None if span is None else last.at + span // _MS
