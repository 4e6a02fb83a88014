"""What the ops page shows, folded from telemetry and alerts. Pure: time comes as an argument."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from agents.deployments.deployed import Deployed
from agents.observability import metric_list
from agents.observability.metric_spec import CounterSpec, GaugeSpec
from agents.pipeline import Pipeline
from agents.prediction.degraded import ERRORS
from agents.serving import shift_told, tables
from agents.serving.alert_times import can_be_drawn, day_of, happened_at
from agents.serving.drift_history import DriftHistory
from agents.serving.fleet import Fleet
from agents.serving.happenings import IS_PAST_MS, happenings, in_event_time
from agents.serving.health import Health
from agents.serving.samples import quantile
from agents.serving.shift_told import ShiftTold
from agents.serving.tables import Row
from agents.serving.tiles import missed, tiles
from agents.serving.timeline import GATHERING, Timeline
from agents.silence import told as silences_told
from online_models.levels import LEVELS
from online_models.registry import Change
from schemas import topics
from schemas.alerts import Alert
from schemas.deployments import Deployment, split
from schemas.reasons import Reason
from schemas.telemetry import Telemetry

PROMPT_S: Final = 0.050
"""The promise: nearly all predictions are visible within so long (`Goals.prompt_ratio`)."""
LAG_BUDGET_S: Final = 5.0
GATHERING_BUDGET_S: Final = 90.0
"""Of roles that let records wait on purpose: a minute at most, and some time to write."""
OVER_MS: Final = 60_000
"""Scores and shares are of the last minute."""
MAX_ALERTS: Final = 500
SHOWN_ALERTS: Final = 20
MAX_CHANGES: Final = 50
ARCHIVE: Final = "archive"
"""The role's name."""


class Overview:
    """The model of the page.

    Parameters
    ----------
    pipeline
        Tells which models compete while the log does not, and which incidents are known.
    delivery
        What readers of our outputs can rely on.
    has_actions
        Whether the page may offer to change something.
    """

    def __init__(self, pipeline: Pipeline, delivery: str, *, has_actions: bool = False) -> None:
        self._has_actions = has_actions
        self._pipeline = pipeline
        self._delivery = delivery
        self._deployed = Deployed(pipeline)
        self._fleet = Fleet()
        self._timeline = Timeline()
        self._alerts: OrderedDict[str, Alert] = OrderedDict()
        self._changes: deque[Change] = deque(maxlen=MAX_CHANGES)
        self._health = Health()
        self._drift = DriftHistory()
        self.shifts = ShiftTold()
        """What is known from `sketches`."""

    def fold(self, telemetry: Telemetry, now_ms: int) -> None:
        """Take in what a process says; its clock may be ahead of ours, but not here."""
        if telemetry.at > now_ms:
            telemetry = msgspec.structs.replace(telemetry, at=now_ms)
        self._timeline.advance(self._fleet, telemetry.at)
        self._fleet.forget(telemetry.at)
        self._fleet.fold(telemetry)
        self._drift.note(lambda: tables.drift(self._fleet, telemetry.at), telemetry.at)

    def fold_alert(self, alert: Alert) -> None:
        """Take in an alert; one that is told twice is kept once, the oldest goes first.

        One that says no time at which it can have happened, or could not be drawn for another
        reason, is passed over.
        """
        if not can_be_drawn(alert):
            return
        self._alerts[alert.alert_id] = alert
        if len(self._alerts) > MAX_ALERTS:
            self._alerts.popitem(last=False)

    def fold_deployment(self, event: Deployment, offset: int) -> None:
        """Take in a decision about who serves; one that is told twice counts once.

        One of no time takes effect, but has no place on the line of what happened.
        """
        registry = self._deployed.registry
        is_of_a_time = day_of(event.at) is not None
        if is_of_a_time and offset > registry.offset and registry.refusal(event) is None:
            self._changes.append(Change(offset, event))
        self._deployed.follow(registry.fold(event, offset))

    def alerts(self, last: int = MAX_ALERTS) -> list[Row]:
        """Tell the latest alerts, newest first."""
        return [self._told(alert) for alert in self._newest(last)]

    def drift_of(self, partition: str) -> Row:
        """Tell how the evidence of drift on a partition got to where it is."""
        return {"partition": partition, "spans": self._drift.of(partition)}

    def with_history(self, now_ms: int) -> dict[str, Any]:
        """Tell everything that the page shows, and the charts' points, oldest first."""
        return {**self.frame(now_ms), "history": list(self._timeline.points)}

    def frame(self, now_ms: int) -> dict[str, Any]:
        """Tell everything that the page shows now."""
        fleet, pipeline = self._fleet, self._pipeline
        self._timeline.advance(fleet, now_ms)
        fleet.forget(now_ms)
        processes = tables.processes(fleet, now_ms)
        lag = tables.lag(fleet, now_ms)
        numbers = self._numbers(now_ms)
        models = tables.models(fleet, self._deployed.roles, now_ms)
        quality = tables.quality(fleet, pipeline, now_ms)
        waits = any(
            row.get("seconds", 0.0) > LAG_BUDGET_S
            for row in lag
            if row["topic"] == topics.USER_EVENTS.name and row["group"] not in GATHERING
        )
        glance = tiles(pipeline, numbers, models, quality["score"], waits=waits)
        problems = [*_problems(processes, lag), *_worse(models), *missed(glance)]
        heard_at = max((process.at for process in fleet.processes.values()), default=None)
        self._health.note(problems, heard=heard_at is not None, now_ms=now_ms)
        champion, _ = split(self._deployed.roles.champion)
        return {
            "at": now_ms,
            "heard_at": heard_at,
            "use_case": pipeline.use_case,
            "task": pipeline.task,
            "delivery": self._delivery,
            "prompt_seconds": PROMPT_S,
            "actions": self._has_actions,
            "problems": problems,
            "since": self._health.since,
            "changed": self._changed(),
            "tiles": glance,
            "happened": self._happened(now_ms),
            "happened_in_event_time": self._happened_in_event_time(now_ms),
            "numbers": numbers,
            "point": self._timeline.points[-1],
            "processes": processes,
            "lag": lag,
            "scores": self._scores(now_ms),
            "reference_scores": shift_told.scores(self.shifts, champion, pipeline.task),
            "shift": shift_told.panel(self.shifts),
            "experiment": tables.experiment(fleet, pipeline, self._deployed, now_ms),
            "reviews": pipeline.review is not None,
            "drift": tables.drift(fleet, now_ms),
            "models": models,
            "quality": quality,
            "parity": tables.parity(fleet),
            "dead_letters": fleet.totals_by(metric_list.DEAD_LETTERS, "reason"),
            "labels": tables.known_labels(fleet),
            "state": tables.sums_by(fleet, metric_list.STATE_ENTRIES, "table", now_ms),
            "alerts": self.alerts(SHOWN_ALERTS),
            "silences": silences_told(self._deployed.silences, now_ms),
        }

    def _changed(self) -> Row | None:
        """Tell what was decided last."""
        if not self._changes:
            return None
        last = self._changes[-1]
        return {"at": last.event.at, "text": str(last), "why": last.event.why}

    def _newest(self, n: int) -> list[Alert]:
        return list(reversed(self._alerts.values()))[:n]

    def _happened(self, now_ms: int) -> Row:
        alerts, incidents = self._newest(SHOWN_ALERTS), self._pipeline.incidents
        return happenings(alerts, self._changes, self._health.spells, incidents, now_ms)

    def _happened_in_event_time(self, now_ms: int) -> Row | None:
        """Lay out what happened to events; says whether these are of the past, as in a replay."""
        alerts = self._newest(SHOWN_ALERTS)
        begins_at, reached = self.shifts.begins_at, self.shifts.reached
        incidents = self._pipeline.incidents
        line = in_event_time(alerts, incidents, begins_at=begins_at, reached=reached)
        return line and {**line, "is_past": now_ms - line["until"] > IS_PAST_MS}

    def _numbers(self, now_ms: int) -> dict[str, float | None]:
        fleet, point = self._fleet, self._timeline.points[-1]
        transactions = metric_list.TRANSACTIONS
        freshness = fleet.buckets(metric_list.FRESHNESS_SECONDS)
        return {
            "events_per_second": point["events"],
            "predictions_per_second": point["predictions"],
            "latency_p50_seconds": point["p50"],
            "latency_p95_seconds": point["p95"],
            "latency_p99_seconds": point["p99"],
            "prompt_ratio": self._prompt_ratio(now_ms),
            "error_ratio": self._error_ratio(now_ms),
            "features_missing_ratio": self._features_missing_ratio(now_ms),
            "events_total": fleet.total(metric_list.EVENTS, topic=topics.USER_EVENTS.name),
            "predictions_total": fleet.total(metric_list.PREDICTIONS),
            "outcomes_total": fleet.total(metric_list.OUTCOMES),
            "duplicates_total": fleet.total(metric_list.DUPLICATES),
            "late_events_total": fleet.total(metric_list.LATE_EVENTS),
            "dead_letters_total": fleet.total(metric_list.DEAD_LETTERS),
            "drift_alarms_total": fleet.total(metric_list.DRIFT_ALARMS),
            "rebalances_total": fleet.total(metric_list.REBALANCES),
            "transactions_committed_total": fleet.total(transactions, result="committed"),
            "transactions_retried_total": fleet.total(transactions, result="retried"),
            "users_written_total": fleet.total(metric_list.USERS_WRITTEN),
            "redis_errors_total": fleet.total(metric_list.REDIS_ERRORS),
            "freshness_p99_seconds": quantile(freshness, 0.99),
            # The archive gathers records by the ten thousand: nobody waits for those.
            "in_flight_records": self._sum(metric_list.IN_FLIGHT_RECORDS, now_ms, but=ARCHIVE),
            "assigned_partitions": self._sum(metric_list.ASSIGNED_PARTITIONS, now_ms, but=ARCHIVE),
            "state_entries": self._sum(metric_list.STATE_ENTRIES, now_ms),
        }

    def _sum(self, spec: GaugeSpec, now_ms: int, *, but: str | None = None) -> float | None:
        values = [value for _, value in self._fleet.gauges(spec, now_ms, but=but)]
        return sum(values) if values else None

    def _prompt_ratio(self, now_ms: int) -> float | None:
        recent = self._fleet.recent_buckets(metric_list.LATENCY_SECONDS, now_ms, over_ms=OVER_MS)
        n = sum(count for _, count in recent)
        return sum(count for bound, count in recent if bound <= PROMPT_S) / n if n else None

    def _error_ratio(self, now_ms: int) -> float | None:
        """Tell the share of events set aside by a bug, or answered without a model."""

        def recent(spec: CounterSpec, label: str) -> dict[str, float]:
            return self._fleet.recent_by(spec, label, now_ms, over_ms=OVER_MS)

        n = recent(metric_list.EVENTS, "topic").get(topics.USER_EVENTS.name)
        if not n:
            return None
        degraded = recent(metric_list.DEGRADED, "reason")
        set_aside = recent(metric_list.DEAD_LETTERS, "reason")
        broken = sum(degraded.get(reason, 0.0) for reason in ERRORS)
        return (broken + set_aside.get(Reason.PROCESSING_FAILED, 0.0)) / n

    def _features_missing_ratio(self, now_ms: int) -> float | None:
        ratios = self._fleet.gauges(metric_list.FEATURES_MISSING_RATIO, now_ms)
        of_ours = [r for labels, r in ratios if labels["use_case"] == self._pipeline.use_case]
        return max(of_ours, default=None)

    def _scores(self, now_ms: int) -> list[float]:
        recent = self._fleet.recent_buckets(metric_list.SCORES, now_ms, over_ms=OVER_MS)
        return [count for _, count in recent[: metric_list.SCORE_BUCKETS]]

    def _told(self, alert: Alert) -> Row:
        """Add when it happened, which for drift is event time, and what is known of that time."""
        at = happened_at(alert)
        day = day_of(at)
        during = (i.name for i in self._pipeline.incidents if day and i.first <= day <= i.last)
        row: Row = msgspec.to_builtins(alert)
        return {**row, "happened_at": at, "incident": next(during, None)}


def _problems(processes: list[Row], lag: list[Row]) -> Iterator[Row]:
    """Say in words what an operator should look at; the id stays while the words change."""
    for process in processes:
        name = process["name"]
        if process["state"] == "down":
            text = f"{name} has been silent for {process['silent_seconds']:.0f} s"
            yield {"id": f"{name} down", "text": text}
        elif process["state"] == "starting":
            restored = process["restored_ratio"]
            progress = "" if restored is None else f": {restored:.0%} of its state is restored"
            yield {"id": f"{name} starting", "text": f"{name} is not ready{progress}"}
    for row in lag:
        budget_s = GATHERING_BUDGET_S if row["group"] in GATHERING else LAG_BUDGET_S
        if row.get("seconds", 0.0) > budget_s:
            text = f"{row['group']} is {row['seconds']:.0f} s behind on {row['topic']}"
            yield {"id": f"{row['group']} {row['topic']} lag", "text": text}


def _worse(models: list[Row]) -> Iterator[Row]:
    """Say that the champion is worse than it was."""
    for row in models:
        if row["part"] == "champion" and (rank := int(row.get("accuracy_level", 0))):
            text = (
                f"{row['model']} is worse than it was: its accuracy is at the level {LEVELS[rank]}"
            )
            yield {"id": f"{row['model']} accuracy", "text": text}
