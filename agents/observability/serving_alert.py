"""Whether anybody answers, in time, and whether a model does: the alerts of an emergency."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Literal, get_args

import msgspec
from confluent_kafka import Message

from agents.observability import metric_list
from agents.observability.instruments import sample_name
from agents.observability.runbooks import RUNBOOKS
from agents.observability.slow_answers import SlowAnswers, Window
from agents.pipeline import Pipeline
from online_models.unanswered import UNTRAINED
from schemas.alerts import Alert
from schemas.cloudevents import rfc3339
from schemas.errors import UNREADABLE

MIN_ANSWERS: Final = 20
"""Answers without a model, one after the other, before that is called an emergency."""
NO_MODEL: Final = ("rules", "default")
"""Sources of an answer that no model gave."""

Signal = Literal["predictions_stopped", "models_absent", "predictions_slow"]
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)


class _Answer(msgspec.Struct):
    """What this needs of a prediction."""

    source: str
    degraded: list[str] = []


_decode: Final = msgspec.json.Decoder(_Answer).decode


class ServingWatch:
    """Knows when the last prediction came, and since when no model gave one.

    A pipeline that has learned nothing yet has no model, which is no emergency: only where one
    answered before, or `learn` has one that knows enough to answer, is it missed.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> watch = ServingWatch(PIPELINE)
    >>> watch.begin([], now_ms=0)
    >>> watch.waiting(3.0), watch.look(9_000)
    (None, [])
    >>> watch.waiting(4.0), [(each.signal, each.level) for each in watch.look(10_000)]
    (None, [('predictions_stopped', 'emergency')])
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._after_ms = pipeline.emergency_after // timedelta(milliseconds=1)
        self._raised: set[Signal] = set()
        self.has_begun = False
        self._answered_at = 0
        """When the last prediction was seen; wall time, ms, as all here."""
        self._waited_s = 0.0
        self._has_answered = False
        """Some model has."""
        self._has_learned = False
        """The champion has, so it could answer once it knows enough."""
        self._without_since: int | None = None
        self._without = 0
        self._reasons: Counter[str] = Counter()
        line_s = pipeline.goals.latency_p99_emergency.total_seconds()
        self._slow = SlowAnswers(line_s, span_ms=self._after_ms)

    def begin(self, standing: Iterable[Alert], now_ms: int) -> None:
        """Go on from what was told last."""
        self.has_begun = True
        self._answered_at = now_ms
        told = {alert.signal for alert in standing}
        self._raised.update(signal for signal in SIGNALS if signal in told)

    @property
    def raised(self) -> frozenset[Signal]:
        """Tell which emergencies last."""
        return frozenset(self._raised)

    def predictions(self, records: Iterable[Message], now_ms: int) -> None:
        """Take in predictions as they come; what is none is passed over."""
        for record in records:
            try:
                answer = _decode(record.value() or b"")
            except UNREADABLE:
                continue
            self._answered_at = now_ms
            if answer.source not in NO_MODEL:
                self._has_answered = True
                self._without_since, self._without = None, 0
                self._reasons.clear()
                continue
            if self._without_since is None:
                self._without_since = now_ms
            self._without += 1
            self._reasons.update(answer.degraded)

    def latencies(self, latencies_s: Iterable[float], now_ms: int) -> None:
        """Take in how late predictions came."""
        self._slow.update(latencies_s, now_ms)

    def waiting(self, seconds: float) -> None:
        """Note how long events have been waiting for `predict`."""
        self._waited_s = seconds

    def learned(self, samples: Mapping[str, float], champion: str) -> None:
        """Look whether `learn` says that it has a champion; other processes say nothing of it."""
        name = sample_name(metric_list.MODEL_EVALUATED.name, (("model", champion),))
        if samples.get(name, 0.0) > 0.0:
            self._has_learned = True

    def look(self, now_ms: int) -> list[Alert]:
        """Tell what became an emergency, and what is none any more."""
        if not self.has_begun:
            return []
        # A clock that was set back: of what it said before, nothing is later than now.
        self._answered_at = min(self._answered_at, now_ms)
        if self._without_since is not None:
            self._without_since = min(self._without_since, now_ms)
        silent_ms = now_ms - self._answered_at
        without_ms = 0 if self._without_since is None else now_ms - self._without_since
        stopped = self._waited_s > 0 and silent_ms >= self._after_ms
        # A detector learns hundreds of outcomes before it can rank any.
        could = self._has_learned and UNTRAINED not in self._reasons
        is_missed = self._has_answered or could
        absent = is_missed and self._without >= MIN_ANSWERS and without_ms >= self._after_ms
        # What is not seen to be over goes on: nobody asks, hence nobody answers.
        is_over = silent_ms < self._after_ms
        alerts = []
        if self._moves("predictions_stopped", stopped, is_over=is_over and not stopped):
            facts = {"events_waited_seconds": self._waited_s}
            action = "none: events wait until a supervisor has started predict again"
            alerts.append(self._lasts("predictions_stopped", now_ms, silent_ms, facts, action))
        answers_again = is_over and self._without_since is None
        if self._moves("models_absent", absent, is_over=answers_again):
            found = {"answers_without_model": self._without, "degraded": dict(self._reasons)}
            action = "rules answer" if self._pipeline.rules else "a constant answers"
            alerts.append(self._lasts("models_absent", now_ms, without_ms, found, action))
        window = self._slow.closed(now_ms)
        if window is not None and self._moves(
            "predictions_slow", window.is_beyond, is_over=window.is_within
        ):
            alerts.append(self._is_slow(window, now_ms))
        return alerts

    def _moves(self, signal: Signal, is_bad: bool, *, is_over: bool) -> bool:
        if is_bad and signal not in self._raised:
            self._raised.add(signal)
            return True
        if is_over and signal in self._raised:
            self._raised.remove(signal)
            return True
        return False

    def _lasts(
        self, signal: Signal, now_ms: int, span_ms: int, facts: dict[str, Any], action: str
    ) -> Alert:
        """Tell for how long something has been so."""
        lasted = (span_ms / 1_000, self._after_ms / 1_000)
        since = now_ms - span_ms
        return self._alert(signal, now_ms, since, found=lasted, facts=facts, action=action)

    def _is_slow(self, window: Window, now_ms: int) -> Alert:
        facts = {
            "predictions": window.n,
            "predictions_late": window.n_late,
            "longest_seconds": window.longest_s,
        }
        return self._alert(
            *("predictions_slow", now_ms, window.since_ms),
            found=(window.p99_s, self._slow.line_s),
            facts=facts,
            action="none: nobody else could answer sooner",
        )

    def _alert(
        self,
        signal: Signal,
        now_ms: int,
        since: int,
        *,
        found: tuple[float, float],
        facts: dict[str, Any],
        action: str,
    ) -> Alert:
        """Make the alert; `found` is the value and its threshold."""
        is_raised, use_case = signal in self._raised, self._pipeline.use_case
        level: Literal["emergency", "normal"] = "emergency" if is_raised else "normal"
        value, threshold = found
        return Alert(
            alert_id=f"serving-{use_case}-{signal}-{since}-{level}",
            kind="serving",
            level=level,
            use_case=use_case,
            signal=signal,
            value=value,
            threshold=threshold,
            raised_at=now_ms,
            evidence={"since_at": since, "since": rfc3339(since).decode(), **facts},
            action=action if is_raised else "none",
            runbook=RUNBOOKS["serving"],
        )
