"""A rollout that steps by itself: what is decided follows from the log, whoever dies meanwhile."""

from concurrent.futures import wait
from dataclasses import replace
from queue import SimpleQueue

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.admin.asking_times import AskingTime, objection
from agents.deployments.deployed import Deployed
from agents.learning.candidate_service import FRESH_S, CandidateService
from agents.learning.rollout_gate import KEY, RolloutGate
from agents.observability.metrics import Metrics
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE as SHOP
from online_models.assignment import Rollout
from online_models.gate import Comparison, Gates
from schemas import topics
from schemas.deployments import ARCHIVED, Deployment
from schemas.errors import DeliveryFailed
from tests.agents.outcome_log import make_outcomes
from tests.agents.record import Record, batch

CHAMPION, BETTER = SHOP.champion, SHOP.challengers[0]
OUTCOMES = make_outcomes(700)
"""Of which the tree soon makes more than the linear model."""
GATES = Gates(min_labels=100, promotes=True)
ROLLOUT = Rollout(name="tree", candidate=BETTER, exposure=0.0, steps=(0.05, 0.5), gates=GATES)
PIPELINE = replace(SHOP, rollout=ROLLOUT)
WORSE = replace(
    SHOP,
    champion=BETTER,
    challengers=(CHAMPION,),
    rollout=replace(ROLLOUT, name="linear", candidate=CHAMPION),
)


class Run:
    """A pipeline that learns a log, batch by batch."""

    def __init__(self, pipeline=PIPELINE):
        self.driver = PipelineDriver(pipeline)
        self.learned = 0

    def learn(self, n):
        taken = OUTCOMES[self.learned : self.learned + n]
        self.learned += len(taken)
        values = map(msgspec.msgpack.encode, taken)
        self.driver.append(*values, topic=topics.OUTCOMES, key=b"")
        self.driver.process()
        return self

    def die_in_the_middle(self, n):
        """Learn a batch that is never committed."""
        taken = OUTCOMES[self.learned : self.learned + n]
        self.driver._training.learn(batch_of(taken, self.learned), self.driver.now_ms)
        self.driver.crash("learn")

    @property
    def decided(self):
        return [
            msgspec.json.decode(record.value() or b"", type=Deployment)
            for record in self.driver.read(topics.DEPLOYMENTS)
        ]

    @property
    def recorded(self):
        values = [
            record.value() for record in self.driver.read(topics.MODELS) if record.key() == KEY
        ]
        return values[-1] if values else None


def batch_of(outcomes, start):
    records = [
        Record(msgspec.msgpack.encode(each), offset=start + n) for n, each in enumerate(outcomes)
    ]
    return batch(records, topic=topics.OUTCOMES.name)


def test_a_better_candidate_goes_from_shadow_to_champion():
    run = Run()
    for _ in range(14):
        run.learn(50)

    assert [(each.kind, each.exposure, each.by) for each in run.decided] == [
        ("stepped", 0.05, "learn"),
        ("stepped", 0.5, "learn"),
        ("promoted", None, "learn"),
    ]
    assert all(each.metrics["high"] < 0 for each in run.decided)
    assert all(each.metrics["labels"] >= GATES.min_labels for each in run.decided)
    assert run.driver._plan.deployed.roles.champion == BETTER
    assert run.driver._plan.deployed.rollout is None
    assert run.recorded is None  # nothing is left of it


def test_after_the_last_step_people_promote_unless_it_is_declared():
    by_people = replace(ROLLOUT, gates=replace(GATES, promotes=False))
    run = Run(replace(SHOP, rollout=by_people))
    for _ in range(8):
        run.learn(50)

    assert [each.exposure for each in run.decided] == [0.05, 0.5]
    assert msgspec.msgpack.decode(run.recorded or b"", type=Comparison).differences.n == 200


def test_a_worse_candidate_is_stopped_in_the_shadow():
    run = Run(WORSE).learn(100)

    assert [(each.kind, each.rollout) for each in run.decided] == [("stopped", "linear")]
    assert "against the champion's, by 100 labels" in run.decided[0].why
    assert run.decided[0].metrics["low"] > 0
    assert run.driver._plan.deployed.rollout is None


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 120), st.sampled_from(["go on", "die", "die in the middle"])),
        min_size=3,
        max_size=8,
    )
)
def test_whoever_dies_and_whenever_the_same_is_decided(history):
    whole, interrupted = Run(), Run()
    for n, fate in history:
        if fate == "die in the middle":
            interrupted.die_in_the_middle(n)
        for run in (whole, interrupted):
            run.learn(n)
        if fate == "die":
            interrupted.driver.crash("learn")

        assert interrupted.decided == whole.decided
        assert interrupted.recorded == whole.recorded


def test_what_is_done_by_hand_is_not_done_again_and_begins_anew():
    run = Run().learn(60)
    run.driver.step(0.2)
    run.learn(60)
    recorded = msgspec.msgpack.decode(run.recorded or b"", type=Comparison)

    assert [each.by for each in run.decided] == ["test"]
    assert (recorded.exposure, recorded.since, recorded.differences.n) == (0.2, 0, 60)


def test_who_steps_it_back_and_forth_gains_no_second_chances():
    run = Run(replace(SHOP, rollout=replace(ROLLOUT, gates=replace(GATES, min_labels=10_000))))
    stages = []
    for exposure in (0.2, 0.05, 0.2, None):
        run.learn(20)
        run.driver.crash("learn")
        stages.append(msgspec.msgpack.decode(run.recorded, type=Comparison).stage)
        if exposure is not None:
            run.driver.step(exposure)
    shadow_again = replace(ROLLOUT, name="anew", gates=replace(GATES, min_labels=10_000))
    for exposure in (0.0, 0.3):  # by declaration, of one that was never stepped
        declared = replace(shadow_again, exposure=exposure)
        run.driver.deploy(replace(SHOP, rollout=declared))
        run.learn(20)
        stages.append(msgspec.msgpack.decode(run.recorded, type=Comparison).stage)

    assert stages == [0, 1, 2, 3, 0, 1]


def test_what_could_take_no_effect_is_neither_decided_nor_waited_for_for_ever(caplog):
    """Only models' versions are archived by us; anybody may write that of a model."""
    at_the_end = replace(ROLLOUT, exposure=0.5)
    deployed = Deployed(replace(SHOP, rollout=at_the_end))
    gate = RolloutGate(deployed, Metrics(), models="models", deployments="deployments")
    first = compared_with(gate, 0, is_better=True)
    archived = Deployment(
        kind=ARCHIVED, use_case=SHOP.use_case, model=BETTER, at=0, by="ada", why="a test"
    )
    deployed.follow(deployed.registry.fold(archived, 0))
    later = [compared_with(gate, start, is_better=True) for start in (100, 200)]

    assert first == ["models", "deployments"]  # promoted, which comes behind what was archived
    assert later == [["models"], ["models"]]
    assert caplog.text.count(f"promoted {BETTER} would be due: {BETTER} is archived") == 1


def test_a_decision_is_made_once_however_long_its_event_takes():
    deployed, metrics = Deployed(WORSE), Metrics()
    gate = RolloutGate(deployed, metrics, models="models", deployments="deployments")
    emitted = []
    for start in range(0, 400, 100):
        step = batch_of(OUTCOMES[start : start + 100], start)
        compare = gate.comparing()
        for offset, outcome in enumerate(OUTCOMES[start : start + 100], start):
            if compare is not None:
                truth = float(bool(outcome.label))
                compare(offset, outcome, {BETTER: truth, CHAMPION: 0.5})
        gate.settle(step, 0)
        emitted.append([each.topic for each in step.outputs])

    assert emitted == [["models", "deployments"], [], [], []]


def compared_with(gate, start, *, is_better):
    """Compare a hundred outcomes with a champion that says nothing; tell what is decided."""
    step = batch_of(OUTCOMES[start : start + 100], start)
    compare = gate.comparing()
    for offset, outcome in enumerate(OUTCOMES[start : start + 100], start):
        if compare is not None:
            truth = float(bool(outcome.label) == is_better)
            compare(offset, outcome, {BETTER: truth, CHAMPION: 0.5})
    gate.settle(step, 0)
    return [each.topic for each in step.outputs]


def test_a_candidate_that_may_not_serve_is_given_no_more_users_and_it_is_said_why(caplog):
    metrics = Metrics()
    asked = []

    def objection(candidate):
        asked.append(candidate)
        return "it takes 4.0 ms"

    gate = RolloutGate(
        *(Deployed(PIPELINE), metrics),
        models="models",
        deployments="deployments",
        objection=objection,
    )
    refused = [compared_with(gate, start, is_better=True) for start in (0, 100)]
    said = [record.message for record in caplog.records]
    gate.tell()  # asks again
    waits = metrics.samples()['thalweg_rollout_waits{rollout="tree"}']
    gate._objection = lambda candidate: None
    decided = compared_with(gate, 200, is_better=True)

    assert refused == [["models"], ["models"]]
    assert said == ["stepped tree to an exposure of 0.05 would be due: it takes 4.0 ms"]
    assert (waits, asked) == (1.0, [BETTER] * 3)
    assert decided == ["models", "deployments"]


def test_what_may_not_serve_is_stopped_all_the_same():
    gate = RolloutGate(
        *(Deployed(PIPELINE), Metrics()),
        models="models",
        deployments="deployments",
        objection=lambda candidate: "it takes 4.0 ms",
    )

    assert compared_with(gate, 0, is_better=False) == ["models", "deployments"]


def test_what_workers_tell_is_asked_while_it_matters_and_nobody_waits_for_it():
    answers: SimpleQueue[dict[str, AskingTime] | DeliveryFailed] = SimpleQueue()
    now_s = 0.0

    def read():
        answer = answers.get(timeout=10)
        if isinstance(answer, DeliveryFailed):
            raise answer
        return answer

    service = CandidateService(read, stopwatch=lambda: now_s)

    def told(answer):
        """What it says before and after workers told something."""
        before = service.objection(BETTER)
        answers.put(answer)
        reading = service._reading
        assert reading is not None
        wait([reading], 10)
        return before, service.objection(BETTER)

    quick = AskingTime(0.001, may_serve=True)
    unknown = "it is not known yet whether it may serve"
    assert told({BETTER: quick}) == (unknown, None)
    assert service._reading is None  # what is known is fresh
    now_s += FRESH_S + 1
    assert told(DeliveryFailed("no broker")) == (unknown, unknown)
    assert told({CHAMPION: quick}) == (unknown, objection(BETTER, {CHAMPION: quick}))


def test_its_figures_are_told_as_long_as_it_runs():
    run = Run().learn(60)
    run.driver._training.tell()
    running = {
        name: value for name, value in run.driver.metrics.samples().items() if "rollout" in name
    }
    run.driver.stop()
    run.learn(1)
    run.driver._training.tell()
    over = [name for name in run.driver.metrics.samples() if "rollout" in name]

    assert running['thalweg_rollout_exposure{rollout="tree"}'] == 0.0
    assert running['thalweg_rollout_labels{rollout="tree"}'] == 60.0
    assert running['thalweg_rollout_loss_difference{end="high",rollout="tree"}'] < 0
    assert over == []


def test_a_record_of_another_release_begins_anew(caplog):
    gate = RolloutGate(Deployed(PIPELINE), Metrics(), models="models", deployments="deployments")
    gate.begin(b"junk")

    assert gate.comparing() is not None
    assert "compared anew" in caplog.text


def test_a_candidate_that_goes_on_from_a_version_is_compared_anew():
    shadow = replace(ROLLOUT, gates=replace(GATES, min_labels=1_000))
    run = Run(replace(SHOP, rollout=shadow)).learn(60)
    run.driver.keep(BETTER)
    run.learn(20)
    before = msgspec.msgpack.decode(run.recorded, type=Comparison)
    run.driver.resume(f"{BETTER}@80")
    resumed = run.decided[-1]
    run.learn(30)
    after = msgspec.msgpack.decode(run.recorded, type=Comparison)

    assert (before.differences.n, before.origin) == (80, -1)
    assert (resumed.kind, resumed.reference) == ("resumed", f"{BETTER}@80")
    # What stands in the log before: the wish, the version.
    assert (after.differences.n, after.origin) == (30, 2)


def test_a_model_that_stands_for_its_version_and_is_resumed_is_compared_anew():
    """While a version serves, the candidate is held against its model as it goes on learning."""
    three = replace(SHOP, challengers=(BETTER, "binary_ftrl_v1"))
    run = Run(three).learn(60)
    run.driver.keep(CHAMPION)
    run.learn(20)
    for model in (BETTER, f"{CHAMPION}@80"):
        run.driver.promote(model)
    shadow = replace(ROLLOUT, candidate="binary_ftrl_v1", gates=replace(GATES, min_labels=1_000))
    run.driver.deploy(replace(three, rollout=shadow))
    run.learn(20)
    before = msgspec.msgpack.decode(run.recorded, type=Comparison)
    run.driver.resume(f"{CHAMPION}@80")
    run.learn(30)
    after = msgspec.msgpack.decode(run.recorded, type=Comparison)

    assert (before.champion, before.differences.n, before.origin) == (CHAMPION, 20, -1)
    assert (after.differences.n, after.origin) == (30, len(run.decided) - 1)


def test_nothing_is_compared_or_decided_while_the_candidate_is_about_to_be_another():
    deployed, metrics = Deployed(WORSE), Metrics()
    gate = RolloutGate(deployed, metrics, models="models", deployments="deployments")
    event = Deployment(kind="resumed", use_case=WORSE.use_case, model=CHAMPION, at=0, by="ada")
    deployed.follow(deployed.registry.fold(event, 0))
    step = batch_of(OUTCOMES[:100], 0)
    compare = gate.comparing()
    gate.settle(step, 0)

    assert compare is None
    assert step.outputs == []


def test_another_candidate_of_the_same_name_begins_with_nothing():
    both = replace(SHOP, challengers=(BETTER, "binary_ftrl_v1"), rollout=ROLLOUT)
    shadow = replace(ROLLOUT, gates=replace(GATES, min_labels=1_000))
    patient = replace(both, rollout=shadow)
    run = Run(patient).learn(200)
    before = msgspec.msgpack.decode(run.recorded, type=Comparison)
    run.driver.deploy(replace(patient, rollout=replace(shadow, candidate="binary_ftrl_v1")))
    run.learn(20)
    after = msgspec.msgpack.decode(run.recorded, type=Comparison)

    assert (before.candidate, before.differences.n) == (BETTER, 200)
    assert (after.candidate, after.differences.n) == ("binary_ftrl_v1", 20)


def test_of_outcomes_that_resemble_each_other_one_in_so_many_counts():
    gates = replace(GATES, one_in=10)
    run = Run(replace(SHOP, rollout=replace(ROLLOUT, gates=gates))).learn(300)
    compared = msgspec.msgpack.decode(run.recorded, type=Comparison)

    drawn = [each for each in OUTCOMES[:300] if gates.counts(each.prediction_id)]
    assert compared.differences.n == len(drawn) < 60
