"""Answers that change while inputs stay: told once, by whoever lives, and within the budget."""

import math
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.visit_watch import KEY, MOST_WAITING, Watched
from agents.pipeline import DriftPolicy
from agents.silence import Silence
from agents.testing import PipelineDriver
from agents.testing.pipeline_driver import START
from online_models.drift import AnswerDrift, RunLength
from online_models.twin import FrozenTwin
from schemas import topics
from schemas.errors import InvalidDeclaration
from schemas.outcomes import Outcome
from tests.agents.learning.log_run import BATCH, LogRun
from tests.agents.learning.turned_world import FEATURES, QUICK, SLOW, turned_round
from tests.agents.learning.turned_world import PIPELINE as SHOP
from tests.agents.outcome_log import make_outcomes

WARM, TURN = 300, 1_600
PIPELINE = replace(
    SHOP,
    champion=SLOW,
    challengers=(),
    drift=DriftPolicy(model_warmup_outcomes=WARM, scores_per_false_alarm=3_000),
)


def visits(n: int, turn: int = TURN) -> list[Outcome]:
    """Make outcomes of which every second begins a visit, as in `turned_round`."""
    return [
        msgspec.structs.replace(each, begins_visit=i % 2 == 0)
        for i, each in enumerate(turned_round(n, turn))
    ]


def shifted(n: int) -> list[Outcome]:
    """Make some of which the likelier kind of user is the rule from a turn on."""
    rng, log = random.Random(4), []
    for i, each in enumerate(visits(n, turn=n)):
        features = [float(rng.random() < (0.5 if i < TURN else 0.95)), rng.random()]
        label = rng.random() < (0.9 if features[0] else 0.1)
        log.append(msgspec.structs.replace(each, features=features, label=label))
    return log


OUTCOMES, SHIFTED = visits(2_400), shifted(2_400)
TOGETHER = replace(PIPELINE, drift=replace(PIPELINE.drift, scores="together"))


class Run(LogRun):
    """A pipeline that learns the log, batch by batch."""

    def __init__(self, pipeline=PIPELINE, log=OUTCOMES):
        super().__init__(pipeline, log)

    @property
    def told(self):
        return [each for each in self.driver.alerts if each.kind == "drift"]

    @property
    def recorded(self):
        found = [each.value() for each in self.driver.read(topics.MODELS) if each.key() == KEY]
        return msgspec.msgpack.decode(found[-1] or b"", type=Watched) if found else None


@pytest.fixture(scope="module")
def whole():
    return Run().learn_until(2_400)


def test_labels_that_turn_round_while_inputs_stay_moved_the_answers(whole):
    alert = whole.told[0]

    assert (alert.level, alert.evidence["moved"]) == ("warning", "answers")
    assert alert.signal == "answer_error"
    assert alert.evidence["recent"] > alert.evidence["reference"] + 0.03
    first, last = (OUTCOMES[at].event_at for at in (TURN - 40, TURN + 40))
    assert first <= alert.evidence["onset_at"] <= last
    assert TURN < alert.evidence["outcomes_offset"] < TURN + 300
    assert alert.evidence["model"] == f"{SLOW}@twin"
    assert alert.runbook == "docs/operations.md#a-drift-alert"


def test_it_is_counted_and_where_it_stands_is_told(whole):
    samples = whole.driver.metrics.samples()
    labels = 'partition="0",signal="answer_error"'

    assert samples[f"thalweg_drift_alarms_total{{{labels}}}"] == 1.0
    assert samples[f"thalweg_drift_threshold{{{labels}}}"] == pytest.approx(
        math.log10(PIPELINE.drift.of_answers().amount)
    )
    assert samples['thalweg_alerts_total{kind="drift",level="warning"}'] == len(whole.told)
    whole.driver._training.discard(0)
    assert f"thalweg_drift_threshold{{{labels}}}" not in whole.driver.metrics.samples()


def test_of_other_events_of_a_visit_nothing_is_watched():
    seldom = [msgspec.structs.replace(each, begins_visit=False) for each in OUTCOMES[:600]]

    assert Run(log=seldom).learn_until(600).recorded is None


@pytest.fixture(scope="module")
def together():
    return Run(TOGETHER, SHIFTED).learn_until(2_400)


def test_inputs_that_move_are_the_worlds_doing_where_scores_are_watched_together(together):
    (alert,) = [each for each in together.told if each.evidence["moved"] == "world"]

    assert alert.signal == "score_mean"
    assert TURN < alert.evidence["outcomes_offset"] < TURN + 600
    assert alert.evidence["recent"] > alert.evidence["reference"]
    labels = 'partition="0",signal="score_mean"'
    assert together.driver.metrics.samples()[f"thalweg_drift_alarms_total{{{labels}}}"] == 1.0


def test_otherwise_learn_does_not_look_at_them():
    """A twin that knows little is wrong of such users, which it tells."""
    told = Run(log=SHIFTED).learn_until(2_400).told

    assert {each.evidence["moved"] for each in told} <= {"answers"}


def test_predict_watches_scores_until_there_is_a_twin_that_learn_watches():
    watched: list[int] = []
    for policy in (TOGETHER.drift, PIPELINE.drift):
        run = Run(replace(PIPELINE, drift=replace(policy, model_warmup_outcomes=200)))
        partition = run.driver._by_number[0]
        for learned in (100, 400):
            run.learn_until(learned)
            for user in ("ada", "bob"):
                event = {"user_id": f"{user}{learned}", "action": "home", "ts": run.driver.now_ms}
                run.driver.publish(event)
            watched.append(partition.watches_scores)
        watched.append(partition.drift.detector.n)

    assert watched == [True, False, 0, True, True, 2]


@pytest.mark.parametrize("case", [(PIPELINE, OUTCOMES), (TOGETHER, SHIFTED)])
@settings(max_examples=2, deadline=None)
@given(fates=st.lists(st.sampled_from(["die", "die in the middle"]), min_size=9, max_size=9))
def test_whoever_dies_and_whenever_the_same_is_told(whole, together, case, fates):
    whole = whole if case[0] is PIPELINE else together
    run = Run(*case).learn_until(TURN - BATCH)
    for fate in fates:
        if fate == "die in the middle":
            run.die_in_the_middle()
        run.learn()
        if fate == "die":
            run.driver.crash("learn")

    assert run.told == whole.told[: len(run.told)]
    assert run.told
    assert run.recorded == whole.recorded


def test_while_nothing_changes_the_budget_is_kept():
    """Nor is the promise broken by a twin that knows little."""
    log = visits(8_000, turn=8_000)
    policy = DriftPolicy(model_warmup_outcomes=WARM, scores_per_false_alarm=400)
    run = Run(replace(PIPELINE, drift=policy), log)
    while run.learned < len(log):
        run.learn(500)

    assert len(run.told) <= 9  # 5 are allowed: more than 9 have a probability of 3 %


VERSION = f"{SLOW}@200"
SAID = [
    msgspec.structs.replace(each, score=0.1 + 0.8 * each.features[0], model=SLOW, model_version=200)
    for each in OUTCOMES
]


def with_a_version(log):
    run = Run(log=log)
    run.learn()
    run.driver.keep(SLOW)
    run.learn()
    run.driver.promote(VERSION)
    return run


def test_a_version_that_serves_is_held_against_what_it_said():
    run = with_a_version(SAID).learn_until(2_400)

    assert run.told[0].evidence["model"] == VERSION
    assert TURN < run.told[0].evidence["outcomes_offset"] < TURN + 300


def test_with_another_champion_it_begins_anew():
    run = Run(replace(PIPELINE, challengers=(QUICK,))).learn_until(1_000)
    before = run.recorded
    run.driver.promote(QUICK)
    run.learn_until(1_200)

    assert (before.twin, run.recorded.twin) == (f"{SLOW}@twin", f"{QUICK}@twin")
    resets = 'thalweg_drift_resets_total{partition="0",reason="model"}'
    assert run.driver.metrics.samples()[resets] == 1.0


@pytest.mark.parametrize("dies", [False, True])
def test_what_was_forgotten_is_forgotten_by_whoever_takes_over(dies):
    """Another one is the champion for a while in which nobody comes."""
    quiet = range(600, 900)
    seldom = [
        msgspec.structs.replace(each, begins_visit=each.begins_visit and n not in quiet)
        for n, each in enumerate(SAID)
    ]
    run = with_a_version(seldom).learn_until(600)
    run.driver.promote(SLOW)
    run.learn_until(900)
    if dies:
        run.driver.crash("learn")
    run.driver.promote(VERSION)
    run.learn()

    assert run.driver._training._visits._drift.n == BATCH / 2


class Certain:
    """Stands for a twin."""

    degraded_reason = None

    def score(self, features):
        return 0.1 + 0.8 * features[FEATURES.names[0]]


def looked_at(log):
    """Tell what is found in a log, whoever learns it."""
    watch = PipelineDriver(PIPELINE)._training._visits
    twin = f"{SLOW}@twin"
    look = watch.watching({twin: FrozenTwin(twin, 1, cast(Any, Certain()))})
    for offset, outcome in enumerate(log):
        look(offset, outcome)
    return watch


def test_labels_that_come_sooner_if_they_are_positive_are_not_seen_sooner():
    """Else in the morning, when visits rise, more would seem to come true than did."""
    waits, last = OUTCOMES[: TURN + 400], OUTCOMES[TURN + 500]
    at_once = sorted(
        (
            msgspec.structs.replace(each, labelled_at=each.event_at + 60_000 * n % 1_800_000)
            if each.label
            else each
            for n, each in enumerate(waits)
        ),
        key=lambda each: each.labelled_at,
    )
    in_order, found = looked_at([*waits, last]), looked_at([*at_once, last])

    assert at_once != waits
    assert [each[2:] for each in found._alarms] == [each[2:] for each in in_order._alarms]
    assert found._alarms
    assert found._drift.encode() == in_order._drift.encode()


def test_of_those_that_wait_for_the_horizon_so_many_are_kept():
    known = [
        msgspec.structs.replace(each, label=True, labelled_at=each.event_at, begins_visit=True)
        for each in OUTCOMES[: MOST_WAITING + 100]
    ]
    all_at_once = [msgspec.structs.replace(each, event_at=n) for n, each in enumerate(known)]
    watch = looked_at([msgspec.structs.replace(each, labelled_at=0) for each in all_at_once])

    assert (len(watch._watched.waiting), watch._drift.n) == (MOST_WAITING, 100)


def test_in_a_silence_it_is_written_down_and_not_counted():
    silence = Silence(since=START, until=START + timedelta(hours=1), why="labels are mended")
    run = Run(replace(PIPELINE, silences=(silence,))).learn_until(2_400)
    samples = run.driver.metrics.samples()

    assert {each.action for each in run.told} == {str(silence)}
    assert samples['thalweg_drift_alarms_total{partition="0",signal="answer_error"}'] == 0.0


def of_six_bets() -> bytes:
    drift = AnswerDrift(RunLength.scores(100), warmup=20)
    drift._state.owned += [0.0, 0.0]
    return msgspec.msgpack.encode((1, drift.encode(), b""))


@pytest.mark.parametrize(
    "record",
    [b"junk", *(msgspec.msgpack.encode(Watched(detectors=x)) for x in (b"junk", of_six_bets()))],
)
def test_a_record_of_another_release_is_forgotten(caplog, record):
    driver = PipelineDriver(PIPELINE)
    driver._training._visits.begin(record)

    assert driver._training._visits._watched == Watched()
    assert "forgotten" in caplog.text


def test_what_cannot_be_asked_is_passed_over():
    rng = random.Random(3)
    run = Run().learn_until(1_000)
    before = run.recorded
    broken = [
        msgspec.structs.replace(each, **change)
        for each in make_outcomes(30)
        for change in (
            {"label": None},
            {"schema": "other"},
            {"target": "other"},
            {"judged": 0.0},
            {"features": [rng.random()]},
        )
    ]
    run.log = [*OUTCOMES[:1_000], *broken]
    run.learn(len(broken))

    assert run.recorded == before


def test_the_budget_is_shared_and_no_more_than_was_declared():
    month = timedelta(days=30)
    policy = DriftPolicy(false_alarm_every=month, answers_share=1 / 4, actions_share=1 / 8)
    of_actions = 4 / policy.of_actions(4).amount  # of four detectors
    rates = [
        4 / policy.of_scores(4, beside_answers=True).amount,
        of_actions,
        1 / policy.of_answers().amount,
    ]

    assert sum(rates) == pytest.approx(1 / (30 * 24))
    without = 4 / policy.of_scores(4, beside_answers=False).amount
    assert without + of_actions == pytest.approx(1 / (30 * 24))
    with pytest.raises(InvalidDeclaration, match="by_partition"):
        DriftPolicy(scores="both")  # type: ignore[arg-type]  # which it is not
    with pytest.raises(InvalidDeclaration, match="whose answers are watched, too"):
        replace(TOGETHER, drift=replace(TOGETHER.drift, answers_share=0.0))
    for answers, actions in ((-0.1, 0.2), (1.0, 0.0), (0.5, 0.5), (0.5, -0.1)):
        with pytest.raises(InvalidDeclaration, match="answers_share and actions_share"):
            DriftPolicy(answers_share=answers, actions_share=actions)


def test_where_nobody_watches_anything_else_scores_have_the_whole_budget():
    policy = replace(PIPELINE.drift, answers_share=0.0, actions_share=0.0)
    run = Run(replace(PIPELINE, drift=policy)).learn_until(600)

    assert run.recorded is None
    assert not replace(PIPELINE, drift=policy).watches_answers
    assert run.driver._plan._run_length == policy.run_length()
    assert run.driver._plan.action_mix(None) is None
    assert PipelineDriver(PIPELINE)._plan._run_length.amount > policy.run_length().amount


def test_predict_says_which_predictions_begin_a_visit():
    driver = PipelineDriver(SHOP)
    for minutes in (0, 10, 40):
        driver.advance(timedelta(minutes=minutes))
        driver.publish({"user_id": "ada", "action": "home", "ts": driver.now_ms})
    driver.advance(timedelta(hours=2))
    driver.publish({"user_id": "bob", "action": "home", "ts": driver.now_ms})

    assert [each.begins_visit for each in driver.outcomes] == [True, False, True]
