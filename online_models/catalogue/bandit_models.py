"""Models that choose among arms, and learn what the chosen one was worth."""

from typing import Final

from online_models.arm_models import ArmModel, LinearRewards, MeanRewards
from online_models.catalogue.recipe import Recipe


def _bandit_epsilon_greedy_v1() -> ArmModel:
    # One question in ten is answered by chance: it finds out for ever, at a price that is known.
    return MeanRewards(explore=0.1)


def _bandit_linucb_v1() -> ArmModel:
    # Li et al. 2010. Of itself it leaves nothing to chance; one question in twenty makes what it
    # chose comparable.
    return LinearRewards("ucb", explore=0.05, width=1.0)


def _bandit_thompson_v1() -> ArmModel:
    # Agrawal & Goyal 2013. Chance is its own; one in fifty bounds what a rare choice weighs.
    return LinearRewards("thompson", explore=0.02)


RECIPES: Final = {
    "bandit_epsilon_greedy_v1": Recipe(_bandit_epsilon_greedy_v1),
    "bandit_linucb_v1": Recipe(_bandit_linucb_v1),
    "bandit_thompson_v1": Recipe(_bandit_thompson_v1),
}
