"""A champion that became worse: told once, put back on evidence, whoever dies meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.accuracy_guard import KEY, Told
from agents.silence import Silence
from agents.testing import PipelineDriver
from agents.testing.pipeline_driver import START
from examples.offers.pipeline import PIPELINE as OFFERS
from schemas import topics
from schemas.deployments import Deployment
from schemas.errors import InvalidDeclaration
from streams.label_rule import reported_within
from tests.agents.learning.log_run import BATCH, LogRun
from tests.agents.learning.turned_world import PIPELINE, QUICK, SLOW, TURN, turned_round

OUTCOMES = turned_round(4_000)


class Run(LogRun):
    """A pipeline that learns the log, batch by batch."""

    def __init__(self, pipeline=PIPELINE, promoted=SLOW, log=OUTCOMES):
        super().__init__(pipeline, log)
        if promoted:
            self.driver.promote(promoted)

    @property
    def told(self):
        return [(each.evidence["model"], each.level, each.action) for each in self.driver.alerts]

    @property
    def decided(self):
        return [
            msgspec.json.decode(record.value() or b"", type=Deployment)
            for record in self.driver.read(topics.DEPLOYMENTS)
        ]

    @property
    def champion(self):
        return self.driver._plan.deployed.roles.champion

    @property
    def recorded(self):
        values = [each.value() for each in self.driver.read(topics.MODELS) if each.key() == KEY]
        return msgspec.msgpack.decode(values[-1] or b"", type=Told) if values else None


@pytest.fixture(scope="module")
def whole():
    return Run().learn_until(4_000)


def test_labels_that_turn_round_lead_to_critical_a_rollback_and_back_to_normal(whole):
    levels = [(model, level) for model, level, _ in whole.told]
    acted = [action for *_, action in whole.told if action != "none"]

    assert levels[:2] == [(SLOW, "warning"), (SLOW, "critical")]
    assert acted == [f"none: {QUICK} is not better for sure", f"rolled back to {QUICK}"]
    assert levels[-1] == (QUICK, "normal")
    assert [(each.kind, each.model, each.by) for each in whole.decided] == [
        ("promoted", SLOW, "test"),
        ("rolled_back", QUICK, "learn"),
    ]
    assert whole.champion == QUICK
    ids = [each.alert_id for each in whole.driver.alerts]
    assert len(set(ids)) == len(ids)


def test_before_the_turn_nothing_is_told_and_nothing_is_written():
    run = Run(promoted=None).learn_until(TURN)

    assert (run.driver.alerts, run.recorded) == ([], None)


def test_an_alert_carries_its_evidence_and_where_to_read_on(whole):
    warning, critical, *_ = whole.driver.alerts

    assert warning.evidence["level_before"] == "normal"
    assert warning.value < warning.threshold < warning.evidence["best"]
    assert warning.evidence["since_at"] >= OUTCOMES[TURN - BATCH].event_at
    assert critical.evidence["level_before"] == "warning"
    assert critical.runbook == "docs/operations.md#an-accuracy-alert"
    assert critical.signal == "roc_auc"


def test_it_is_counted_and_its_level_is_told(whole):
    whole.driver._training.tell()
    samples = whole.driver.metrics.samples()

    told = [each for each in whole.driver.alerts if each.level == "critical"]
    assert samples['thalweg_alerts_total{kind="accuracy",level="critical"}'] == len(told)
    assert samples[f'thalweg_model_accuracy_level{{model="{QUICK}"}}'] == 0.0


def test_without_a_previous_version_the_alert_says_so():
    run = Run(promoted=None, pipeline=replace(PIPELINE, champion=SLOW, challengers=()))
    run.learn_until(2_000)

    assert [each[1:] for each in run.told] == [
        ("warning", "none"),
        ("critical", "none: there is no previous version"),
    ]
    assert run.decided == []


BACK = 2_400
THERE_AND_BACK = [
    each if n < BACK else msgspec.structs.replace(each, label=not each.label)
    for n, each in enumerate(turned_round(3_600))
]
"""After a while the world is again what it was, and a version of the first days is right."""
ALONE = replace(PIPELINE, champion=SLOW, challengers=())


def before_a_version(crashes=()):
    """Learn with a champion whose `previous` is a version of its first days."""
    run = Run(promoted=None, pipeline=ALONE, log=THERE_AND_BACK).learn_until(1_000)
    run.driver.keep(SLOW)
    run.learn()
    version = next(each.reference for each in run.decided if each.kind == "registered")
    run.driver.promote(version)
    run.driver.promote(SLOW)
    while run.learned < len(THERE_AND_BACK):
        if run.learned in crashes:
            run.driver.crash("learn")
        run.learn()
    return run, version


def test_a_previous_that_is_a_version_is_put_back_once_it_is_better_for_sure():
    run, version = before_a_version()

    acted = [action for *_, action in run.told if action != "none"]
    assert acted[:1] == [f"none: {version} is not better for sure"]
    assert acted[-1] == f"rolled back to {version}"
    assert run.champion == version
    rolled_back = run.decided[-1]
    assert (rolled_back.kind, rolled_back.by) == ("rolled_back", "learn")
    assert f"{version} better by 0." in rolled_back.why
    assert sum(each.kind == "rolled_back" for each in run.decided) == 1


def test_whoever_dies_meanwhile_puts_it_back_at_the_same_outcome():
    whole, _ = before_a_version()
    run, _ = before_a_version(crashes=range(1_200, 3_600, 200))

    assert run.told == whole.told
    assert [each.why for each in run.decided] == [each.why for each in whole.decided]


def test_a_version_that_is_previous_once_more_is_judged_anew_whoever_lives():
    judged = []
    for dies in (False, True):
        run = Run(promoted=None, pipeline=ALONE).learn_until(200)
        run.driver.keep(SLOW)
        run.learn()
        version = next(each.reference for each in run.decided if each.kind == "registered")
        for _ in range(2):
            run.driver.promote(version)
            run.learn()
            if dies:
                run.driver.crash("learn")
            run.driver.promote(SLOW)
            run.learn()
        judged.append(run.recorded.other)

    assert judged[0] is not None
    assert judged[0] == judged[1]


def test_a_previous_that_cannot_be_loaded_is_not_put_back_unseen():
    run = Run(promoted=None, pipeline=ALONE).learn_until(1_000)
    run.driver.keep(SLOW)
    run.learn()
    version = next(each.reference for each in run.decided if each.kind == "registered")
    run.driver._training._curriculum = replace(
        run.driver._training._curriculum, version=lambda reference: None
    )
    run.driver.promote(version)
    run.driver.promote(SLOW)
    run.learn_until(2_000)

    assert run.told[-1][2] == f"none: {version} is not loaded, so nobody knows whether it is better"


def test_a_version_that_serves_is_judged_by_what_it_said():
    version = f"{QUICK}@200"
    said = [
        msgspec.structs.replace(
            each, score=0.2 + 0.6 * each.features[0], model=QUICK, model_version=200
        )
        for each in OUTCOMES
    ]
    run = Run(promoted=None, pipeline=replace(PIPELINE, challengers=()), log=said)
    run.learn()
    run.driver.keep(QUICK)
    run.learn()
    run.driver.promote(version)
    run.learn_until(TURN)
    run.driver.crash("learn")
    gauges = []
    while run.learned < 3_000:
        run.learn()
        run.driver._training.tell()
        samples = run.driver.metrics.samples()
        gauges.append(samples.get(f'thalweg_model_accuracy_level{{model="{version}"}}'))

    assert gauges[0] == 0.0
    assert {2.0, None} <= set(gauges)  # then it serves no longer
    assert [each[:2] for each in run.told[:2]] == [(version, "warning"), (version, "critical")]
    assert f"rolled back to {QUICK}" in [each[2] for each in run.told]  # which learns on
    assert run.champion == QUICK


@settings(max_examples=2, deadline=None)
@given(st.lists(st.sampled_from(["die", "die in the middle"]), min_size=11, max_size=11))
def test_whoever_dies_and_whenever_the_same_is_told_and_done(whole, fates):
    run = Run().learn_until(TURN)
    for fate in fates:
        if fate == "die in the middle":
            run.die_in_the_middle()
        run.learn()
        if fate == "die":
            run.driver.crash("learn")

    until = [each for each in whole.driver.alerts if each.evidence["outcomes_offset"] < run.learned]
    assert [each.alert_id for each in run.driver.alerts] == [each.alert_id for each in until]
    assert [(each.kind, each.model) for each in run.decided] == [
        (each.kind, each.model) for each in whole.decided[: len(run.decided)]
    ]


@pytest.mark.parametrize("by", ["", "test"])
def test_in_a_silence_nothing_is_done_and_what_is_left_of_it_is_told_after_it(by):
    end = START + timedelta(hours=1)
    silence = Silence(since=START, until=end, why="labels are mended", by=by)
    run = Run(pipeline=replace(PIPELINE, silences=() if by else (silence,)))
    if by:
        run.driver.silence("accuracy", int(end.timestamp() * 1_000), why=silence.why)
    run.learn_until(2_600)
    quiet = list(run.driver.alerts)
    samples = run.driver.metrics.samples()
    run.driver.now_ms += 3_600_000
    run.learn()

    assert {each.action for each in quiet} == {str(silence)}
    assert [each.level for each in quiet][:2] == ["warning", "critical"]
    assert not any("alerts_total" in name and value for name, value in samples.items())
    assert run.told[-1] == (SLOW, "critical", f"rolled back to {QUICK}")
    assert len(run.told) == len(quiet) + 1


def test_who_takes_a_silence_back_is_told_what_is_left_at_once():
    run = Run()
    run.driver.silence("*", run.driver.now_ms + 3_600_000)
    run.learn_until(2_600)
    quiet = len(run.told)
    run.driver.unsilence("*")
    run.learn()

    assert all(action.startswith("silenced until") for *_, action in run.told[:quiet])
    assert run.told[quiet:] == [(SLOW, "critical", f"rolled back to {QUICK}")]


def test_what_changes_as_a_silence_ends_is_told_once(whole):
    warning, critical = (each.evidence["outcomes_offset"] for each in whole.driver.alerts[:2])
    run = Run()
    run.driver.silence("accuracy", run.driver.now_ms + 3_600_000)
    run.learn(critical)
    run.driver.unsilence("accuracy")
    run.learn()

    offsets = [each.evidence["outcomes_offset"] for each in run.driver.alerts]
    assert (offsets, run.told[1][1]) == ([warning, critical], "critical")


def test_a_silence_ends_as_it_should_for_a_champion_that_was_late_meanwhile():
    silence = Silence(since=START, until=START + timedelta(hours=1), why="labels are mended")
    nobody_before = replace(PIPELINE, champion=SLOW, challengers=(QUICK,), silences=(silence,))
    run = Run(promoted=None, pipeline=nobody_before).learn_until(2_000)
    n_quiet, training = len(run.driver.alerts), run.driver._training
    champion = training.learners.pop(SLOW)
    run.learn()
    training.learners[SLOW] = champion
    run.driver.now_ms += 3_600_000
    run.learn()

    assert run.told[n_quiet:] == [(SLOW, "critical", "none: there is no previous version")]


def test_amounts_that_turn_round_are_told_of_likewise():
    amounts = replace(
        PIPELINE,
        champion="regression_linear_v1",
        challengers=(),
        label=reported_within(timedelta(hours=1), says=float, silence="unknown"),
    )
    log = [
        msgspec.structs.replace(
            each,
            label=10.0 * (each.features[0] != (n >= TURN)) + each.features[1],
            target=amounts.label.target,
        )
        for n, each in enumerate(OUTCOMES[:2_000])
    ]
    run = Run(pipeline=amounts, promoted=None, log=log).learn_until(2_000)

    assert [each[1:] for each in run.told][:2] == [
        ("warning", "none"),
        ("critical", "none: there is no previous version"),
    ]
    assert {each.signal for each in run.driver.alerts} == {"closeness"}
    assert run.driver.alerts[0].value < run.driver.alerts[0].threshold < 1.0


def test_a_version_that_chooses_among_arms_has_no_level():
    offers = replace(OFFERS, challengers=())
    like, features = OUTCOMES[0], offers.compiled()
    chosen = [
        msgspec.structs.replace(
            like,
            prediction_id=f"p{n}",
            event_at=n * 20_000,
            labelled_at=n * 20_000 + 1_800_000,
            label=n % 2 == 0,
            score=0.8 if (n % 2 == 0) == (n < 2_000) else 0.2,
            model=offers.champion,
            model_version=200,
            schema=features.schema,
            features=[0.0] * len(features.names),
            target=offers.label.target,
            arm="none",
            propensity=1 / 3,
            arms=list(offers.arms),
        )
        for n in range(3_000)
    ]
    run = Run(pipeline=offers, promoted=None, log=chosen)
    run.learn()
    run.driver.keep(offers.champion)
    run.learn()
    run.driver.promote(f"{offers.champion}@200")
    run.learn_until(3_000)

    assert run.champion == f"{offers.champion}@200"
    assert run.told == []


def test_a_record_of_another_release_is_forgotten(caplog):
    driver = PipelineDriver(PIPELINE)
    driver._training._guard.begin(b"junk")

    assert driver._training._guard._told == Told()
    assert "forgotten" in caplog.text


def test_a_decision_is_made_once_however_long_its_event_takes():
    run = Run().learn_until(2_200)
    guard = run.driver._training._guard
    deployed = guard._deployed
    before = deployed.registry
    decided = []
    while run.learned < 2_900:
        run.learn()
        decided = [each.kind for each in run.decided]
        deployed.follow(before)  # the feed has not read it yet

    assert decided.count("rolled_back") == 1


def test_a_silence_says_when_and_why():
    at = datetime(2026, 11, 28, tzinfo=UTC)
    later = at + timedelta(hours=1)
    with pytest.raises(ValueError, match="why"):
        Silence(since=at, until=later, why="")
    with pytest.raises(ValueError, match="after it began"):
        Silence(since=later, until=at, why="x")
    with pytest.raises(ValueError, match="time zone"):
        Silence(since=at.replace(tzinfo=None), until=later, why="x")
    drfit = Silence(since=at, until=later, why="x", kinds=("accuracy", "drfit"))
    with pytest.raises(InvalidDeclaration, match="a silence is of drfit: there are alerts of acc"):
        replace(PIPELINE, silences=(drfit,))
