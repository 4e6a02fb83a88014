"""Pipelines that ask something else than yes or no, from events to models that serve."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import polars as pl
import pytest

from agents.admin import published_models
from agents.commands import model_figures
from agents.observability import metric_list
from agents.offline import tables, training_log
from agents.pipeline import Pipeline
from agents.prediction.encode import class_prediction
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE
from online_models import catalogue
from online_models.rules import when
from schemas import topics
from schemas.deployments import Deployment
from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from schemas.tasks import LABELS, task_name
from streams.features import field_value
from streams.label_rule import happens_within, reported_within

MINUTE = timedelta(minutes=1)
HORIZON = 5 * MINUTE


class Flower(UserEvent, gc=False):
    petals: float | None = None
    height: float | None = None


def pipeline(champion: str, **choices: Any) -> Pipeline:
    says = LABELS[task_name(champion)][0]
    declared: dict[str, Any] = {
        "use_case": "garden",
        "event": Flower,
        "actions": frozenset({"see"}),
        "features": (field_value("petals"), field_value("height")),
        "label": reported_within(HORIZON, says=says),
        "champion": champion,
    }
    return Pipeline(**declared | choices)


class Garden:
    """Events, and labels of them when a test wants it."""

    def __init__(self, declared: Pipeline) -> None:
        self.driver = PipelineDriver(declared)
        self._n = 0

    def see(self, **fields: float) -> str:
        """Publish an event; tell its id."""
        self._n += 1
        self.driver.advance(MINUTE)
        event = {"user_id": "ada", "event_id": f"e{self._n}", "action": "see", **fields}
        self.driver.publish(event | {"ts": self.driver.now_ms})
        return f"e{self._n}"

    def say(self, event_id: str, label: object) -> None:
        self.driver.label(
            {"user_id": "ada", "event_id": event_id, "label": label, "ts": self.driver.now_ms}
        )


def test_of_many_classes_the_most_probable_are_told_so_that_a_record_stays_small():
    shares = {f"{n:03}" * 85 + "x": (n % 500 + 1) / 250_500 for n in range(1_000)}
    most = max(shares, key=shares.__getitem__)
    record = class_prediction(prediction=most, scores=shares, score=shares[most])
    told = msgspec.json.decode(record)
    fewest = min(shares, key=shares.__getitem__)

    assert len(record) < 40_000
    assert next(iter(told["scores"])) == most
    assert len(told["scores"]) == 100
    assert min(told["scores"].values()) >= max(
        p for name, p in shares.items() if name not in told["scores"]
    )
    assert fewest not in told["scores"]
    assert told["confidence"] == (1_000 * shares[most] - 1.0) / 999  # a die has as many sides


def test_classes_are_predicted_with_the_scores_of_all_and_learned_when_they_are_known():
    champion, challenger = "multiclass_logistic_v1", "multiclass_softmax_v1"
    garden = Garden(pipeline(champion, challengers=(challenger,), challenger_share=1.0))
    driver = garden.driver
    first = garden.see(petals=3.0, height=1.0)
    garden.say(first, "iris")
    for n in range(60):
        kind = ("iris", "rose", "lily")[n % 3]
        garden.say(garden.see(petals=3.0 + n % 3, height=1.0 + n / 100), kind)
    driver.crash("learn")
    driver.crash("predict")
    garden.see(petals=5.0, height=1.3)

    before, *_, last = driver.predictions
    assert (before.prediction, before.scores, before.decision) == (None, {}, False)
    assert (before.score, before.confidence, before.source) == (0.0, 0.0, "default")
    assert last.prediction == "lily"
    assert last.scores is not None
    assert last.scores.keys() == {"iris", "rose", "lily"}
    assert sum(last.scores.values()) == pytest.approx(1.0)
    assert last.score == max(last.scores.values()) == last.scores["lily"]
    assert last.confidence == pytest.approx((3 * last.score - 1) / 2)
    assert (last.source, last.model, last.model_version) == ("model", champion, 61)
    assert last.decision == (last.score >= 0.5)
    assert driver.shadow_predictions[-1].prediction == "lily"

    def figure(name: str, model: str) -> float:
        return driver.metrics.gauge(metric_list.MODEL_FIGURE, figure=name, model=model).value or 0

    driver._training.tell()
    assert figure("recent_accuracy", champion) > figure("accuracy", metric_list.BASELINE_RATE)
    assert driver.metrics.counter(metric_list.OUTCOMES, label="some").value == 61


def test_amounts_are_predicted_and_learned_when_they_are_known():
    champion = "regression_linear_v1"
    garden = Garden(pipeline(champion, threshold=10.0))
    driver = garden.driver
    garden.say(garden.see(petals=3.0), 3)
    for n in range(60):
        garden.say(garden.see(petals=3.0 + n % 5), 6.0 + 2 * (n % 5))
    driver.crash("learn")
    driver.crash("predict")
    garden.see(petals=7.0)

    before, *_, last = driver.predictions
    assert (before.score, before.decision, before.source) == (0.0, False, "default")
    assert (last.source, last.model, last.model_version) == ("model", champion, 61)
    assert last.score == pytest.approx(14.0, abs=2.0)
    assert (last.confidence, last.prediction, last.scores) == (0.0, None, None)
    assert last.decision
    assert [outcome.label for outcome in driver.outcomes[:2]] == [3.0, 6.0]
    driver._training.tell()
    told = {
        name: driver.metrics.gauge(metric_list.MODEL_FIGURE, figure="recent_mae", model=name).value
        for name in (champion, *metric_list.BASELINES)
    }
    assert min(told, key=lambda name: told[name] or 0.0) == champion
    sample = driver.metrics.samples()
    counted = [value for name, value in sample.items() if name.startswith("thalweg_score_ratio_")]
    assert set(counted) == {0.0}, "amounts have no place among scores from 0 to 1"


def test_what_is_odd_is_told_though_nobody_ever_said_what_that_is():
    champion = "anomaly_half_space_trees_v1"
    silent = reported_within(HORIZON, silence="unknown")
    garden = Garden(pipeline(champion, label=silent, threshold=0.99))
    driver = garden.driver
    for n in range(560):
        driver.advance(MINUTE)
        fields = {"petals": 3.0 + n % 3 + 20 * (n % 2), "height": 1.0 + n % 5 + 20 * (n % 2)}
        event = {"user_id": "ada", "event_id": f"o{n}", "action": "see", "ts": driver.now_ms}
        driver.append(event | fields)
        if n % 40 == 39:
            driver.process()
    driver.crash("learn")
    driver.crash("predict")
    garden.see(petals=4.0, height=3.0)
    garden.see(petals=24.0, height=3.0)

    first, *_, ordinary, odd = driver.predictions
    assert (first.score, first.decision, first.source) == (0.5, False, "default")
    assert ordinary.source == odd.source == "model"
    assert (ordinary.decision, odd.decision) == (False, True)
    assert odd.score > 0.99 > ordinary.score
    assert odd.confidence == 2 * odd.score - 1
    assert {outcome.label for outcome in driver.outcomes} == {None}
    (learner,) = driver._training.learners.values()
    assert learner.n_learned == len(driver.outcomes) > 500
    assert driver.metrics.counter(metric_list.LABELS, fate="unreported").value == len(
        driver.outcomes
    )


ARMS = ("red", "blue")
BANDIT: dict[str, Any] = {"arms": ARMS, "label": reported_within(HORIZON, says=float)}


def visits(declared: Pipeline, n: int, *, crashes: bool) -> PipelineDriver:
    """Let tall flowers like red, small ones blue, and crash everything now and then."""
    garden = Garden(declared)
    driver = garden.driver
    for number in range(n):
        height = float(number % 2)
        event_id = garden.see(petals=3.0, height=height)
        likes = "red" if height else "blue"
        garden.say(event_id, 5.0 if driver.predictions[-1].arm == likes else 1.0)
        if crashes and number in {3, n // 2}:
            driver.crash("learn")
            driver.crash("predict")
    return driver


@pytest.mark.parametrize("champion", catalogue.names("bandit"))
def test_an_arm_is_chosen_by_chance_that_is_told_and_learned_from_its_reward(champion):
    driver = visits(pipeline(champion, **BANDIT), 50, crashes=True)

    first, *_, last = driver.predictions
    assert (first.source, first.propensity, first.score) == ("default", 0.5, 0.0)
    assert (last.source, last.model, last.model_version) == ("model", champion, 49)
    assert {each.arm for each in driver.predictions} == {*ARMS}
    chosen = {each.prediction_id: (each.arm, each.propensity) for each in driver.predictions}
    for outcome in driver.outcomes:
        assert (outcome.arm, outcome.propensity) == chosen[outcome.prediction_id]
        assert outcome.arms == [*ARMS]
    latest = driver.predictions[-10:]
    if champion != "bandit_epsilon_greedy_v1":  # which looks at no features
        likes = [ARMS[1 - n % 2] for n in range(10)]
        assert sum(each.arm == arm for each, arm in zip(latest, likes, strict=True)) >= 8
        assert last.score == pytest.approx(5.0 if last.arm == "red" else 1.0, abs=0.7)
    assert (last.confidence, last.prediction, last.decision) == (0.0, None, last.score >= 0.5)

    driver._training.tell()
    figure = driver.metrics.gauge(metric_list.MODEL_FIGURE, figure="reward", model=champion)
    by_chance = driver.metrics.gauge(
        metric_list.MODEL_FIGURE, figure="reward", model=metric_list.BASELINE_RATE
    )
    assert (figure.value or 0) > 0
    assert 1.0 <= (by_chance.value or 0) <= 5.0


def test_the_same_questions_have_the_same_answers_though_everything_crashes():
    declared = pipeline("bandit_linucb_v1", **BANDIT)
    untroubled, troubled = (visits(declared, 20, crashes=each) for each in (False, True))

    assert [(each.arm, each.propensity, each.score) for each in troubled.predictions] == [
        (each.arm, each.propensity, each.score) for each in untroubled.predictions
    ]


@pytest.mark.parametrize(
    ("label", "learned"),
    [
        (reported_within(HORIZON, says=float, silence="zero"), 0.0),
        (reported_within(HORIZON), False),
        (happens_within("see", timedelta(seconds=1)), False),
        (reported_within(HORIZON, says=float), None),
    ],
    ids=["an amount", "yes or no", "an action", "unknown"],
)
def test_a_reward_that_never_comes_is_what_the_label_rule_says(label, learned):
    garden = Garden(pipeline("bandit_linucb_v1", arms=ARMS, label=label))
    garden.see(petals=3.0)
    garden.driver.advance(3 * HORIZON)
    garden.see(petals=3.0)

    (outcome,) = garden.driver.outcomes
    assert outcome.label is learned or outcome.label == learned is not None
    (learner,) = garden.driver._training.learners.values()
    assert learner.n_learned == (learned is not None)


LABEL_OF: dict[type, object] = {bool: True, str: "iris", float: 2.5}


@pytest.mark.parametrize("task", LABELS)
def test_versions_of_models_of_each_task_are_kept(task):
    says = LABELS[task][0]
    choices = {"arms": ARMS} if task == "bandit" else {}
    champion = catalogue.names(task)[0]
    garden = Garden(pipeline(champion, keep_every=2, **choices))
    for _ in range(3):
        garden.say(garden.see(petals=3.0), LABEL_OF[says])

    (record,) = garden.driver.read(topics.DEPLOYMENTS)
    kept = msgspec.json.decode(record.value() or b"", type=Deployment)
    assert (kept.kind, kept.model, kept.version) == ("registered", champion, 2)
    assert kept.parameters
    assert published_models._parameters(champion, None) == kept.parameters


@pytest.mark.parametrize("is_early", [False, True])
@pytest.mark.parametrize("positive", ["at_once", "at_maturity"])
def test_a_reward_of_another_arm_is_not_taken_for_that_of_the_one_that_was_chosen(
    is_early, positive
):
    rule = reported_within(HORIZON, says=float, silence="zero", positive=positive)
    driver = PipelineDriver(pipeline("bandit_linucb_v1", arms=ARMS, label=rule))
    event = {"user_id": "ada", "event_id": "e1", "action": "see", "ts": driver.now_ms}

    def say(arm: str, label: float) -> None:
        at = {"user_id": "ada", "event_id": "e1", "ts": driver.now_ms}
        driver.label(at | {"label": label, "arm": arm})

    if not is_early:
        driver.publish(event)
    driver.advance(MINUTE)
    for arm in ("unheard of", *ARMS):
        say(arm, {"red": 7.0, "blue": 3.0}.get(arm, 99.0))
    driver.crash("predict")
    if is_early:
        driver.publish(event)
    driver.advance(5 * HORIZON)
    driver.publish(event | {"event_id": "e2", "ts": driver.now_ms})

    (outcome,) = driver.outcomes
    assert outcome.label == {"red": 7.0, "blue": 3.0}[outcome.arm]
    assert driver.metrics.counter(metric_list.LABELS, fate="unknown").value == 2


def test_rows_of_arms_become_the_same_outcomes_again():
    driver = visits(pipeline("bandit_epsilon_greedy_v1", **BANDIT), 6, crashes=False)
    rows = [
        (*tables.OUTCOMES.row(record.value() or b""), 0, record.offset())
        for record in driver.read(tables.OUTCOMES.topic)
    ]
    frame = pl.LazyFrame(rows, schema=tables.OUTCOMES.schema, orient="row")
    (prediction, *_) = [
        dict(
            zip(
                tables.PREDICTIONS.schema, tables.PREDICTIONS.row(each.value() or b""), strict=False
            )
        )
        for each in driver.read(tables.PREDICTIONS.topic)
    ]

    assert [outcome for _, outcome in training_log.outcomes(frame)] == driver.outcomes
    former = frame.drop("arm", "propensity", "arms")
    for (_, read), outcome in zip(training_log.outcomes(former), driver.outcomes, strict=True):
        assert read == msgspec.structs.replace(outcome, arm="", propensity=0.0, arms=[])
    assert (prediction["arm"] in ARMS, prediction["propensity"]) == (True, 0.5)


def test_a_gardener_may_not_choose_among_nothing():
    for arms in ((), ("red",), ("red", "red"), ("red", ""), "red", ("red", 2)):
        with pytest.raises(InvalidDeclaration, match="arm"):
            pipeline("bandit_linucb_v1", **BANDIT | {"arms": arms})
    with pytest.raises(InvalidDeclaration, match="`regression_linear_v1` chooses no arm"):
        pipeline("regression_linear_v1", arms=ARMS)
    with pytest.raises(InvalidDeclaration, match=r"learns bool or float: .* says=float"):
        pipeline("bandit_linucb_v1", arms=ARMS, label=reported_within(HORIZON, says=str))


def test_what_nobody_classified_is_an_outcome_without_a_label_that_nobody_learns():
    garden = Garden(pipeline("multiclass_softmax_v1"))
    garden.see(petals=3.0)
    garden.driver.advance(3 * HORIZON)
    garden.see(petals=3.0)

    (outcome,) = garden.driver.outcomes
    assert (outcome.label, outcome.judged) == (None, 0.0)
    assert garden.driver.model_versions == {"multiclass_softmax_v1": 0}
    (learner,) = garden.driver._training.learners.values()
    assert (learner.through, learner.n_learned, learner.progress.n_skipped) == (0, 0, 0)
    assert garden.driver.metrics.counter(metric_list.OUTCOMES, label="none").value == 1


def test_an_amount_where_classes_are_declared_is_a_dead_letter():
    garden = Garden(pipeline("multiclass_softmax_v1"))
    garden.say(garden.see(petals=3.0), 7.5)

    (letter,) = garden.driver.dead_letters
    assert dict(letter.headers() or [])["reason"] == b"invalid_field"
    assert garden.driver.outcomes == []


def test_rows_of_the_offline_store_have_a_column_for_each_type_of_label():
    garden = Garden(pipeline("multiclass_softmax_v1"))
    for label in ("iris", "rose"):
        garden.say(garden.see(petals=3.0), label)
    garden.see(petals=3.0)

    def rows(table: tables.Table) -> list[dict[str, Any]]:
        return [
            dict(zip(table.schema, table.row(record.value() or b""), strict=False))
            for record in garden.driver.read(table.topic)
        ]

    labels = [(row["label"], row["label_class"]) for row in rows(tables.OUTCOMES)]
    assert labels == [(None, "iris"), (None, "rose")]
    predictions = rows(tables.PREDICTIONS)
    assert predictions[0]["scores"] == "{}"
    assert msgspec.json.decode(predictions[2]["scores"]).keys() == {"iris", "rose"}
    assert [len(row) for row in predictions] == [len(tables.PREDICTIONS.schema) - 2] * 3
    assert topics.PREDICTIONS.name == tables.PREDICTIONS.name


def test_tables_of_models_know_what_each_task_is_judged_by():
    for task in LABELS:
        told = catalogue.task(catalogue.names(task)[0]).progress().prequential.figures()

        assert model_figures.columns(task).keys() == told.keys()


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (
            {"challengers": ("binary_logistic_v1",)},
            r"challenger `binary_logistic_v1` is asked another kind of question \(binary\) than the"
            r" champion `multiclass_softmax_v1` \(multiclass\)",
        ),
        (
            {"label": reported_within(HORIZON)},
            r"says bool, but `multiclass_softmax_v1` learns str: .* says=str",
        ),
        (
            {"rules": (when("petals", above=3, score=0.9),)},
            "rules answer with a score from 0 to 1, which is no answer of `multiclass_softmax_v1`",
        ),
    ],
)
def test_what_does_not_fit_the_task_is_refused_by_its_name(choices, reason):
    with pytest.raises(InvalidDeclaration, match=reason):
        pipeline("multiclass_softmax_v1", **choices)


def test_a_label_rule_of_classes_does_not_fit_models_of_yes_and_no():
    with pytest.raises(InvalidDeclaration, match="says str, but `binary_logistic_v1` learns bool"):
        replace(PIPELINE, label=reported_within(HORIZON, says=str))
    with pytest.raises(InvalidDeclaration, match="`oracle_v1` names no task"):
        replace(PIPELINE, champion="oracle_v1")
    assert replace(PIPELINE, label=happens_within("purchase", HORIZON)).task == "binary"
