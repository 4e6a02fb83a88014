"""Hold the features that were served against the same features computed again from the log.

They cannot differ by construction, one fold computes both; measured, this also finds what
construction does not see: state that was lost or doubled, a worker of another version, a bug in the
way between. A sample of users is enough, chosen by a hash of the key, so that all of a user's
events are in it or none (Chronon, "Online/Offline Consistency").
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final
from zlib import crc32

import msgspec

from schemas.events import UserEvent
from schemas.outcomes import Outcome
from streams.feature_history import FeatureHistory
from streams.feature_set import FeatureSet
from streams.fold import FeatureFold
from streams.negatives import is_kept
from streams.watermark import Watermark

_BUCKETS: Final = 10_000


class ParityCounts(msgspec.Struct):
    """What came of the comparison so far."""

    compared: int = 0
    """Outcomes whose features were held against computed ones."""
    mismatches: dict[str, int] = {}
    """By feature: how often it was served with another value."""
    missing: int = 0
    """Events whose outcome never came."""
    extra: int = 0
    """Outcomes of events that are not in the log."""


class SampledPartition:
    """One partition's sampled users, as the log tells of them."""

    def __init__(self, history: FeatureHistory, *, lateness: timedelta) -> None:
        self._history = history
        self._watermark = Watermark(lateness)
        self.expected: dict[str, tuple[int, list[float]]] = {}
        """By prediction: when its event was, and the features that should have been served."""

    def give_up_before(self, at_ms: int, *, keep_negatives: float) -> int:
        """Expect no outcome of events from before a moment any more; count them.

        Those of which a negative outcome was not to come, since such a share is kept, are not
        counted. One that stands behind a later event, out of order, waits until that is given up.
        """
        n = 0
        while self.expected:
            prediction_id, (event_ms, _) = next(iter(self.expected.items()))
            if event_ms >= at_ms:
                break
            del self.expected[prediction_id]
            n += is_kept(prediction_id, keep_negatives)
        return n

    @property
    def users(self) -> int:
        """How many are remembered."""
        return len(self._history)

    def pass_by(self, at_ms: int) -> None:
        """Let an event of a user who is not in the sample move the partition's clock."""
        self._watermark.advance(at_ms)
        self._history.advance(at_ms)

    def fold(self, event: UserEvent) -> dict[str, float] | None:
        """Take an event in; tell its features, `None` if nothing waits for its outcome."""
        try:
            features = self._history.add(event)
        except Exception:  # noqa: BLE001  # whatever it is, predict set the event aside, too
            return None
        if features is None:
            return None
        at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
        is_late = self._watermark.is_late(at_ms)
        self._watermark.advance(at_ms)
        return None if is_late else features


class Parity:
    """Compares; in memory, from the beginning of the log on.

    Parameters
    ----------
    features
        What was served. Those that do not follow from one partition's events are not compared.
    share
        Share of users, 0 to 1.
    prediction_id
        Tells an event's prediction by its id.
    horizon
        Event time after which an event without a label becomes a negative outcome.
    keep_negatives
        Share of the negatives that become outcomes at all.
    at_maturity
        Whether no outcome is told before the horizon ends.
    new_partition
        Makes the sampled users of one partition.

    Examples
    --------
    >>> from streams.features import count
    >>> from streams.fold import compile_features
    >>> hour = timedelta(hours=1)
    >>> fold = compile_features([count(over=hour)], UserEvent)
    >>> parity = Parity(
    ...     fold, share=1.0, prediction_id="shop:".__add__, horizon=hour,
    ...     new_partition=lambda: SampledPartition(
    ...         FeatureHistory(fold, deduplication=hour, max_event_ids=9, lateness=hour),
    ...         lateness=hour,
    ...     ),
    ... )
    >>> parity.event(0, UserEvent("ada", "home", 1_000, "e1"))
    >>> parity.outcome(
    ...     Outcome("shop:e1", "shop", "ada", 1_000, 2_000, True, 0.5, "m", 1, fold.schema, [2.0]),
    ...     read_at_s=0.0,
    ... )
    >>> parity.counts.compared, parity.counts.mismatches
    (1, {'event_count_1h': 1})
    """

    def __init__(
        self,
        features: FeatureFold | FeatureSet,
        *,
        share: float,
        prediction_id: Callable[[str], str],
        horizon: timedelta,
        new_partition: Callable[[], SampledPartition],
        keep_negatives: float = 1.0,
        at_maturity: bool = False,
    ) -> None:
        self.counts = ParityCounts()
        self._names, self._schema = features.names, features.schema
        self._n_buckets = round(share * _BUCKETS)
        self._prediction_id = prediction_id
        self._horizon_ms = horizon // timedelta(milliseconds=1)
        self._keep_negatives = keep_negatives
        self._at_maturity = at_maturity
        self._new_partition = new_partition
        self._partitions: dict[int, SampledPartition] = {}
        self._early: dict[str, tuple[Outcome, float]] = {}
        """Outcomes that were read before their events, and when: a log has several partitions."""

    def is_sampled(self, key: bytes | None) -> bool:
        """Tell whether a user is in the sample, by the key of the record alone."""
        return crc32(key or b"") % _BUCKETS < self._n_buckets

    @property
    def users(self) -> int:
        """How many users of the sample are remembered."""
        return sum(partition.users for partition in self._partitions.values())

    def event(self, number: int, event: UserEvent, *, is_sampled: bool = True) -> None:
        """Take in the next event of a partition's log, cleaned.

        Whoever is not in the sample moves the partition's clock alone, which decides who is late.
        """
        partition = self._partitions.get(number)
        if partition is None:
            partition = self._partitions[number] = self._new_partition()
        if not is_sampled:
            partition.pass_by(event.ts)  # type: ignore[arg-type]  # milliseconds, once cleaned
            return
        features = partition.fold(event)
        if features is None:
            return
        at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
        prediction_id, values = self._prediction_id(event.event_id or ""), list(features.values())
        partition.expected[prediction_id] = (at_ms, values)
        if (early := self._early.pop(prediction_id, None)) is not None:
            self._compare(partition, early[0])

    def outcome(self, outcome: Outcome, *, read_at_s: float) -> None:
        """Take in what was served; what other declarations served is not compared.

        Of several of one prediction, that is done with the one that is judged, or has no label.
        """
        if outcome.judged == 0.0 and outcome.label is not None:
            return
        for partition in self._partitions.values():
            if outcome.prediction_id in partition.expected:
                self._compare(partition, outcome)
                return
        self._early[outcome.prediction_id] = (outcome, read_at_s)

    def settle(self, *, log_read_at_s: float) -> None:
        """Count what will not come any more.

        Parameters
        ----------
        log_read_at_s
            Up to when every partition of the log was read: an outcome that was read before, and
            whose event was not there, has none.
        """
        due = [each for each, (_, at_s) in self._early.items() if at_s < log_read_at_s]
        for prediction_id in due:
            outcome, _ = self._early.pop(prediction_id)
            self.counts.extra += outcome.schema == self._schema

    def _compare(self, partition: SampledPartition, outcome: Outcome) -> None:
        counts = self.counts
        _, values = partition.expected.pop(outcome.prediction_id)
        if outcome.schema != self._schema:
            return
        counts.compared += 1
        served_as = outcome.features[: len(values)]
        if served_as != values:
            # Further names are of features that are not computed again.
            for name, served, computed in zip(self._names, served_as, values, strict=False):
                if served != computed:
                    counts.mismatches[name] = counts.mismatches.get(name, 0) + 1
        # What is told at its horizon is told in the order of its events: those before are due. A
        # positive one that is told when it comes may come just then.
        is_due = self._at_maturity or not outcome.label  # none, false, or an amount of 0
        if is_due and outcome.labelled_at == outcome.event_at + self._horizon_ms:
            counts.missing += partition.give_up_before(
                outcome.event_at, keep_negatives=self._keep_negatives
            )
