"""The last screen of a replay."""

from datetime import UTC, date, datetime
from io import StringIO

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agents.history.accounting import DriftAlarm, Figures, Latency
from agents.history.summary import Summary, render, summarise, to_json
from agents.observability import metric_list
from examples.shop.pipeline import PIPELINE
from online_models.registry import Registry
from schemas.deployments import Deployment

NOTHING_DECIDED = Registry(PIPELINE.use_case)
days = st.dates(date(2024, 1, 4), date(2024, 6, 29))


def figures(alarms: list[date] | None = None, *, lost: int = 0) -> Figures:
    return Figures(
        events_in=31_106,
        predictions_out=31_100,
        lost=lost,
        duplicated=0,
        dead_letters={"too_late": 6},
        latency_ms=Latency(7.1, 12.5, 33.9),
        drift_alarms=[
            DriftAlarm(
                int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1_000),
                "score_mean",
                0.2,
                0.1,
            )
            for day in alarms or []
        ],
    )


def shown(summary: Summary) -> str:
    page = StringIO()
    Console(file=page, width=100).print(render(summary))
    return page.getvalue()


@given(st.lists(days))
def test_every_alarm_is_shown_exactly_once_beside_its_incident_or_outside_of_all(alarms):
    summary = summarise(PIPELINE, NOTHING_DECIDED, figures(alarms), {})

    during = [day for known in summary.incidents for day in known.alarms]
    assert sorted(during + summary.alarms_elsewhere) == sorted(alarms)
    for known in summary.incidents:
        assert all(known.first <= day <= known.last for day in known.alarms)


def test_models_stand_beside_the_baselines_on_the_same_outcomes():
    samples = {
        f'{metric_list.MODEL_ROC_AUC.name}{{model="binary_logistic_v1"}}': 0.81,
        f'{metric_list.MODEL_LOG_LOSS.name}{{model="binary_logistic_v1"}}': 0.31,
        f'{metric_list.MODEL_EVALUATED.name}{{model="binary_logistic_v1"}}': 30_000.0,
        f'{metric_list.MODEL_UNJUDGED.name}{{model="binary_logistic_v1"}}': 700.0,
        f'{metric_list.MODEL_ROC_AUC.name}{{model="{metric_list.BASELINE_RATE}"}}': 0.5,
    }

    found = summarise(PIPELINE, NOTHING_DECIDED, figures(), samples)
    champion, challenger, base_rate, last_class = found.models

    assert (champion.model, champion.role) == ("binary_logistic_v1", "champion")
    assert (champion.roc_auc, champion.log_loss, champion.outcomes) == (0.81, 0.31, 30_000)
    assert champion.unjudged == 700
    assert (challenger.role, challenger.roc_auc) == ("challenger", None)
    assert (base_rate.model, base_rate.roc_auc) == ("base rate", 0.5)
    assert (last_class.model, last_class.role) == ("last class", "baseline")


def test_the_json_is_the_whole_summary():
    summary = summarise(PIPELINE, NOTHING_DECIDED, figures([date(2024, 4, 12)]), {})

    assert msgspec.json.decode(to_json(summary), type=Summary) == summary


def test_people_see_the_figures():
    page = shown(summarise(PIPELINE, NOTHING_DECIDED, figures([date(2024, 4, 12)], lost=3), {}))

    assert [line.split() for line in page.splitlines() if line.startswith(("events", "lost"))] == [
        ["events", "in", "31,106"],
        ["lost", "3"],
    ]
    assert "33.9 ms" in page
    assert "12 Apr" in page


def test_who_was_promoted_is_the_champion_of_the_summary():
    promoted = Deployment(
        kind="promoted",
        use_case=PIPELINE.use_case,
        model=PIPELINE.challengers[0],
        at=0,
        by="ada",
        replaces=PIPELINE.champion,
    )
    summary = summarise(PIPELINE, NOTHING_DECIDED.fold(promoted, 0), figures(), {})

    assert {each.model: each.role for each in summary.models[:2]} == {
        PIPELINE.challengers[0]: "champion",
        PIPELINE.champion: "challenger",
    }
