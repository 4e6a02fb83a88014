"""The dashboard in Grafana: goals first, then flow, models, drift, stores, processes."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Final

from grafana_foundation_sdk.builders import common, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

from ops.monitoring.quantities import QUANTITIES, Quantity, goal

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
_RATE: Final = "[$__rate_interval]"
_HEIGHT: Final = 8
_WIDTH: Final = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """Series over time."""

    title: str
    unit: str
    series: tuple[tuple[str, str], ...]
    """PromQL, and how each series is called in the legend."""
    line: float | None = None
    """Where a line is drawn."""
    is_from_0: bool = True
    description: str = ""
    of_task: str = ""
    """The only task of whose models it tells; empty: all."""


def _quantiles(histogram: str, by: str = "") -> tuple[tuple[str, str], ...]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        (
            f"histogram_quantile({share:g}, sum by ({labels}) (rate({histogram}_bucket{_RATE})))",
            f"{name}{legend}",
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    )


def _rare(expr: str, legend: str) -> tuple[tuple[str, str], ...]:
    """Show zero of what never happened."""
    return ((f"{expr} or on () vector(0)", legend),)


def _goal(quantity: Quantity) -> Panel:
    emergency = ((goal(quantity.emergency), "emergency"),) if quantity.emergency else ()
    return Panel(
        quantity.title,
        quantity.unit,
        ((quantity.expr, "now"), (goal(quantity.goal), "goal"), *emergency),
        of_task=quantity.of_task,
        description=f"Alert {quantity.alert} while it is {quantity.worse} the goal.",
    )


ROWS: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    ("Goals", tuple(_goal(quantity) for quantity in QUANTITIES)),
    (
        "Flow",
        (
            Panel(
                "Events and predictions per second",
                "ops",
                (
                    (f"sum by (topic) (rate(thalweg_events_total{_RATE}))", "{{topic}}"),
                    (f"sum(rate(thalweg_predictions_total{_RATE}))", "predictions"),
                ),
            ),
            Panel(
                "Latency, event to read_committed reader",
                "s",
                _quantiles("thalweg_latency_seconds"),
                line=0.05,
            ),
            Panel(
                "Late predictions: share beyond 50 ms",
                "percentunit",
                (("job:thalweg_prompt_ratio:missed_5m", "5 min"),
                 ("job:thalweg_prompt_ratio:missed_1h", "1 h"),
                 ("job:thalweg_prompt_ratio:missed_6h", "6 h")),
            ),
            Panel(
                "Lag",
                "s",
                (("max by (group, topic) (thalweg_lag_seconds)", "{{group}}: {{topic}}"),),
            ),
            Panel("Transactions", "s", _quantiles("thalweg_transaction_seconds")),
            Panel(
                "Transactions that did not just commit, per second",
                "ops",
                _rare(
                    "sum by (result) "
                    f'(rate(thalweg_transactions_total{{result!="committed"}}{_RATE}))',
                    "{{result}}",
                ),
            ),
            Panel(
                "Dead letters per second",
                "ops",
                ((f"sum by (reason) (rate(thalweg_dead_letters_total{_RATE})) > 0 "
                  "or on () vector(0)", "{{reason}}"),),
            ),
            Panel(
                "Degraded predictions per second",
                "ops",
                ((f"sum by (reason) (rate(thalweg_degraded_total{_RATE}))", "{{reason}}"),),
            ),
        ),
    ),
    (
        "Models and drift",
        (
            Panel(
                "ROC AUC, last outcomes",
                "percentunit",
                (("max by (model) (thalweg_model_window_roc_auc)", "{{model}}"),),
                is_from_0=False,
            ),
            Panel(
                "ROC AUC to come, estimated before labels",
                "percentunit",
                (
                    ("max by (model) (thalweg_model_estimated_roc_auc)", "{{model}}"),
                    (
                        "max by (model) (thalweg_model_estimated_roc_auc"
                        " - thalweg_model_estimated_margin_ratio)",
                        "{{model}}, at least",
                    ),
                    (
                        "max by (model) (thalweg_model_estimated_roc_auc"
                        " + thalweg_model_estimated_margin_ratio)",
                        "{{model}}, at most",
                    ),
                ),
                is_from_0=False,
                description="If scores are worth what they were: it sees who is asked about, and"
                " not that the world answers differently.",
            ),
            Panel(
                "Log loss, last outcomes",
                "none",
                (("max by (model) (thalweg_model_window_log_loss)", "{{model}}"),),
            ),
            Panel(
                "Freshness, label known to snapshot serving",
                "s",
                _quantiles("thalweg_freshness_seconds"),
            ),
            Panel(
                "Evidence of drift, less its threshold (powers of ten)",
                "none",
                (
                    (
                        "max by (signal) (thalweg_drift_statistic - thalweg_drift_threshold)",
                        "{{signal}}",
                    ),
                ),
                line=0.0,
                is_from_0=False,
                description="An alarm is raised where the line is reached.",
            ),
            Panel(
                "Score: recent mean and reference",
                "none",
                (
                    ('avg(thalweg_drift_mean{signal="score_mean"})', "recent"),
                    ('avg(thalweg_drift_reference{signal="score_mean"})', "reference"),
                ),
            ),
            Panel(
                "Scores as served: tenths",
                "none",
                tuple(
                    (
                        f"histogram_quantile({tenth / 10:g}, "
                        f"sum by (le) (rate(thalweg_score_ratio_bucket{_RATE})))",
                        f"p{tenth * 10}",
                    )
                    for tenth in (1, 5, 9)
                ),
                description="The distribution of the predictions; drift and shift tell whether it"
                " moved.",
            ),
            Panel(
                "Last day against the reference week: evidence (powers of ten)",
                "none",
                (("max by (model, signal) (thalweg_shift_evidence)", "{{model}} {{signal}}"),),
                line=3.0,
                description="Of all partitions together. Alert ThalwegShift where it reached the"
                " line.",
            ),
            Panel(
                "Last day against the reference week: index, less what chance makes of it",
                "none",
                (
                    (
                        "max by (model, signal)"
                        " (thalweg_shift_index - thalweg_shift_index_by_chance)",
                        "{{model}} {{signal}}",
                    ),
                ),
                line=0.25,
                is_from_0=False,
            ),
            Panel(
                "Level of accuracy: 1 warning, 2 critical",
                "none",
                (("max by (model) (thalweg_model_accuracy_level)", "{{model}}"),),
            ),
            Panel(
                "Emergencies that last",
                "none",
                (("max by (signal) (thalweg_emergency)", "{{signal}}"),),
            ),
            Panel(
                "Trainings of the policy in the last day",
                "none",
                _rare("sum by (result) (increase(thalweg_retrainings_total[1d]))", "{{result}}"),
            ),
            Panel(
                "Alerts raised in the last hour",
                "none",
                _rare("sum by (kind, level) (increase(thalweg_alerts_total[1h]))",
                      "{{kind}} {{level}}"),
            ),
        ),
    ),
    (
        "Stores",
        (
            Panel(
                "Online store behind",
                "s",
                (("max(thalweg_store_behind_seconds)", "behind"),),
            ),
            Panel(
                "Rows that wait for the offline store",
                "none",
                (("sum(thalweg_archive_rows_waiting)", "rows"),),
            ),
            Panel(
                "Served and not what the log gives",
                "none",
                _rare("sum by (feature) (increase(thalweg_parity_mismatches_total[1h]))",
                      "{{feature}}"),
            ),
        ),
    ),
    (
        "Data quality",
        (
            Panel(
                "Findings and nulls by field, last events",
                "percentunit",
                (
                    ("thalweg_quality_finding_ratio > 0 or on () vector(0)",
                     "{{field}}: {{finding}}"),
                    ("thalweg_quality_null_ratio > 0 or on () vector(0)", "{{field}}: null"),
                ),
            ),
        ),
    ),
    (
        "Processes",
        (
            Panel("Keys remembered", "none",
                  (("sum by (table) (thalweg_state_entries)", "{{table}}"),)),
            Panel(
                "Garbage collection pauses",
                "s",
                _quantiles("thalweg_gc_pause_seconds", "role"),
            ),
            Panel(
                "Memory",
                "bytes",
                (('process_resident_memory_bytes{job=~"thalweg.*"}', "{{role}} {{instance}}"),),
            ),
        ),
    ),
)  # fmt: skip


def panels() -> Iterable[Panel]:
    """Give every panel."""
    for _, row in ROWS:
        yield from row


def dashboard() -> dashboards.Dashboard:
    """Build it."""
    built = (
        dashboards.Dashboard("Thalweg")
        .uid("thalweg")
        .tags(["thalweg"])
        .readonly()
        .refresh("5s")
        .time("now-30m", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )
    ids = count(1)
    for title, row in ROWS:
        built.with_row(dashboards.Row(title).id(next(ids)))
        for panel in row:
            built.with_panel(_panel(panel).id(next(ids)))
    return built


def _panel(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(_HEIGHT)
        .span(_WIDTH)
    )
    if panel.is_from_0:
        built.min(0)
    if panel.line is not None:
        steps = [Threshold(value=None, color="green"), Threshold(value=panel.line, color="red")]
        built.thresholds(
            dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
        ).thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE))
    for n, (expr, legend) in enumerate(panel.series):
        query = Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + n))
        built.with_target(query)
    return built
