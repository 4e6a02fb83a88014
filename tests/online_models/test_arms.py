"""Choosing among arms: shares are probabilities, and what is chosen follows from them and an id."""

import random
from collections import Counter
from math import erf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.arm_models import LinearRewards, MeanRewards
from online_models.arms import chosen, even, explored, greedy, shares_of_best

VALUES = st.floats(-1e6, 1e6)
UNCERTAIN = st.lists(st.tuples(VALUES, st.floats(0, 1e6)), min_size=1, max_size=6)
MODELS = [
    MeanRewards(explore=0.1),
    LinearRewards("ucb", explore=0.05),
    LinearRewards("thompson", explore=0.02),
]
ARMS = ("a", "b", "c", "d")


@given(arms=UNCERTAIN, explore=st.floats(0, 1))
def test_what_policies_say_are_probabilities(arms, explore):
    means, deviations = [mean for mean, _ in arms], [by for _, by in arms]
    for shares in (greedy(means), shares_of_best(means, deviations), even(len(arms))):
        assert sum(shares) == pytest.approx(1.0, abs=1e-12)
        assert min(shares) >= 0.0
        with_chance = explored(shares, explore)
        assert sum(with_chance) == pytest.approx(1.0, abs=1e-12)
        assert min(with_chance) >= explore / len(arms)


@given(
    rewards=st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(-1e3, 1e3), st.floats(-1e9, 1e9)), max_size=30
    ),
    asked=st.floats(-1e9, 1e9),
)
def test_so_are_the_shares_of_models_whatever_they_have_learned(rewards, asked):
    for made in MODELS:
        model = made.clone()
        for arm, reward, feature in rewards:
            model.learn_one({"x": feature, "y": 1.0}, arm, reward)
        _, shares = model.weigh_one({"x": asked, "y": 1.0}, ARMS)

        assert sum(shares) == pytest.approx(1.0, abs=1e-9)
        assert min(shares) >= model.explore / len(ARMS) * (1 - 1e-9)


@given(weights=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any), seed=st.integers(0))
def test_over_all_ids_each_arm_is_chosen_as_often_as_its_share_says(weights, seed):
    shares = [weight / sum(weights) for weight in weights]
    n = 2_000
    found = Counter(chosen(f"{seed}:{each}", shares) for each in range(n))

    for number, share in enumerate(shares):
        off = abs(found[number] - n * share)
        assert off <= 5.5 * sqrt(n * share * (1 - share))  # 1 in 10 million by chance


def test_a_pair_is_compared_as_the_normal_distribution_has_it():
    rng = random.Random(3)
    for _ in range(200):
        means = [rng.gauss(0, 1), rng.gauss(0, 1)]
        deviations = [rng.uniform(0.05, 2), rng.uniform(0.05, 2)]
        by = sqrt(deviations[0] ** 2 + deviations[1] ** 2)
        exact = 0.5 + 0.5 * erf((means[0] - means[1]) / by / sqrt(2))

        assert shares_of_best(means, deviations)[0] == pytest.approx(exact, abs=0.02)


def test_many_are_compared_as_drawing_has_it():
    rng = random.Random(4)
    means, deviations = [0.0, 0.3, 0.5, -1.0], [1.0, 0.2, 0.01, 3.0]
    n = 20_000
    found = Counter(
        max(range(4), key=lambda each: drawn[each])
        for drawn in ([*map(rng.gauss, means, deviations)] for _ in range(n))
    )
    for number, share in enumerate(shares_of_best(means, deviations)):
        assert share == pytest.approx(found[number] / n, abs=0.02)


@pytest.mark.parametrize("made", MODELS, ids=["means", "ucb", "thompson"])
def test_the_order_in_which_arms_are_declared_makes_no_difference(made):
    model = made.clone()
    for n in range(60):
        model.learn_one({"x": float(n % 7)}, "abc"[n % 3], float(n % 5 + n % 3))
    asked = {"x": 2.0}
    _, shares = model.weigh_one(asked, ARMS)
    _, backwards = model.weigh_one(asked, ARMS[::-1])

    assert backwards == pytest.approx(shares[::-1], abs=1e-12)


def test_a_linear_model_is_the_ridge_regression_of_its_features():
    """Solved at once, of what it was told one by one; features are scaled as they were then."""
    np = pytest.importorskip("numpy")
    rng = random.Random(5)
    model = LinearRewards()
    rows, rewards = [], []
    for _ in range(200):
        x = {"u": rng.gauss(3, 2), "v": rng.expovariate(1.0)}
        reward = 5.0 + x["u"] - 2 * x["v"] + rng.gauss(0, 0.1)
        model.learn_one(x, "a", reward)
        rows.append(model._vector(x, ("u", "v")))
        rewards.append(reward)
    design, mean = np.array(rows), sum(rewards) / len(rewards)
    precision = np.eye(3) + design.T @ design
    weights = np.linalg.solve(precision, design.T @ (np.array(rewards) - mean))

    asked = model._vector({"u": 4.0, "v": 0.5}, ("u", "v"))
    estimate, variance = model.arms["a"].estimate(asked, model.mean.get())
    assert estimate == pytest.approx(mean + float(asked @ weights))
    assert variance == pytest.approx(float(asked @ np.linalg.solve(precision, asked)))
    assert model.noise.get() < 1.0
