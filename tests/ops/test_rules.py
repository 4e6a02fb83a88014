"""Alert rules: nothing is told of a healthy system, and each fault by its own alert."""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.goals import Goals
from agents.prediction.degraded import ERRORS
from online_models.standard_error import MIN_PER_LABEL
from ops.monitoring.__main__ import OPS, RULES, files
from ops.monitoring.quantities import QUANTITIES
from ops.monitoring.rules import BURN_RATES, rules
from tests.markdown import rows, sections

GOALS = dict(Goals().amounts())
BUCKETS = (0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
N_SCRAPES = 450
ALERTS = {
    rule["alert"]: rule for group in rules()["groups"] for rule in group["rules"] if "alert" in rule
}


def grows(by: float) -> str:
    """Between two scrapes."""
    return f"0+{by:g}x{N_SCRAPES}"


def stays(value: float) -> str:
    return f"{value:g}+0x{N_SCRAPES}"


def at(name: str, **labels: str) -> str:
    told = ",".join(f'{name}="{value}"' for name, value in {"job": "thalweg", **labels}.items())
    return f"{name}{{{told}}}"


def latency(*within: float, of: float = 600) -> dict[str, str]:
    """So many from scrape to scrape within each of the buckets; all within those not named."""
    within += (of,) * (len(BUCKETS) - len(within))
    name = "thalweg_latency_seconds"
    counted = dict(zip(map(str, BUCKETS), within, strict=True)) | {"+Inf": of}
    buckets = {at(f"{name}_bucket", le=le): grows(n) for le, n in counted.items()}
    return buckets | {at(f"{name}_count"): grows(of)}


ONCE = f"_x25 1x{N_SCRAPES}"
"""It appears when there is something to count."""
DEAD_LETTERS = at("thalweg_dead_letters_total", reason="processing_failed")
HEALTHY: Mapping[str, str] = {
    **{at("thalweg_goal", quantity=name): stays(goal) for name, goal in GOALS.items()},
    at("thalweg_champion", model="m"): stays(1),
    **latency(600, 600, 600, 600),
    at("thalweg_events_total", topic="user-events"): grows(600),
    at("thalweg_predictions_total"): grows(600),
    **{at("thalweg_degraded_total", reason=each): stays(0) for each in (*ERRORS, "late")},
    DEAD_LETTERS: stays(0),
    at("thalweg_lag_seconds", group="predict", topic="user-events"): stays(0),
    at("thalweg_model_window_roc_auc", model="m"): stays(0.95),
    at("thalweg_model_window_roc_auc", model="challenger"): stays(0.5),
    **{
        at("thalweg_model_window_outcomes", model=model, label=label): stays(100)
        for model in ("m", "challenger")
        for label in ("true", "false")
    },
    at("thalweg_features_missing_ratio", feature="f"): stays(0),
    at("thalweg_model_age_seconds", model="m"): stays(3),
    at("thalweg_model_age_seconds", model="challenger"): stays(1e7),
    at("thalweg_quality_score_ratio"): stays(1),
    at("up", role="predict", instance="here"): stays(1),
    at("thalweg_ready", role="predict", instance="here"): stays(1),
    at("thalweg_drift_alarms_total", partition="0", signal="score_mean"): stays(0),
    **{
        at("thalweg_snapshots_total", model="m", result=result): stays(0)
        for result in ("refused", "too_large")
    },
    at("thalweg_emergency", signal="models_absent"): stays(0),
    **{
        at("thalweg_model_accuracy_level", model=model): stays(level)
        for model, level in (("m", 0), ("challenger", 2))
    },
    **{
        at("thalweg_model_may_serve", model=model): stays(may)
        for model, may in (("m", 1), ("challenger", 0))
    },
    at("thalweg_model_figure", figure="recent_accuracy", model="m"): stays(0.95),
    at("thalweg_model_evaluated_outcomes", model="m"): stays(100),
    at("thalweg_shift_level", model="", signal="f"): stays(0),
    at("thalweg_retrainings_total", model="m", result="failed"): stays(0),
    at("thalweg_retrainings_total", model="m", result="registered"): grows(0.1),
    at("thalweg_rollout_waits", rollout="r"): stays(0),
    at("thalweg_store_behind_seconds"): stays(0),
    at("thalweg_archive_errors_total"): stays(0),
    at("thalweg_parity_mismatches_total", feature="f"): stays(0),
    at("thalweg_event_ids_crowded_out_total"): stays(0),
    at("thalweg_rollout_sample_ratio_evidence", rollout="r"): stays(-1),
}


@dataclass(frozen=True)
class Fault:
    """What replaces the series of a healthy system, and the labels of what is told."""

    series: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    after: str = "30m"
    """When it is told at the latest."""
    every: str = "1m"
    """Scraped."""


WAITING = at("thalweg_lag_seconds", group="predict", topic="user-events")
HERE = {"role": "predict", "instance": "here"}
MODEL, FEATURE, ROLLOUT = {"model": "m"}, {"signal": "f"}, {"rollout": "r"}
FAULTS: Mapping[str, Fault] = {
    "ThalwegLatencyP50": Fault(latency(0, 200, 600, 600)),
    "ThalwegLatencyP99": Fault(latency(590, 590, 590, 600)),
    "ThalwegLatencyP99Emergency": Fault(latency(590, 590, 590, 590, 590)),
    "ThalwegErrorRatio": Fault({at("thalweg_degraded_total", reason="model_failed"): grows(1)}),
    "ThalwegPredictionsPerSecond": Fault({WAITING: stays(6)}),
    "ThalwegRocAuc": Fault({at("thalweg_model_window_roc_auc", model="m"): stays(0.89)}),
    "ThalwegAccuracy": Fault(
        {at("thalweg_model_figure", figure="recent_accuracy", model="m"): stays(0.89)}
    ),
    "ThalwegFeaturesMissingRatio": Fault(
        {at("thalweg_features_missing_ratio", feature="f"): stays(0.011)}
    ),
    "ThalwegModelAge": Fault({at("thalweg_model_age_seconds", model="m"): stays(605_000)}),
    "ThalwegQualityScore": Fault({at("thalweg_quality_score_ratio"): stays(0.94)}),
    "ThalwegPromptBurn1h": Fault(latency(500, 600, 600, 600), after="65m"),
    "ThalwegPromptBurn6h": Fault(latency(560, 600, 600, 600), after="380m", every="5m"),
    "ThalwegPromptBurn3d": Fault(latency(593, 600, 600, 600), after="4400m", every="10m"),
    "ThalwegErrorBurn1h": Fault({DEAD_LETTERS: grows(9)}, after="65m"),
    "ThalwegErrorBurn6h": Fault(
        {DEAD_LETTERS: grows(4)},
        after="380m",
        every="5m",
    ),
    "ThalwegErrorBurn3d": Fault(
        {DEAD_LETTERS: grows(0.7)},
        after="4400m",
        every="10m",
    ),
    "ThalwegDown": Fault({at("up", **HERE): stays(0)}, HERE),
    "ThalwegNotReady": Fault({at("thalweg_ready", **HERE): stays(0)}, HERE),
    "ThalwegNoPredictions": Fault({WAITING: grows(60), at("thalweg_predictions_total"): stays(7)}),
    "ThalwegLag": Fault(
        {at("thalweg_lag_seconds", group="store", topic="feature-updates"): stays(61)},
        {"group": "store", "topic": "feature-updates"},
    ),
    "ThalwegDrift": Fault(
        {at("thalweg_drift_alarms_total", partition="0", signal="score_mean"): ONCE},
        {"signal": "score_mean"},
    ),
    "ThalwegDeadLetters": Fault(
        {DEAD_LETTERS: ONCE},
        {"reason": "processing_failed"},
    ),
    **{
        f"ThalwegSnapshot{words}": Fault(
            {at("thalweg_snapshots_total", model="m", result=result): ONCE}, MODEL
        )
        for words, result in (("Refused", "refused"), ("TooLarge", "too_large"))
    },
    **{
        f"ThalwegAccuracy{words}": Fault(
            {at("thalweg_model_accuracy_level", model="m"): stays(level)}, MODEL
        )
        for words, level in (("Warning", 1), ("Critical", 2))
    },
    "ThalwegModelTooSlow": Fault({at("thalweg_model_may_serve", model="m"): stays(0)}, MODEL),
    "ThalwegEmergency": Fault(
        {at("thalweg_emergency", signal="models_absent"): stays(1)}, {"signal": "models_absent"}
    ),
    "ThalwegShift": Fault({at("thalweg_shift_level", model="", signal="f"): stays(1)}, FEATURE),
    "ThalwegRetrainingFailed": Fault(
        {at("thalweg_retrainings_total", model="m", result="failed"): ONCE}, MODEL
    ),
    "ThalwegRolloutWaits": Fault({at("thalweg_rollout_waits", rollout="r"): stays(1)}, ROLLOUT),
    "ThalwegStoreBehind": Fault({at("thalweg_store_behind_seconds"): stays(61)}),
    "ThalwegArchiveErrors": Fault({at("thalweg_archive_errors_total"): grows(2)}, after="40m"),
    "ThalwegParity": Fault(
        {at("thalweg_parity_mismatches_total", feature="f"): ONCE},
        {"feature": "f"},
    ),
    "ThalwegSampleRatio": Fault(
        {at("thalweg_rollout_sample_ratio_evidence", rollout="r"): stays(6)}, ROLLOUT
    ),
    "ThalwegDuplicatesMayPass": Fault({at("thalweg_event_ids_crowded_out_total"): grows(1)}),
}

QUIET = {
    "few predictions, all late": (
        latency(0, 1, 1, 1, of=1),
        [f"ThalwegPromptBurn{long}" for long, short, *_ in BURN_RATES if short == "5m"],
    ),
    "a slow replay that nothing waits for": ({}, ["ThalwegPredictionsPerSecond"]),
    "no event at all": (
        {at("thalweg_events_total", topic="user-events"): stays(5)},
        ["ThalwegErrorRatio", "ThalwegNoPredictions"],
    ),
    "few classes, half of them right": (
        {
            at("thalweg_model_figure", figure="recent_accuracy", model="m"): stays(0.5),
            at("thalweg_model_evaluated_outcomes", model="m"): stays(99),
        },
        ["ThalwegAccuracy"],
    ),
    "an AUC that rests on next to nothing": (
        {
            at("thalweg_model_window_roc_auc", model="m"): stays(0.4),
            at("thalweg_model_window_outcomes", model="m", label="true"): stays(MIN_PER_LABEL - 1),
        },
        ["ThalwegRocAuc"],
    ),
}

Check = Callable[..., None]


@pytest.fixture
def check(program: Callable[[str], str], tmp_path: Path) -> Check:
    def check(series: Mapping[str, str], *, every: str = "1m", **tests: list[Any]) -> None:
        """Let promtool evaluate the rules over what Prometheus would have scraped."""
        scraped = [{"series": a, "values": b} for a, b in {**HEALTHY, **series}.items()]
        about = {
            "rule_files": [str(RULES)],
            "evaluation_interval": every,
            # Without it by chance: what another group recorded may be too old to be seen.
            "group_eval_order": [group["name"] for group in rules()["groups"]],
            "tests": [{"interval": every, "input_series": scraped, **tests}],
        }
        path = tmp_path / "test.yml"
        path.write_text(yaml.safe_dump(about), encoding="utf-8")
        promtool(program, "test", "rules", path)

    return check


def promtool(program: Callable[[str], str], *arguments: object) -> None:
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules(program: Callable[[str], str]) -> None:
    promtool(program, "check", "rules", "--lint-fatal", RULES)


def test_every_alert_is_proven() -> None:
    assert FAULTS.keys() == ALERTS.keys()
    assert {quantity.alert for quantity in QUANTITIES} <= ALERTS.keys()


def test_every_goal_has_a_quantity_or_a_budget() -> None:
    emergencies = {quantity.emergency for quantity in QUANTITIES} - {""}
    told = {quantity.goal for quantity in QUANTITIES} | emergencies

    assert told | {"prompt_ratio"} == GOALS.keys()


@pytest.mark.parametrize(("every", "after"), [("1m", "40m"), ("5m", "380m"), ("10m", "4400m")])
def test_a_healthy_system_raises_nothing(check: Check, every: str, after: str) -> None:
    check({}, every=every, promql_expr_test=[{"expr": "ALERTS", "eval_time": after}])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told(check: Check, name: str) -> None:
    fault = FAULTS[name]
    labels = {
        "alertname": name,
        "alertstate": "firing",
        "job": "thalweg",
        "severity": ALERTS[name]["labels"]["severity"],
        **fault.labels,
    }
    told = {
        "expr": f'ALERTS{{alertname="{name}", alertstate="firing"}}',
        "eval_time": fault.after,
        "exp_samples": [{"labels": at("ALERTS", **labels), "value": 1}],
    }
    check(fault.series, every=fault.every, promql_expr_test=[told])


@pytest.mark.parametrize(("n", "is_told"), [(MIN_PER_LABEL, True), (MIN_PER_LABEL - 1, False)])
def test_a_champion_that_is_a_version_is_held_to_its_goal_as_it_was_served(
    check: Check, n: int, is_told: bool
) -> None:
    served = {
        at("thalweg_champion", model="m"): "_x450",
        at("thalweg_champion", model="m@7"): stays(1),
        at("thalweg_served_window_roc_auc", model="m"): stays(0.6),
        at("thalweg_served_window_outcomes", model="m", label="true"): stays(n),
        at("thalweg_served_window_outcomes", model="m", label="false"): stays(500),
    }
    labels = {"alertname": "ThalwegRocAuc", "alertstate": "firing", "severity": "warning"}
    told = {"labels": at("ALERTS", **labels), "value": 1}
    expr = 'ALERTS{alertname="ThalwegRocAuc"}'
    asked = {"expr": expr, "eval_time": "30m", **({"exp_samples": [told]} if is_told else {})}
    check(served, promql_expr_test=[asked])


@pytest.mark.parametrize("what", QUIET)
def test_what_says_nothing_raises_nothing(check: Check, what: str) -> None:
    series, names = QUIET[what]
    expr = f'ALERTS{{alertname=~"{"|".join(names)}"}}'
    asked = [{"expr": expr, "eval_time": after} for after in ("5m", "30m", "90m")]
    check(series, promql_expr_test=asked)


def test_an_alert_names_the_value_and_the_goal(check: Check) -> None:
    name = "ThalwegModelAge"
    description = "605k; model_age is to be at most 604.8k"
    raised = {
        "exp_labels": {"job": "thalweg", "severity": "warning"},
        "exp_annotations": ALERTS[name]["annotations"] | {"description": description},
    }
    asked = [{"alertname": name, "eval_time": "30m", "exp_alerts": [raised]}]
    check(FAULTS[name].series, alert_rule_test=asked)


def test_every_alert_names_a_section_of_the_runbook() -> None:
    headings = sections((OPS.parent / "docs/operations.md").read_text(encoding="utf-8"), 2)
    anchors = {heading.lower().replace(" ", "-").replace(",", "") for heading in headings}
    named = {rule["annotations"]["runbook"] for rule in ALERTS.values()}

    assert named <= {f"docs/operations.md#{anchor}" for anchor in anchors}


def test_every_goal_and_alert_is_documented() -> None:
    page = (OPS.parent / "docs/monitoring.md").read_text(encoding="utf-8")
    told = rows(sections(page, 2)["Goals"])

    assert list(told) == list(GOALS)
    short = {re.sub("[136][hd]$", "", name) for name in ALERTS}
    assert {name for name in short if name not in page} == set()


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_what_is_handed_out_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == files()[path]
