"""The tables of the page: rows read off the fleet, ready for JSON."""

import math
from typing import Any

from agents.deployments.deployed import Deployed
from agents.observability import metric_list
from agents.observability.metric_spec import GaugeSpec
from agents.pipeline import Pipeline
from agents.serving.fleet import Fleet, Labels, Process
from agents.serving.samples import quantile
from online_models.registry import Roles

Row = dict[str, Any]


def processes(fleet: Fleet, now_ms: int) -> list[Row]:
    """Tell of each process how it is."""
    return [
        {
            "name": process.name,
            "pid": process.pid,
            "state": process.state(now_ms),
            "silent_seconds": (now_ms - process.at) / 1000,
            "restored_ratio": _restored(process),
        }
        for _, process in sorted(fleet.processes.items())
    ]


def lag(fleet: Fleet, now_ms: int) -> list[Row]:
    """Tell of each group and topic what waits there."""
    rows: dict[tuple[str, str], Row] = {}
    for figure, spec in (
        ("records", metric_list.LAG_RECORDS),
        ("seconds", metric_list.LAG_SECONDS),
    ):
        for labels, value in fleet.gauges(spec, now_ms):
            rows.setdefault((labels["group"], labels["topic"]), dict(labels))[figure] = value
    return list(rows.values())


def drift(fleet: Fleet, now_ms: int) -> list[Row]:
    """Tell of each partition and signal where its detector stands."""
    rows: dict[tuple[int, str], Row] = {}
    for figure, spec in (
        ("statistic", metric_list.DRIFT_STATISTIC),
        ("threshold", metric_list.DRIFT_THRESHOLD),
        ("mean", metric_list.DRIFT_MEAN),
        ("reference", metric_list.DRIFT_REFERENCE),
    ):
        for labels, value in fleet.gauges(spec, now_ms):
            key = int(labels["partition"]), labels["signal"]
            rows.setdefault(key, dict(labels))[figure] = value
    for row in rows.values():
        labels = {"partition": row["partition"], "signal": row["signal"]}
        row["alarms"] = fleet.total(metric_list.DRIFT_ALARMS, **labels)
    return [row for _, row in sorted(rows.items())]


def quality(fleet: Fleet, pipeline: Pipeline, now_ms: int) -> Row:
    """Tell the score of data quality, and of each field what was found in it, expected ones first.

    Fields nobody expects anything of, and records as a whole (`*`), have a row if they need one.
    """
    use_case = pipeline.use_case
    scores = _of_use_case(fleet, metric_list.QUALITY_SCORE, use_case, now_ms)
    rows: dict[str, Row] = {each.field: {"findings": {}} for each in pipeline.quality}
    for labels, value in _of_use_case(fleet, metric_list.QUALITY_NULL_RATIO, use_case, now_ms):
        rows.setdefault(labels["field"], {"findings": {}})["null_ratio"] = value
    for labels, value in _of_use_case(fleet, metric_list.QUALITY_FINDING_RATIO, use_case, now_ms):
        if value > 0:
            row = rows.setdefault(labels["field"], {"findings": {}})
            row["findings"][labels["finding"]] = value
    score = scores[-1][1] if scores else None
    return {"score": score, "fields": [{"field": name, **row} for name, row in rows.items()]}


def parity(fleet: Fleet) -> Row:
    """Tell how much was computed again, and what was served otherwise, by feature, most first."""
    return {
        "compared": fleet.total(metric_list.PARITY_COMPARED),
        "missing": fleet.total(metric_list.PARITY_MISSING),
        "extra": fleet.total(metric_list.PARITY_EXTRA),
        "mismatches": fleet.totals_by(metric_list.PARITY_MISMATCHES, "feature"),
    }


def models(fleet: Fleet, roles: Roles, now_ms: int) -> list[Row]:
    """Tell of each model how it does, the baselines that it must beat last."""
    parts = {roles.champion: "champion"}
    parts |= dict.fromkeys(roles.challengers, "challenger")
    parts |= dict.fromkeys(metric_list.BASELINES, "baseline")
    rows: dict[str, Row] = {name: {"model": name, "part": part} for name, part in parts.items()}
    for figure, spec in (
        ("version", metric_list.MODEL_VERSION),
        ("age_seconds", metric_list.MODEL_AGE_SECONDS),
        ("lag", metric_list.MODEL_LAG),
        ("outcomes", metric_list.MODEL_EVALUATED),
        ("roc_auc", metric_list.MODEL_ROC_AUC),
        ("log_loss", metric_list.MODEL_LOG_LOSS),
        ("window_roc_auc", metric_list.MODEL_WINDOW_ROC_AUC),
        ("estimated_roc_auc", metric_list.MODEL_ESTIMATED_ROC_AUC),
        ("accuracy_level", metric_list.MODEL_ACCURACY_LEVEL),
    ):
        for labels, value in fleet.gauges(spec, now_ms):
            if labels["model"] in rows:
                rows[labels["model"]][figure] = value
    for labels, value in fleet.gauges(metric_list.MODEL_FIGURE, now_ms):
        if labels["model"] in rows:
            rows[labels["model"]][labels["figure"]] = value
    for labels, n in fleet.gauges(metric_list.MODEL_WINDOW_OUTCOMES, now_ms):
        if labels["model"] in rows:
            figure = "window_positives" if labels["label"] == "true" else "window_negatives"
            rows[labels["model"]][figure] = n
    # Of several workers the slowest counts.
    for labels, p99_s in fleet.gauges(metric_list.MODEL_ASKING_SECONDS, now_ms):
        if (row := rows.get(labels["model"])) is not None:
            row["asking_p99_seconds"] = max(row.get("asking_p99_seconds", 0.0), p99_s)
    for labels, may_serve in fleet.gauges(metric_list.MODEL_MAY_SERVE, now_ms):
        if (row := rows.get(labels["model"])) is not None:
            row["may_serve"] = row.get("may_serve", True) and may_serve == 1
    for name, row in rows.items():
        freshness = fleet.buckets(metric_list.FRESHNESS_SECONDS, model=name)
        row["freshness_p99_seconds"] = quantile(freshness, 0.99)
    return list(rows.values())


def experiment(fleet: Fleet, pipeline: Pipeline, deployed: Deployed, now_ms: int) -> Row | None:
    """Tell how far the declared rollout has got, and what it has shown; `None`: none is declared.

    The loss difference is the candidate's over the champion's: where its interval lies below zero,
    the candidate is better, above, worse.
    """
    declared, now = pipeline.rollout, deployed.rollout
    if declared is None:
        return None
    is_champion = deployed.roles.champion == declared.candidate
    own = {"rollout": declared.name}

    def latest(spec: GaugeSpec, **labels: str) -> float | None:
        wanted = own | labels
        found = [value for each, value in fleet.gauges(spec, now_ms) if each == wanted]
        return found[-1] if found else None

    return {
        "name": declared.name,
        "candidate": declared.candidate,
        "stage": now.stage if now is not None else "full" if is_champion else "over",
        "exposure": None if now is None else now.exposure,
        "next": None if now is None else now.next_exposure,
        "labels": latest(metric_list.ROLLOUT_LABELS),
        "loss_low": latest(metric_list.ROLLOUT_LOSS_DIFFERENCE, end="low"),
        "loss_high": latest(metric_list.ROLLOUT_LOSS_DIFFERENCE, end="high"),
        "users": {
            variant: latest(metric_list.ROLLOUT_USERS, variant=variant)
            for variant in ("control", "candidate")
        },
    }


def known_labels(fleet: Fleet) -> Row:
    """Tell how long after its prediction a label is known, in event time, and what became of all.

    The buckets are of all outcomes that were learned since the first record we know.
    """
    delays = fleet.buckets(metric_list.LABEL_DELAY_SECONDS)
    return {
        "fates": fleet.totals_by(metric_list.LABELS, "fate"),
        "delay_p50_seconds": quantile(delays, 0.5),
        "delay_p90_seconds": quantile(delays, 0.9),
        "delays": [{"until": None if math.isinf(bound) else bound, "n": n} for bound, n in delays],
    }


def sums_by(fleet: Fleet, spec: GaugeSpec, label: str, now_ms: int) -> dict[str, float]:
    """Add a gauge up over all processes, by the values of a label."""
    sums: dict[str, float] = {}
    for labels, value in fleet.gauges(spec, now_ms):
        sums[labels[label]] = sums.get(labels[label], 0.0) + value
    return sums


def _of_use_case(
    fleet: Fleet, spec: GaugeSpec, use_case: str, now_ms: int
) -> list[tuple[Labels, float]]:
    return [each for each in fleet.gauges(spec, now_ms) if each[0]["use_case"] == use_case]


def _restored(process: Process) -> float | None:
    progress = metric_list.RESTORE_PROGRESS.name
    return process.samples.get(progress, {}).get(progress)
