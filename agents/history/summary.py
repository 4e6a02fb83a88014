"""What a replay showed, on one screen: delivery, latency, models beside baselines, drift."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table

from agents.history.accounting import DriftAlarm, Figures
from agents.observability import metric_list
from agents.pipeline import Incident, Pipeline
from online_models.registry import Registry, Roles

BASELINES: Final = {
    metric_list.BASELINE_RATE: "base rate",
    metric_list.BASELINE_LAST_CLASS: "last class",
}


class ModelScore(msgspec.Struct, frozen=True):
    """How a model did, each outcome predicted before it was learned."""

    model: str
    role: str
    """`champion`, `challenger` or `baseline`."""
    roc_auc: float | None
    log_loss: float | None
    outcomes: int
    """Outcomes the figures rest on."""
    unjudged: int | None = None
    """Outcomes that were learned and that no earlier self of the model was old enough to judge."""


class IncidentAlarms(msgspec.Struct, frozen=True):
    """What the drift detectors said during something that is known to have happened."""

    incident: str
    first: date
    last: date
    alarms: list[date]


class Summary(msgspec.Struct, frozen=True):
    """The whole result of a replay, as `--json` writes it."""

    use_case: str
    figures: Figures
    models: list[ModelScore]
    incidents: list[IncidentAlarms]
    alarms_elsewhere: list[date]
    """Drift alarms at times of no known incident."""


def summarise(
    pipeline: Pipeline, registry: Registry, figures: Figures, samples: Mapping[str, float]
) -> Summary:
    """Put together what an audit found and what the learner says of its models.

    Parameters
    ----------
    registry
        Tells who serves.
    samples
        Of the learner's newest telemetry.
    """
    alarms = [_day(alarm) for alarm in figures.drift_alarms]
    return Summary(
        use_case=pipeline.use_case,
        figures=figures,
        models=list(_scores(registry.roles(pipeline.models), samples)),
        incidents=[
            IncidentAlarms(
                incident.name,
                incident.first,
                incident.last,
                [day for day in alarms if _covers(incident, day)],
            )
            for incident in pipeline.incidents
        ],
        alarms_elsewhere=[
            day for day in alarms if not any(_covers(known, day) for known in pipeline.incidents)
        ],
    )


def to_json(summary: Summary) -> str:
    """Write a summary as one line of JSON."""
    return msgspec.json.encode(summary).decode()


def render(summary: Summary) -> RenderableType:
    """Lay a summary out for people."""
    return Group("", _delivery(summary.figures), "", _models(summary.models), "", _drift(summary))


def dates(days: Sequence[date]) -> str:
    """Write dates briefly, those of one day together.

    >>> dates([date(2024, 3, 1), date(2024, 3, 1), date(2024, 4, 12)])
    '1 Mar (2), 12 Apr'
    >>> dates([])
    'none'
    """
    by_day = Counter(days)
    return (
        ", ".join(_brief(day) + (f" ({n})" if n > 1 else "") for day, n in by_day.items()) or "none"
    )


def _scores(who: Roles, samples: Mapping[str, float]) -> Iterable[ModelScore]:
    roles = {who.champion: "champion"}
    roles |= dict.fromkeys(who.challengers, "challenger")
    roles |= dict.fromkeys(BASELINES, "baseline")
    for model, role in roles.items():
        label = f'{{model="{model}"}}'
        unjudged = metric_list.MODEL_UNJUDGED.name + label
        yield ModelScore(
            BASELINES.get(model, model),
            role,
            samples.get(metric_list.MODEL_ROC_AUC.name + label),
            samples.get(metric_list.MODEL_LOG_LOSS.name + label),
            int(samples.get(metric_list.MODEL_EVALUATED.name + label, 0)),
            int(samples[unjudged]) if unjudged in samples else None,
        )


def _delivery(figures: Figures) -> Table:
    table = _table("delivery")
    table.add_column(justify="right")
    table.add_row("events in", f"{figures.events_in:,}")
    table.add_row("predictions out", f"{figures.predictions_out:,}")
    table.add_row("lost", _zero_is_good(figures.lost))
    table.add_row("duplicated", _zero_is_good(figures.duplicated))
    table.add_row("dead letters", f"{sum(figures.dead_letters.values()):,}")
    for reason, n in figures.dead_letters.items():
        table.add_row(f"[dim]  {reason}[/]", f"[dim]{n:,}[/]")
    if (latency := figures.latency_ms) is not None:
        table.add_row("latency p50", f"{latency.p50:.1f} ms")
        table.add_row("latency p95", f"{latency.p95:.1f} ms")
        table.add_row("latency p99", f"{latency.p99:.1f} ms")
    return table


def _models(scores: Sequence[ModelScore]) -> Table:
    table = _table("model")
    table.add_column("")
    for title in ("ROC AUC", "log loss", "outcomes"):
        table.add_column(title, justify="right")
    for score in scores:
        style = "dim" if score.role == "baseline" else None
        figures = (_decimal(score.roc_auc), _decimal(score.log_loss), f"{score.outcomes:,}")
        table.add_row(score.model, score.role, *figures, style=style)
    if unjudged := max((score.unjudged or 0 for score in scores), default=0):
        # After a stall events are older than any earlier self of the models that learned on.
        table.add_row("[dim]learned, not judged[/]", "", "", "", f"[dim]{unjudged:,}[/]")
    return table


def _drift(summary: Summary) -> Table:
    table = _table("drift")
    table.add_column("known incident")
    table.add_column("alarms")
    for known in summary.incidents:
        span = f"{_brief(known.first)} - {_brief(known.last)}"
        table.add_row(known.incident, span, dates(known.alarms))
    table.add_row("no known incident", "", dates(summary.alarms_elsewhere), style="dim")
    return table


def _table(title: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2), header_style="bold")
    table.add_column(title, min_width=24, no_wrap=True)
    return table


def _zero_is_good(n: int) -> str:
    return f"[{'red' if n else 'green'}]{n:,}[/]"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _brief(day: date) -> str:
    return f"{day.day} {day:%b}"


def _day(alarm: DriftAlarm) -> date:
    return datetime.fromtimestamp(alarm.at / 1_000, UTC).date()


def _covers(incident: Incident, day: date) -> bool:
    return incident.first <= day <= incident.last
