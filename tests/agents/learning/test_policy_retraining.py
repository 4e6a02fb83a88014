"""Trained again because the policy says so: on a real broker, whoever fails or is second."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, timedelta

import msgspec
import pytest

from agents import cli
from agents.deployments import decisions, log
from agents.learning.policy_retraining import PolicyRetraining, first_date
from agents.observability.metrics import Metrics
from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.table_writer import TableWriter
from agents.pipeline import Pipeline
from examples.shop.pipeline import PIPELINE as THE_SHOP
from online_models.retrain import Retrain
from schemas import topics
from schemas.alerts import Alert
from schemas.errors import InvalidDeclaration
from tests.agents.deployments.published import CHAMPION, Environment
from tests.agents.learning.test_retraining import spread
from tests.agents.outcome_log import make_outcomes

BETTER, ANOTHER = "binary_adpredictor_v1", "binary_ftrl_v1"
OUTCOMES = sorted(map(spread, make_outcomes(700)), key=lambda outcome: outcome.labelled_at)
"""Of which it makes more than the champion, for sure."""
SHOP = replace(THE_SHOP, challengers=(BETTER,))
AFTER_DRIFT = Retrain(
    on=("drift",), cool_down=timedelta(0), retry_after=timedelta(hours=1), since=timedelta(days=30)
)
PIPELINE = replace(SHOP, retrain=AFTER_DRIFT)


class Desk(Environment):
    """Who looks whether something is due."""

    said: list[str]

    def looks(self, pipeline: Pipeline = PIPELINE) -> PolicyRetraining:
        return PolicyRetraining(
            settings=self.settings,
            pipeline=pipeline,
            signer=self.signer,
            metrics=Metrics(),
            tell=self.said.append,
            progress=lambda title: nullcontext(lambda done, total: None),
        )

    def alarm(self) -> None:
        alert = Alert(
            *("a1", "drift", "warning", PIPELINE.use_case, "score_mean"),
            value=1.0,
            threshold=0.5,
            raised_at=time.time_ns() // 1_000_000,
        )
        self.produce(topics.ALERTS, msgspec.json.encode(alert), PIPELINE.use_case.encode())

    def happened(self) -> list[tuple[str, str, bool]]:
        return [
            (each.event.kind, each.event.model, each.refusal is None) for each in self.log().entries
        ]


@pytest.fixture
def desk(kafka, tmp_path):
    made = Desk(kafka.bootstrap, tmp_path)
    made.said = []
    store = str(tmp_path / "offline")
    told = {"offline_store": store, "trusted_keys_dir": tmp_path}
    made.settings = made.settings.model_copy(update=told)
    return made


def archive(desk: Desk) -> None:
    table, files = tables.OUTCOMES, FileSystem(desk.settings.offline_store)
    rows = [
        (*table.row(msgspec.msgpack.encode(outcome)), 0, offset)
        for offset, outcome in enumerate(OUTCOMES)
    ]
    writer = TableWriter(files, table.name, table.schema, event_at=table.event_at)
    writer.write("outcomes-0-abc", 0, len(OUTCOMES), rows)


@pytest.mark.integration
def test_an_alert_trains_a_model_once_and_if_it_is_better_it_competes(desk):
    archive(desk)
    without_alert = desk.looks().look()
    desk.alarm()
    with ThreadPoolExecutor(2) as pool:
        rivals = [pool.submit(desk.looks().look) for _ in range(2)]
        (better,) = [each for rival in rivals for each in rival.result(60)]
    after = desk.looks().look()

    assert (without_alert, after) == ([], [])
    assert (better.model, better.result) == (BETTER, "challenger")
    assert "against that of binary_logistic_v1, by" in better.said
    registry = desk.log().registry
    assert registry.origins[BETTER].event.reference == better.version
    assert registry.retrainings[BETTER].is_over
    assert [each for each in desk.happened() if each[2]] == [
        ("retraining", BETTER, True),
        ("registered", BETTER, True),
        ("resumed", BETTER, True),
    ]


@pytest.mark.integration
def test_a_champion_that_went_on_from_a_version_is_no_other_one_when_it_is_compared(desk):
    """All that is archived came before: it has answered nothing of it, and nobody beats it."""
    archive(desk)
    weekly = replace(SHOP, retrain=Retrain(every=timedelta(days=7)))
    (better,) = desk.looks(weekly).look()
    promotion = decisions.promotion(
        weekly, desk.log().registry, BETTER, at=0, by="ada", why="it is better"
    )
    assert log.append(desk.settings, promotion, "/test").refusal is None
    (next_one,) = desk.looks(replace(weekly, challengers=(BETTER, ANOTHER))).look()

    assert (better.model, better.result) == (BETTER, "challenger")
    assert (next_one.model, next_one.result) == (ANOTHER, "registered")
    assert f"it cannot be compared with {BETTER}" in next_one.said


@pytest.mark.integration
def test_what_failed_is_told_and_begun_again_later(desk, monkeypatch, capsys):
    desk.alarm()
    looks = desk.looks()
    (failed,) = looks.look()  # nothing is archived yet
    archive(desk)
    here = {"PIPELINE": __name__, "OFFLINE_STORE": desk.settings.offline_store}
    for name, value in (
        desk.env | {f"THALWEG_{name}": each for name, each in here.items()}
    ).items():
        monkeypatch.setenv(name, value)
    code = cli.main(["models", "retrain", "--json"])
    too_soon = json.loads(capsys.readouterr().out)

    assert failed.result == "failed"
    assert (code, too_soon["trained"]) == (0, [])
    champion, begun = too_soon["models"]
    assert (champion["model"], champion["not_now"]) == (CHAMPION, "the champion")
    assert (begun["model"], begun["is_over"]) == (BETTER, False)
    assert begun["next"] == begun["last"] + 3_600_000
    assert "does `archive` run?; tried again in 1:00:00" in failed.said
    told = f'thalweg_retrainings_total{{model="{BETTER}",result="failed"}}'
    assert looks.metrics.samples()[told] == 1
    assert desk.happened() == [("retraining", BETTER, True)]


@pytest.mark.integration
def test_who_is_not_better_or_was_overtaken_is_registered_and_no_challenger(desk):
    archive(desk)
    weekly = Retrain(every=timedelta(days=7))
    worse = replace(SHOP, champion=BETTER, challengers=(CHAMPION,), retrain=weekly)
    (round_,) = desk.looks(worse).look()

    # While it trains somebody decides about the same model.
    better = replace(SHOP, retrain=weekly)
    slow = desk.looks(better)

    def overtaken(title: str):
        registry = desk.log().registry
        event = decisions.promotion(
            better, registry, f"{CHAMPION}@{kept}", at=0, by="ada", why="they decide"
        )
        assert log.append(desk.settings, event, "/test").refusal is None
        return nullcontext(lambda done, total: None)

    kept = desk.keep(CHAMPION).partition("@")[2]
    (late,) = replace(slow, progress=overtaken).look()

    assert (round_.model, round_.result) == (CHAMPION, "registered")
    assert "is registered, and no challenger: log loss +" in round_.said
    assert round_.said.endswith("worse")
    assert (late.model, late.result) == (BETTER, "registered")
    assert "no challenger: ada promoted" in late.said
    assert desk.log().registry.origins == {}
    assert desk.happened()[-2:] == [
        ("registered", BETTER, True),
        ("resumed", BETTER, False),
    ]


def test_days_are_counted_back_from_the_last_one_of_the_archive():
    assert first_date(AFTER_DRIFT, date(2026, 1, 30)) == date(2026, 1, 1)
    assert first_date(Retrain(every=timedelta(1)), date(2026, 1, 30)) is None
    assert first_date(AFTER_DRIFT, None) is None


def test_a_policy_names_models_that_learn():
    with pytest.raises(InvalidDeclaration, match="binary_forest_v1 is to be trained again, which"):
        replace(SHOP, retrain=replace(AFTER_DRIFT, models=("binary_forest_v1",)))


def test_without_a_policy_nothing_is_due(capsys, monkeypatch):
    monkeypatch.setenv("THALWEG_PIPELINE", "examples.shop.pipeline")

    assert cli.main(["models", "retrain"]) != 0
    assert "declares no retraining: Pipeline(retrain=" in capsys.readouterr().err
