"""Models that choose among arms: learned, judged, carried and asked as all others are."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models import catalogue
from online_models.arm_models import ArmModel
from online_models.arms import chosen, even
from online_models.bandit_evaluation import BanditEvaluation, PolicyValue
from online_models.bandit_scorer import ArmChoice, BanditScorer
from online_models.prequential import WINDOW
from online_models.unanswered import FAILED, NOT_A_NUMBER, UNTRAINED
from schemas.labels import LARGEST_AMOUNT
from schemas.outcomes import Outcome
from schemas.tasks import MOST_ARMS
from tests.online_models.conftest import FEATURES

from .laws import cuts, is_gone_on_from, learner_of, log_of, replays_to_the_same_bits, taught

NAMES = catalogue.names("bandit")
CONTEXTUAL = [name for name in NAMES if "epsilon" not in name]
models = pytest.mark.parametrize("model", NAMES)

ARMS = ("short", "long", "none")
SKEWED = (0.5, 0.3, 0.2)
WORTH = {True: (0.7, 0.1, 0.3), False: (0.1, 0.6, 0.3)}
"""Of each arm, to somebody whose `is_mobile` is so. By chance .35, the best arm for all .4, the
best one for each .65."""


def features_of(outcome: Outcome) -> dict[str, float]:
    return dict(zip(FEATURES, outcome.features, strict=True))


def is_mobile(outcome: Outcome) -> bool:
    return outcome.features[2] > 0.0


Policy = Callable[[Outcome], Sequence[float]]


def make_log(seed: int, n: int, policy: Policy = lambda _: SKEWED) -> list[Outcome]:
    """Make a log of what a policy chose, and what that was worth."""
    rng = random.Random(seed)
    log = []
    for outcome in log_of(lambda features, rng: True, seed, n):
        shares = policy(outcome)
        number = chosen(f"{seed}:{outcome.prediction_id}", shares)
        worth = WORTH[is_mobile(outcome)][number]
        log.append(
            msgspec.structs.replace(
                outcome,
                label=float(rng.random() < worth),
                arm=ARMS[number],
                propensity=shares[number],
                arms=list(ARMS),
            )
        )
    return log


@models
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 999), cuts=cuts(200, n=2))
def test_a_restored_learner_that_replays_the_log_equals_one_never_interrupted(model, seed, cuts):
    replays_to_the_same_bits(model, make_log(seed, 200), cuts)


@models
def test_a_snapshot_is_gone_on_from(model):
    is_gone_on_from(model, make_log(2, 160))


@models
def test_whoever_is_asked_about_a_prediction_chooses_the_same_arm(model):
    log = make_log(3, 120)
    learner = taught(model, log)
    scorers: list[Any] = [learner.scorer(), learner.scorer()]
    one, other = (ArmChoice(ARMS, each) for each in scorers)
    for outcome in log:
        features = features_of(outcome)
        for choice in (one, other):
            choice.choose(outcome.prediction_id, features)
        assert (one.arm, one.propensity) == (other.arm, other.propensity)


# ---- what policies are worth ---------------------------------------------------------------------


def value_of(shares_of: Callable[[bool], Sequence[float]]) -> float:
    """Tell what a policy is worth for sure: half of all are mobile."""
    return sum(
        share * worth / 2
        for mobile in (True, False)
        for share, worth in zip(shares_of(mobile), WORTH[mobile], strict=True)
    )


POLICIES: dict[str, Callable[[bool], Sequence[float]]] = {
    "by chance": lambda mobile: even(3),
    "always long": lambda mobile: (0.0, 1.0, 0.0),
    "for each the best": lambda mobile: (1.0, 0.0, 0.0) if mobile else (0.0, 1.0, 0.0),
    "mostly none": lambda mobile: (0.1, 0.2, 0.7),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_is_worth_what_propensities_say_though_another_one_chose(policy):
    shares_of, n = POLICIES[policy], 6_000
    value = PolicyValue()
    for outcome in make_log(7, n):
        share = shares_of(is_mobile(outcome))[ARMS.index(outcome.arm)]
        value.update(share / outcome.propensity, float(outcome.label or 0.0))
    deviation = math.sqrt(value.squares[2] / n / n)

    assert value.ips == pytest.approx(value_of(shares_of), abs=4 * deviation)
    assert value.snips == pytest.approx(value_of(shares_of), abs=4 * deviation)
    assert deviation < 0.025


def test_what_is_to_be_expected_of_ips_is_the_value_exactly():
    """Over all that could have been chosen, each as often as it would have been."""
    expected = 0.0
    for mobile in (True, False):
        for number, propensity in enumerate(SKEWED):
            value = PolicyValue()
            share = POLICIES["mostly none"](mobile)[number]
            value.update(share / propensity, WORTH[mobile][number])
            expected += propensity / 2 * value.ips

    assert expected == pytest.approx(value_of(POLICIES["mostly none"]))


def test_intervals_miss_the_truth_as_seldom_as_they_say():
    n_missed, n_worlds = 0, 200
    truth = value_of(POLICIES["for each the best"]) - value_of(POLICIES["by chance"])
    for world in range(n_worlds):
        rng = random.Random(world)
        evaluation = BanditEvaluation()
        for _ in range(300):
            mobile = rng.random() < 0.5
            (number,) = rng.choices(range(3), SKEWED)
            best = POLICIES["for each the best"](mobile)[number]
            reward = float(rng.random() < WORTH[mobile][number])
            p = SKEWED[number]
            evaluation.update(reward, own=best / p, by_chance=1 / 3 / p, by_best=1 / 3 / p)
        figures = evaluation.figures()
        n_missed += not figures["over_chance_low"] < truth < figures["over_chance_high"]

    assert n_missed <= 0.05 * n_worlds


@pytest.mark.parametrize("model", CONTEXTUAL)
def test_a_model_is_judged_by_what_others_chose(model):
    figures = taught(model, make_log(1, 1_500)).prequential.figures()

    assert figures["reward"] == pytest.approx(0.6, abs=0.08)
    assert figures["over_chance_low"] > 0.05
    assert figures["over_best_arm_low"] > 0.0
    assert figures["recent_reward"] > 0.5


def test_the_best_arm_for_all_is_found_without_features_and_no_more():
    progress = taught("bandit_epsilon_greedy_v1", make_log(1, 1_500)).progress
    figures = progress.prequential.figures()

    assert progress.base_rate.snips == pytest.approx(0.35, abs=0.05)
    assert figures["over_best_arm_low"] < 0.0 < figures["over_best_arm_high"]


def test_figures_survive_being_written_and_recent_ones_look_back_on_the_window_alone():
    evaluation = BanditEvaluation()
    for n in range(3 * WINDOW // 2):
        reward = float(n >= WINDOW // 2)
        evaluation.update(reward, own=1.0, by_chance=1.0, by_best=1.0)
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(evaluation), type=BanditEvaluation)

    assert read == evaluation
    figures = read.figures()
    assert figures["recent_reward"] == 1.0
    assert figures["reward"] == figures["ips"] == pytest.approx(2 / 3)
    assert figures["over_chance_low"] == figures["over_chance_high"] == 0.0


def test_before_the_first_outcome_there_is_nothing_to_tell():
    assert all(map(math.isnan, BanditEvaluation().figures().values()))


# ---- learning what it chose itself, later --------------------------------------------------------


def rewards_of(model: str, *, n: int, delay: int) -> list[float]:
    """Let a model choose; what it chose becomes known in batches, as much later as that."""
    learner = learner_of(model)
    rng = random.Random(11)
    rewards: list[float] = []
    waiting: list[Outcome] = []
    choice = ArmChoice(ARMS, None)
    for number, asked in enumerate(make_log(8, n)):
        choice.choose(f"own:{number}", features_of(asked))
        worth = WORTH[is_mobile(asked)][ARMS.index(choice.arm)]
        rewards.append(float(rng.random() < worth))
        waiting.append(
            msgspec.structs.replace(
                asked, arm=choice.arm, propensity=choice.propensity, label=rewards[-1]
            )
        )
        if len(waiting) == delay:
            for outcome in waiting:
                learner.learn(outcome, learner.through + 1)
            waiting.clear()
            scorer: Any = learner.scorer()
            choice = ArmChoice(ARMS, scorer)
    return rewards


@models
def test_its_regret_is_clearly_less_than_that_of_chance_though_rewards_come_late(model):
    n = 1_500
    rewards = rewards_of(model, n=n, delay=50)
    best, chance = (value_of(POLICIES[name]) for name in ("for each the best", "by chance"))
    regret, of_chance = n * best - sum(rewards), n * (best - chance)

    if model in CONTEXTUAL:
        assert regret < 0.5 * of_chance
    else:  # it can do no better than the best arm for all
        assert regret < 0.95 * of_chance


# ---- what it cannot learn ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"arm": "unheard of"},
        {"arm": ""},
        {"arms": []},
        {"propensity": 0.0},
        {"propensity": 1.5},
        {"propensity": math.nan},
        {"label": "much"},
        {"label": math.nan},
        {"label": 2 * LARGEST_AMOUNT},
        {"arms": [*ARMS, *map(str, range(MOST_ARMS))]},
    ],
    ids=str,
)
def test_what_was_not_chosen_among_arms_by_chance_is_skipped_and_counted(change):
    (outcome,) = make_log(1, 1)
    learner = learner_of(NAMES[0])
    learner.learn(msgspec.structs.replace(outcome, **change), 0)
    learner.learn(msgspec.structs.replace(outcome, label=None, judged=0.0), 1)

    assert (learner.n_learned, learner.progress.n_skipped, learner.through) == (0, 1, 1)


@models
def test_yes_is_a_reward_of_one_and_no_one_of_zero(model):
    log = make_log(4, 100)
    by_truth = [msgspec.structs.replace(each, label=bool(each.label)) for each in log]

    assert taught(model, by_truth).progress == taught(model, log).progress


@models
def test_arms_that_come_and_go_do_not_fill_the_memory(model):
    learner = learner_of(model)
    (row,) = make_log(1, 1)
    for n in range(MOST_ARMS + 20):
        arms = [f"offer {n}", f"offer {n + 1}"]
        learner.learn(msgspec.structs.replace(row, arm=arms[0], arms=arms), n)
    progress: Any = learner.progress

    assert learner.n_learned == MOST_ARMS + 20
    assert list(progress.arms) == [f"offer {n}" for n in range(20, MOST_ARMS + 20)]


@models
def test_an_arm_that_nobody_tried_has_a_chance(model):
    learner = taught(model, make_log(5, 300))
    scorer: Any = learner.scorer()
    shares = scorer.shares(dict.fromkeys(FEATURES, 0.5), [*ARMS, "new"])

    assert shares[3] >= 0.02 / 4
    assert sum(shares) == pytest.approx(1.0)


class Says(ArmModel):
    """A model that says what it is told to say."""

    def __init__(self, weighed: Any = None) -> None:
        self.weighed = weighed

    def learn_one(self, x: object, arm: str, reward: float) -> None:
        raise NotImplementedError

    def weigh_one(self, x: object, arms: Sequence[str]) -> Any:
        if self.weighed is None:
            raise ZeroDivisionError
        return self.weighed


@pytest.mark.parametrize(
    ("weighed", "reason"),
    [
        (None, FAILED),
        (([1.0, math.nan], [0.5, 0.5]), NOT_A_NUMBER),
        (([1.0, 2.0], [0.5, math.nan]), NOT_A_NUMBER),
        (([1.0, 2.0], [0.5, 0.6]), NOT_A_NUMBER),
        (([1.0, 2.0], [1.5, -0.5]), NOT_A_NUMBER),
    ],
)
def test_a_model_that_fails_is_answered_for_by_chance(weighed, reason):
    scorer = BanditScorer(Says(weighed), n_learned=9, base_rate={"short": 2.0})
    choice = ArmChoice(("short", "long"), scorer)
    expected = choice.choose("p1", {})

    assert choice.propensity == 0.5
    assert expected == {"short": 2.0, "long": 0.0}[choice.arm]
    assert scorer.degraded_reason == reason


def test_who_has_learned_nothing_lets_chance_choose():
    scorer: Any = learner_of(NAMES[0]).scorer()

    assert (scorer.score({}), scorer.degraded_reason) == (0.0, UNTRAINED)
    assert scorer.shares({}, ARMS) == even(3)


def test_outcomes_of_former_releases_have_no_arm():
    (outcome,) = make_log(1, 1)
    before = Outcome.__struct_fields__.index("arm")
    former = msgspec.msgpack.encode(msgspec.structs.astuple(outcome)[:before])

    read = msgspec.msgpack.decode(former, type=Outcome)
    assert (read.arm, read.propensity, read.arms) == ("", 0.0, [])
