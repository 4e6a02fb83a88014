"""What came of a prediction: events and labels meet the predictions that wait for them.

The label of a prediction is positive when its user acts within the horizon, negative when the
watermark passes the horizon first. A rule may settle all only then: the last label by its time
stands. What is reported may be a class or an amount, too; then silence says nothing, and the
outcome has no label. Any order of arrival within the allowed lateness gives the same labels, and so
does a label that comes before the event it is about. What was settled may be revised, where the
rule says so.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from schemas.labels import Label, LabelValue
from schemas.outcomes import Outcome
from schemas.trace_context import TraceContext
from streams.early_labels import EarlyLabel, EarlyLabels
from streams.fates import Fates
from streams.field_label import FieldLabel, label_in
from streams.label_rule import LabelRule, Silence, happens_within
from streams.negatives import is_kept
from streams.pending import Pending
from streams.positives import RecentPositives
from streams.reports import Report, gathered, latest
from streams.revisions import Revisions, Settled
from streams.state import Table
from streams.told_values import ToldValues, UserValues

__all__ = ["LabelJoin", "happens_within"]  # pipelines import the last from here, too

_SILENCE: Final[Mapping[Silence, LabelValue | None]] = {
    "negative": False,
    "unknown": None,
    "zero": 0.0,
}
SPENT_DEADLINES: Final = 1_000
"""Deadlines of resolved predictions that are kept beside twice as many as wait."""


class LabelJoin:
    """Joins the predictions of one partition with their labels.

    All tables are restored before they are given. What was resolved is remembered in memory only,
    to tell a duplicate label from an unknown one: that it gives no second outcome is sure anyway.

    Parameters
    ----------
    rule
        What makes a prediction come true.
    pending, positives, early, settled, told
        Where the join is persisted: `streams.pending.pending_table`,
        `streams.positives.positives_table`, `streams.early_labels.early_labels_table`,
        `streams.revisions.settled_table` and `streams.told_values.told_values_table`.
    capacity
        How many predictions may wait. When they do, those that come are refused: to let go of one
        that waits would choose by label, since those that come true leave early by themselves. And
        how many labels may wait for their prediction, and how many settled predictions for being
        revised.

    Examples
    --------
    >>> from streams.early_labels import early_labels_table
    >>> from streams.pending import pending_table
    >>> from streams.positives import positives_table
    >>> from streams.revisions import settled_table
    >>> from streams.told_values import told_values_table
    >>> rule = happens_within("buy", timedelta(seconds=10))
    >>> tables = pending_table(), positives_table(), early_labels_table(), settled_table()
    >>> join = LabelJoin(rule, *tables, told=told_values_table(), capacity=1000)
    >>> for at in (1_000, 5_000):
    ...     join.enrol(Pending(f"p{at}", f"e{at}", "demo", "ada", at, 0.5, "m_v1", 1, "", b""))
    >>> [(outcome.prediction_id, outcome.label) for outcome in join.observe("ada", "buy", 12_000)]
    [('p5000', True)]
    >>> [(outcome.prediction_id, outcome.label) for outcome in join.advance(11_001)]
    [('p1000', False)]
    """

    def __init__(
        self,
        rule: LabelRule,
        pending: Table[Pending],
        positives: Table[list[int]],
        early: Table[EarlyLabel],
        settled: Table[Settled],
        *,
        told: Table[UserValues],
        capacity: int,
    ) -> None:
        self.fates = Fates()
        self.traces: dict[str, TraceContext] = {}
        """Of sampled predictions whose outcomes were made, by their id; the caller clears it."""
        self._action: Final = rule.action
        self._target: Final = rule.target
        self._silence: Final = _SILENCE[rule.silence]
        self._keep_negatives: Final = rule.keep_negatives
        self._weight_of_negatives: Final = 1.0 / rule.keep_negatives
        self._settles_at_once: Final = rule.positive == "at_once"
        self._tells_fakes: Final = rule.fake_negatives
        # Whether more than the first of several labels may count.
        self._gathers: Final = rule.is_revisable or not self._settles_at_once
        self._horizon_ms: Final = rule.horizon // timedelta(milliseconds=1)
        self._capacity: Final = capacity
        self._pending: Final = pending
        self._field: Final = rule.field
        self._says: Final = rule.says
        self._positives: Final = RecentPositives(positives, rule.horizon)
        self._told: Final = ToldValues(told, rule.horizon, target=rule.target)
        self._early: Final = EarlyLabels(early, rule.horizon, capacity=capacity)
        self._is_revisable: Final = rule.is_revisable
        span = rule.horizon + rule.revisable_for
        self._revisions: Final = Revisions(settled, span, capacity=capacity)
        self._watermark_ms = 0
        self._n_waiting = 0
        # Event time of each waiting prediction, by user.
        self._by_user: dict[str, dict[str, int]] = {}
        self._by_event: dict[str, str] = {}
        # Of resolved predictions too, until their time comes or they are the larger part.
        self._deadlines: list[tuple[int, str]] = []
        # Labels by prediction id and by event id, in two generations of at most `capacity` names.
        self._resolved: dict[str, LabelValue | None] = {}
        self._resolved_before: dict[str, LabelValue | None] = {}
        for _, prediction in pending.scan():
            self._index(prediction)

    def __len__(self) -> int:
        return self._n_waiting

    @property
    def n_early(self) -> int:
        """Labels that wait for their prediction."""
        return len(self._early)

    @property
    def n_revisable(self) -> int:
        """Settled predictions that a label may still revise."""
        return len(self._revisions)

    def enrol(self, prediction: Pending) -> Outcome | None:
        """Let a prediction wait, unless its label is known or it waits already.

        It is known if one came before, or if the user has already acted in time. Where the rule
        tells fake negatives, one that waits is one.
        """
        event_at = prediction.event_at
        deadline = event_at + self._horizon_ms
        if deadline < self._watermark_ms:
            self.fates.late += 1
            return None
        prediction_id = prediction.prediction_id
        is_settled = self._is_revisable and prediction_id in self._revisions
        if is_settled or prediction_id in self._pending:
            return None
        if self._n_waiting >= self._capacity:
            self.fates.refused += 1
            return None
        early = self._take_early(prediction)
        if self._settles_at_once:
            if early is not None:
                return self._report(prediction, early.reports[-1])
            acted_at = self._positives.first_after(prediction.user_id, event_at)
            if acted_at is not None:
                return self._resolve(prediction, True, acted_at)
        elif early is not None:
            prediction.reports = self._counting(prediction, early.reports)
        self._pending.put(prediction_id, prediction)
        self._index(prediction)
        return self._fake(prediction) if self._tells_fakes else None

    def observe(self, user_id: str, action: str, at_ms: int, value: object = None) -> list[Outcome]:
        """Resolve what an event makes come true, and remember it for what may still arrive.

        Where nothing is settled before the horizon ends, it is remembered alone. `value` is that of
        the field which the rule names, if it names one.
        """
        if action != self._action:
            return []
        earliest = at_ms - self._horizon_ms
        if at_ms + self._horizon_ms > self._watermark_ms:
            self._remember(user_id, at_ms, value)
        if not self._settles_at_once:
            return []
        # In order of their events: that of the index is another after a restore or an undo.
        fulfilled = sorted(
            (event_at, prediction_id)
            for prediction_id, event_at in self._by_user.get(user_id, {}).items()
            if earliest <= event_at < at_ms
        )
        predictions = [self._take(prediction_id) for _, prediction_id in fulfilled]
        outcomes = [self._resolve(found, True, at_ms) for found in predictions if found is not None]
        return [outcome for outcome in outcomes if outcome is not None]

    def _remember(self, user_id: str, at_ms: int, value: object) -> None:
        if self._field is None:
            self._positives.remember(user_id, at_ms)
        elif (label := label_in(value, self._says)) is not None:
            self._told.remember(user_id, at_ms, label)
        elif value is not None:
            self.fates.unusable += 1

    def label(self, label: Label) -> Outcome | None:
        """Resolve or revise the prediction that a cleaned label names.

        If it is not there but may come, the label waits.
        """
        prediction_id = label.prediction_id or self._by_event.get(label.event_id or "", "")
        waiting = self._pending.get(prediction_id)
        user_id, report = str(label.user_id), Report(int(label.ts), label.label, label.by)
        if waiting is not None:
            if waiting.user_id != user_id or label.arm not in ("", waiting.arm):
                self.fates.unknown += 1
                return None
            if not self._settles_at_once:
                self._note(waiting, report)
                return None
            self._take(prediction_id)
            return self._report(waiting, report)
        if self._is_revisable and (settled := self._settled(label)) is not None:
            if settled.prediction.user_id != user_id:
                self.fates.unknown += 1
                return None
            return self._revise(settled, report)
        name = label.prediction_id or label.event_id or ""
        if name in self._resolved or name in self._resolved_before:
            known = self._resolved.get(name, self._resolved_before.get(name))
            self._count_again(report.label, known)
        else:
            self._keep_early(user_id, _of_arm(name, label.arm), report)
        return None

    def advance(self, watermark_ms: int) -> list[Outcome]:
        """Resolve what waits no longer, since its horizon is behind the watermark.

        As negative, or as unknown, unless its rule settles nothing before.
        """
        watermark_ms = self._watermark_ms = max(self._watermark_ms, watermark_ms)
        self.fates.unknown += self._early.give_up(watermark_ms)
        outcomes = []
        while self._deadlines and self._deadlines[0][0] < watermark_ms:
            deadline, prediction_id = heappop(self._deadlines)
            prediction = self._take(prediction_id)
            if prediction is None:
                continue
            if not self._settles_at_once:
                outcomes += self._mature(prediction, deadline)
            elif (outcome := self._resolve(prediction, self._silence, deadline)) is not None:
                outcomes.append(outcome)
        self._revisions.forget(watermark_ms)
        self._positives.forget(watermark_ms)  # now that they have said what came true
        self._told.forget(watermark_ms)
        return outcomes

    def undo(self) -> None:
        """Take back what came since the tables were last logged, in the tables as well.

        Takes as long as that is much. `fates` stay as they are, and so does what is known of
        labels, which has no outcome.
        """
        self.traces.clear()
        self._positives.undo()
        self._told.undo()
        self._early.undo()
        self._revisions.undo()
        self._watermark_ms = 0  # until it is told again
        for prediction_id, undone in self._pending.undo().items():
            if undone is not None:
                self._unindex(undone)
            if (prediction := self._pending.get(prediction_id)) is not None:
                self._index(prediction)

    def _take_early(self, prediction: Pending) -> EarlyLabel | None:
        """Return the label that came before a prediction, if one did."""
        if not self._early:
            return None
        names = [prediction.prediction_id, prediction.event_id]
        if prediction.arm:
            names += [_of_arm(name, prediction.arm) for name in names]
        taken = [self._early.take(prediction.user_id, name) for name in names]
        found = [early for early in taken if early is not None]
        for early in found[1:]:
            self._count_again(early.label, found[0].label)
        if not self._gathers or len(found) < 2:  # noqa: PLR2004  # nothing to put together
            return found[0] if found else None
        return EarlyLabel.of([report for early in found for report in early.reports])

    def _keep_early(self, user_id: str, name: str, report: Report) -> None:
        """Let a label wait, beside those that wait already if the last word counts."""
        known = self._early.get(user_id, name)
        if known is None:
            self.fates.early += 1
            self._early.keep(user_id, name, EarlyLabel.of([report]))
            self.fates.unknown += self._early.give_up(self._watermark_ms)
            return
        self._count_again(report.label, known.reports[-1].label)
        if self._gathers and report not in known.reports:
            self._early.keep(user_id, name, EarlyLabel.of([*known.reports, report]))

    def _note(self, prediction: Pending, report: Report) -> None:
        """Let a prediction that goes on waiting know what was said of it."""
        if prediction.reports:
            self._count_again(report.label, prediction.reports[-1].label)
        reports = self._counting(prediction, (*prediction.reports, report))
        if reports != prediction.reports:
            changed = msgspec.structs.replace(prediction, reports=reports)
            self._pending.put(prediction.prediction_id, changed)

    def _counting(self, prediction: Pending, reports: Iterable[Report]) -> tuple[Report, ...]:
        """Find what counts of all that was said: the last word within the horizon.

        And the last word of all, if that is another and will revise it.
        """
        until_ms = prediction.event_at + self._horizon_ms
        ends_at = self._revisions.ends_at(prediction) if self._is_revisable else until_ms
        self.fates.overdue += sum(report.at > ends_at for report in reports)
        last = latest(reports, until_ms=until_ms), latest(reports, until_ms=ends_at)
        return gathered(report for report in last if report is not None)

    def _mature(self, prediction: Pending, deadline: int) -> list[Outcome]:
        """Settle a prediction whose horizon has passed, where nothing was settled before.

        What is reported outranks what follows from events: who reports knows of them.
        """
        last = latest(prediction.reports, until_ms=deadline)
        has_acted = self._positives.first_after(prediction.user_id, prediction.event_at) is not None
        said_at = None if last is None else last.at
        label: LabelValue | None = has_acted or self._silence if last is None else last.label
        if last is None and self._field is not None:
            label = self._read(self._field, prediction)
        by = "" if last is None else last.by
        self.fates.conflicting += has_acted and not label
        outcomes = [self._resolve(prediction, label, deadline, said_at=said_at, by=by)]
        if prediction.reports and prediction.reports[-1] != last:  # dated after the horizon
            settled = Settled(prediction, bool(label), said_at)
            outcomes.append(self._revise(settled, prediction.reports[-1]))
        return [outcome for outcome in outcomes if outcome is not None]

    def _read(self, field: FieldLabel, prediction: Pending) -> LabelValue | None:
        """Tell what the user's events say within the horizon of a prediction."""
        told = self._told.within(prediction.user_id, prediction.event_at)
        if told is None:
            self.fates.crowded += 1
            return None
        return field.of(told)

    def _fake(self, prediction: Pending) -> Outcome:
        """Tell a prediction as a negative, by the weight of its score that it is none.

        It is known in the first moment after its event: no model that learned it judges it.
        """
        self.fates.fake += 1
        prediction.is_told = True
        self._trace(prediction)
        return prediction.outcome(
            False,
            labelled_at=prediction.event_at + 1,
            target=self._target,
            weight=1.0 - prediction.score**2,
            judged=0.0,
        )

    def _settled(self, label: Label) -> Settled | None:
        """Find the settled prediction that a label names."""
        if label.prediction_id is not None:
            return self._revisions.find(label.prediction_id)
        return self._revisions.find_event(label.event_id or "")

    def _revise(self, settled: Settled, report: Report) -> Outcome | None:
        """Let a later word stand; it is an outcome if it says otherwise.

        Its weight is its own and, once more, that of what it takes back. Learning cannot be undone,
        but what was learned wrongly is outweighed.
        """
        at_ms, label = report.at, bool(report.label)
        prediction = settled.prediction
        if at_ms > self._revisions.ends_at(prediction):
            self.fates.overdue += 1
            return None
        if label == settled.label or settled.stands_against(at_ms, label):
            self._count_again(label, settled.label)
        if settled.stands_against(at_ms, label):
            return None
        self._revisions.keep(Settled(prediction, label, at_ms))
        if label == settled.label:
            return None
        self.fates.revised += 1
        self._trace(prediction)
        return prediction.outcome(
            label,
            labelled_at=at_ms,
            target=self._target,
            weight=self._weight(prediction, label) + self._weight(prediction, not label),
            judged=0.0,
            revises=True,
            by=report.by,
        )

    def _weight(self, prediction: Pending, label: LabelValue | None) -> float:
        """Tell what a label of a prediction weighs; 0: another negative stands for it."""
        if label or self._keep_negatives == 1.0:
            return 1.0
        is_ours = is_kept(prediction.prediction_id, self._keep_negatives)
        return self._weight_of_negatives if is_ours else 0.0

    def _count_again(self, label: LabelValue, known: LabelValue | None) -> None:
        if known is None:  # and will not be any more
            self.fates.overdue += 1
        elif label == known:
            self.fates.duplicate += 1
        else:
            self.fates.conflicting += 1

    def _index(self, prediction: Pending) -> None:
        prediction_id = prediction.prediction_id
        self._by_user.setdefault(prediction.user_id, {})[prediction_id] = prediction.event_at
        self._by_event[prediction.event_id] = prediction_id
        heappush(self._deadlines, (prediction.event_at + self._horizon_ms, prediction_id))
        self._n_waiting += 1

    def _take(self, prediction_id: str) -> Pending | None:
        """Return a prediction that waits, which it then does no longer."""
        prediction = self._pending.pop(prediction_id)
        if prediction is not None:
            self._unindex(prediction)
        return prediction

    def _unindex(self, prediction: Pending) -> None:
        self._n_waiting -= 1
        self._by_event.pop(prediction.event_id, None)
        of_user = self._by_user[prediction.user_id]
        del of_user[prediction.prediction_id]
        if not of_user:
            del self._by_user[prediction.user_id]
        if len(self._deadlines) > 2 * self._n_waiting + SPENT_DEADLINES:
            self._deadlines = [
                (event_at + self._horizon_ms, waiting_id)
                for of_user in self._by_user.values()
                for waiting_id, event_at in of_user.items()
            ]
            heapify(self._deadlines)

    def _report(self, prediction: Pending, report: Report) -> Outcome | None:
        """Make the outcome of a prediction that a report settles at once."""
        return self._resolve(prediction, report.label, report.at, said_at=report.at, by=report.by)

    def _resolve(
        self,
        prediction: Pending,
        label: LabelValue | None,
        at_ms: int,
        *,
        said_at: int | None = None,
        by: str = "",
    ) -> Outcome | None:
        """Make the outcome of a prediction; `None`: another negative stands for it.

        `said_at` is the time of the report that it follows from, `by` who judged it.
        """
        self._count(label)
        resolved = self._resolved
        resolved[prediction.prediction_id] = resolved[prediction.event_id] = label
        if len(resolved) >= self._capacity:
            self._resolved_before, self._resolved = resolved, {}
        if self._is_revisable:
            self._revisions.keep(Settled(prediction, bool(label), said_at))
        weight = judged = self._weight(prediction, label)
        if by and prediction.stands_for is not None:
            weight = judged = weight * prediction.stands_for
        if judged == 0.0:
            self.fates.sampled_out += 1
            return None
        if label is None:
            judged = 0.0
        if prediction.is_told:
            weight = 1.0 + prediction.score if label else 0.0
        self._trace(prediction)
        return prediction.outcome(
            label, labelled_at=at_ms, target=self._target, weight=weight, judged=judged, by=by
        )

    def _trace(self, prediction: Pending) -> None:
        if prediction.trace is not None:
            self.traces[prediction.prediction_id] = prediction.trace

    def _count(self, label: LabelValue | None) -> None:
        if label is True:
            self.fates.positive += 1
        elif label is False:
            self.fates.negative += 1
        elif label is None:
            self.fates.unreported += 1
        else:
            self.fates.labelled += 1


def _of_arm(name: str, arm: str) -> str:
    """Name what is said of one arm alone; no id that people make holds a zero byte."""
    return f"{name}\0{arm}" if arm else name
