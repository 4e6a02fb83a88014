"""Recording and alert rules for Prometheus; tested by `promtool`."""

import re
from collections.abc import Iterable
from typing import Any, Final

from ops.monitoring.quantities import (
    CHAMPION,
    PREDICTIONS,
    QUANTITIES,
    WAITING,
    Quantity,
    alert_of,
    errors,
    goal,
    rate,
)

PROMPT_LE: Final = "0.05"
"""Bucket of the latency that a prompt prediction is in."""
MIN_PREDICTIONS: Final = 100
"""Fewer in the short window say nothing about a share."""
SUSPICIOUS: Final = 5
"""Power of ten of the evidence that something removes users of one group of a rollout."""
BURN_RATES: Final = (
    ("1h", "5m", 14.4, "critical", "2m"),
    ("6h", "30m", 6.0, "critical", "15m"),
    ("3d", "6h", 1.0, "warning", "1h"),
)
"""Long and short window, how many times too fast a budget of 30 days is used up, and what follows:
Google's SRE workbook, chapter 5, table 5-8."""
_OF_LATE: Final = "15m"
_WINDOWS: Final = sorted({window for burn in BURN_RATES for window in burn[:2]})

Rule = dict[str, Any]


def rules() -> dict[str, Any]:
    """Give all rules as the file has them."""
    return {
        "groups": [
            {"name": "thalweg-quantities", "rules": [*_recorded()]},
            {"name": "thalweg-goals", "rules": [_missed(each) for each in QUANTITIES]},
            {"name": "thalweg-promptness", "rules": [*_slow(), *_burning("prompt_ratio")]},
            {"name": "thalweg-errors", "rules": [*_broken(), *_burning("error_ratio")]},
            {"name": "thalweg-emergencies", "rules": [*_emergencies()]},
            {"name": "thalweg-models", "rules": [*_models()]},
            {"name": "thalweg-system", "rules": [*_system()]},
        ]
    }


def _recorded() -> Iterable[Rule]:
    yield {"record": "job:thalweg_goal:max", "expr": "max by (job, quantity) (thalweg_goal)"}
    yield {"record": CHAMPION, "expr": "max by (job, model) (thalweg_champion)"}
    for quantity in QUANTITIES:
        yield {"record": quantity.record, "expr": quantity.expr}


def _missed(quantity: Quantity) -> Rule:
    beyond = "beyond" if quantity.worse == "above" else "short of"
    return alert(
        quantity.alert,
        quantity.missed,
        lasts=quantity.lasts,
        summary=f"{quantity.title}: {beyond} the goal",
        found=f"{{{{ $value | humanize }}}}; {quantity.goal} is to be {_goal_in_words(quantity)}",
        runbook=quantity.runbook,
    )


def _goal_in_words(quantity: Quantity, name: str = "") -> str:
    """Let Prometheus look the goal up when it tells of the alert."""
    series = f"job:thalweg_goal:max{{job='%s',quantity='{name or quantity.goal}'}}"
    found = f'{{{{ with printf "{series}" $labels.job | query }}}}'
    least = "at most" if quantity.worse == "above" else "at least"
    return f"{found}{least} {{{{ . | first | value | humanize }}}}{{{{ end }}}}"


def _slow() -> Iterable[Rule]:
    for window in _WINDOWS:
        prompt = rate(f'{PREDICTIONS}_bucket{{le="{PROMPT_LE}"}}', window)
        share = f"1 - {prompt} / {rate(f'{PREDICTIONS}_count', window)}"
        yield {"record": f"job:thalweg_prompt_ratio:missed_{window}", "expr": share}


def _broken() -> Iterable[Rule]:
    for window in _WINDOWS:
        yield {"record": f"job:thalweg_error_ratio:missed_{window}", "expr": errors(window)}


def _burning(name: str) -> Iterable[Rule]:
    """Tell early that what may be missed within 30 days will not last so long."""
    # The goal of errors is what may be missed, that of promptness what may not.
    budget = goal(name) if name == "error_ratio" else f"(1 - {goal(name)})"
    title = {"prompt_ratio": "late predictions", "error_ratio": "errors"}[name]
    words = "".join(word.capitalize() for word in name.removesuffix("_ratio").split("_"))
    runbook = {
        "prompt_ratio": "Predictions are late or slow",
        "error_ratio": "Predictions are degraded",
    }[name]
    for long, short, factor, severity, lasts in BURN_RATES:
        both = " and on (job) ".join(
            f"job:thalweg_{name}:missed_{window} > on (job) ({factor:g} * {budget})"
            for window in (long, short)
        )
        enough = f"sum by (job) (increase({PREDICTIONS}_count[{short}])) > {MIN_PREDICTIONS}"
        yield alert(
            f"Thalweg{words}Burn{long}",
            f"{both} and on (job) {enough}",
            lasts=lasts,
            severity=severity,
            summary=f"The budget of {title} is used up {factor:g} times too fast",
            found=f"{{{{ $value | humanizePercentage }}}} of the last {long}",
            runbook=runbook,
        )


def _emergencies() -> Iterable[Rule]:
    """Tell that users are not served."""
    yield alert(
        "ThalwegNoPredictions",
        f"{WAITING} > 10 unless on (job) {rate('thalweg_predictions_total', '1m')} > 0",
        lasts="1m",
        severity="emergency",
        summary="Events wait, and nobody predicts",
        found="The first one waits for {{ $value | humanizeDuration }}",
        runbook="A worker does nothing",
    )
    yield alert(
        "ThalwegEmergency",
        "max by (job, signal) (thalweg_emergency) > 0",
        severity="emergency",
        summary="`watch` tells an emergency: {{ $labels.signal }}",
        runbook="A serving alert",
    )
    for quantity in QUANTITIES:
        if name := quantity.emergency:
            yield alert(
                alert_of(name),
                quantity.beyond(name),
                lasts="1m",
                severity="emergency",
                summary=f"{quantity.title}: nobody is served in time",
                found=f"{{{{ $value | humanize }}}}; {name} is {_goal_in_words(quantity, name)}",
                runbook=quantity.runbook,
            )


def _models() -> Iterable[Rule]:
    of_the_champion = f"* on (job, model) group_left () {CHAMPION}"
    level = f"max by (job, model) (thalweg_model_accuracy_level {of_the_champion})"
    for n, severity, follows in (
        (1, "warning", "by more than 5 %: investigate"),
        (2, "critical", "by more than 15 %: `previous` is put back, if it is better for sure"),
    ):
        yield alert(
            f"ThalwegAccuracy{severity.capitalize()}",
            f"{level} == {n}",
            severity=severity,
            summary="{{ $labels.model }} is worse than the best it kept up",
            found=follows,
            runbook="An accuracy alert",
        )
    yield alert(
        "ThalwegModelTooSlow",
        f"max by (job, model) (thalweg_model_may_serve {of_the_champion}) == 0",
        lasts="5m",
        summary="{{ $labels.model }} takes too long to answer, so another one does",
        runbook="Predictions are degraded",
    )
    yield alert(
        "ThalwegDrift",
        _grew("thalweg_drift_alarms_total", "signal"),
        summary="The predictions have changed: {{ $labels.signal }}",
        runbook="A drift alert",
    )
    yield alert(
        "ThalwegShift",
        "max by (job, model, signal) (thalweg_shift_level) > 0",
        summary="A day of {{ $labels.signal }} was not what its reference week is",
        runbook="A shift alert",
    )
    for result, told, runbook in (
        (
            *("refused", "was refused; what was served before, is"),
            "Change the pipeline, River or Python",
        ),
        ("too_large", "is larger than `models` takes", "A model is old"),
    ):
        yield alert(
            alert_of(f"snapshot_{result}"),
            _grew(f'thalweg_snapshots_total{{result="{result}"}}', "model"),
            summary=f"A snapshot of {{{{ $labels.model }}}} {told}",
            runbook=runbook,
        )
    yield alert(
        "ThalwegRetrainingFailed",
        _grew('thalweg_retrainings_total{result="failed"}', "model"),
        summary="{{ $labels.model }} was due to be trained again, and that failed",
        runbook="A training failed",
    )
    yield alert(
        "ThalwegRolloutWaits",
        "max by (job, rollout) (thalweg_rollout_waits) > 0",
        lasts="15m",
        summary="A step of {{ $labels.rollout }} is due, and its candidate may not serve",
        runbook="A rollout waits",
    )
    yield alert(
        "ThalwegSampleRatio",
        f"max by (job, rollout) (thalweg_rollout_sample_ratio_evidence) > {SUSPICIOUS}",
        summary="Users are not in the groups of {{ $labels.rollout }} as planned",
        found="Evidence of ten to the {{ $value | humanize }}",
        runbook="A sample ratio alert",
    )


def _system() -> Iterable[Rule]:
    yield alert(
        "ThalwegDown",
        'up{job=~"thalweg.*"} == 0',
        lasts="1m",
        severity="critical",
        summary="{{ $labels.role }} cannot be reached at {{ $labels.instance }}",
        runbook="A worker dies",
    )
    yield alert(
        "ThalwegNotReady",
        "thalweg_ready == 0",
        lasts="2m",
        summary="Nothing flows through {{ $labels.role }} at {{ $labels.instance }}",
        runbook="A worker does nothing",
    )
    yield alert(
        "ThalwegLag",
        "max by (job, group, topic) (thalweg_lag_seconds) > 60",
        lasts="5m",
        summary="{{ $labels.group }} is behind on {{ $labels.topic }}",
        found="by {{ $value | humanizeDuration }}",
        runbook="Lag grows",
    )
    yield alert(
        "ThalwegDeadLetters",
        _grew('thalweg_dead_letters_total{reason="processing_failed"}', "reason"),
        summary="The code raised, and records were set aside",
        found=f"some {{{{ $value | humanize }}}} within {_OF_LATE}",
        runbook="Dead letters rise",
    )
    yield alert(
        "ThalwegStoreBehind",
        "max by (job) (thalweg_store_behind_seconds) > 60",
        lasts="5m",
        summary="Redis holds old features",
        found="as of {{ $value | humanizeDuration }} ago",
        runbook="Redis is down",
    )
    yield alert(
        "ThalwegArchiveErrors",
        _grew("thalweg_archive_errors_total"),
        lasts="15m",
        summary="The offline store cannot be written",
        runbook="The offline store cannot be written",
    )
    yield alert(
        "ThalwegParity",
        _grew("thalweg_parity_mismatches_total", "feature"),
        summary="{{ $labels.feature }} was served, and is not what the log gives",
        runbook="A feature is not what the log gives",
    )
    yield alert(
        "ThalwegDuplicatesMayPass",
        _grew("thalweg_event_ids_crowded_out_total"),
        summary="Event ids are forgotten before their time",
        found=f"some {{{{ $value | humanize }}}} within {_OF_LATE}",
        runbook="Event ids are forgotten",
    )


def _grew(counter: str, by: str = "") -> str:
    """Tell what was counted of late; a counter that appears with its first is none that grew."""
    labels = f"job, {by}" if by else "job"
    appeared = f"({counter} unless {counter} offset {_OF_LATE}) > 0"
    return f"sum by ({labels}) (increase({counter}[{_OF_LATE}]) > 0 or {appeared})"


def alert(
    name: str,
    expr: str,
    *,
    summary: str,
    runbook: str,
    found: str = "",
    lasts: str = "",
    severity: str = "warning",
) -> Rule:
    """Make an alert rule.

    Parameters
    ----------
    runbook
        Heading of `docs/operations.md`.
    found
        What the value is, in words; may refer to `$value` and `$labels`.
    lasts
        How long the expression has a value before the alert fires; at once, if empty.
    """
    anchor = re.sub(r"[^a-z0-9-]", "", runbook.lower().replace(" ", "-"))
    told = {
        "summary": summary,
        "description": found,
        "runbook": f"docs/operations.md#{anchor}",
    }
    return {
        "alert": name,
        "expr": expr,
        **({"for": lasts} if lasts else {}),
        "labels": {"severity": severity},
        "annotations": {what: text for what, text in told.items() if text},
    }
