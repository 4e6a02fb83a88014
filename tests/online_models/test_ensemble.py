"""Models that answer together: who was better of late has more to say."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.ensemble import Ensemble, EnsembleScorer
from online_models.gateway import check_routes, route
from schemas.errors import InvalidDeclaration

losses = st.lists(st.floats(0, 5), min_size=2, max_size=5)
scores = st.floats(0.001, 0.999)


class Fixed:
    """A member that says the same of all events, or why it cannot."""

    def __init__(self, score: float, reason: str | None = None, n_learned: int = 7) -> None:
        self.n_learned = n_learned
        self.degraded_reason = reason
        self._score = score

    def score(self, features: dict[str, float]) -> float:
        return self._score


def ensemble_of(n: int, temperature: float = 0.02) -> Ensemble:
    return Ensemble(members=tuple(map(str, range(n))), temperature=temperature)


@given(losses, st.floats(0.001, 1))
def test_weights_are_shares_and_follow_the_losses(found, temperature):
    named = {str(n): loss for n, loss in enumerate(found)}
    weights = ensemble_of(len(found), temperature).weights(named)

    assert math.fsum(weights.values()) == pytest.approx(1)
    for (one, less), (other, more) in permutations(named.items(), 2):
        assert less >= more or weights[one] >= weights[other]


def test_who_was_not_judged_yet_has_nothing_to_say_unless_nobody_was():
    nan = math.nan

    assert ensemble_of(2).weights({"0": 0.3, "1": nan}) == {"0": 1.0, "1": 0.0}
    assert ensemble_of(2).weights({"0": nan, "1": nan}) == {"0": 0.5, "1": 0.5}


@given(st.lists(st.tuples(st.floats(0.01, 1), scores), min_size=2, max_size=5), st.booleans())
def test_together_they_are_never_worse_than_on_average(members, label):
    def loss(p):
        return -math.log(p if label else 1 - p)

    whole = sum(weight for weight, _ in members)
    together = EnsembleScorer([(weight, Fixed(p)) for weight, p in members]).score({})
    average = sum(weight * loss(p) for weight, p in members) / whole

    assert min(p for _, p in members) - 1e-9 <= together <= max(p for _, p in members) + 1e-9
    assert loss(together) <= average + 1e-9


def test_who_cannot_answer_is_left_out_and_if_nobody_can_the_first_says_why():
    broken, other = Fixed(0.1, "model_failed"), Fixed(0.2, "model_untrained")
    some = EnsembleScorer([(0.9, broken), (0.1, Fixed(0.6))])
    none = EnsembleScorer([(0.5, broken), (0.5, other)])

    assert (some.score({}), some.degraded_reason) == (0.6, None)
    assert (none.score({}), none.degraded_reason) == (0.1, "model_failed")


def test_members_without_weight_answer_where_nobody_else_can():
    """A model's own answer, untried as it is, is better than the base rate of one that failed."""
    failed = (1.0, Fixed(0.1, "model_failed"))
    left = EnsembleScorer([(0.0, Fixed(0.3)), failed, (0.0, Fixed(0.5))])
    weighed = EnsembleScorer([(0.0, Fixed(0.3)), (0.5, Fixed(0.9)), failed])

    assert (left.score({}), left.degraded_reason) == (0.4, None)
    assert (weighed.score({}), weighed.degraded_reason) == (0.9, None)


@pytest.mark.parametrize("members", [(), ("a",), ("a", "a"), ("a", "b", "a")])
def test_an_ensemble_has_different_members(members):
    with pytest.raises(InvalidDeclaration, match="different members"):
        Ensemble(members=members)


def test_temperature_is_above_zero():
    with pytest.raises(InvalidDeclaration, match="temperature"):
        ensemble_of(2, 0.0)


def test_a_route_says_something_about_a_feature_that_there_is():
    with pytest.raises(InvalidDeclaration, match="say when it holds"):
        route("platform", to="tree")
    with pytest.raises(InvalidDeclaration, match="`platform`, which is no feature"):
        check_routes([route("platform", above=0, to="tree")], ["clicks"])
