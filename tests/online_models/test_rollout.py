"""Who gets which answer, and what a comparison of them may claim."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.assignment import BUCKETS, Rollout, bucket
from online_models.experiment import MIN_USERS, Group, effect
from online_models.registry import Registry
from online_models.sample_ratio import evidence
from schemas.deployments import Deployment
from schemas.errors import InvalidDeclaration

USERS = [f"user-{n}" for n in range(20_000)]
shares = st.floats(0, 1)
VECTORS = json.loads(Path(__file__).with_name("assignment.json").read_text(encoding="utf-8"))


def rollout(exposure: float = 0.4, split: float = 0.5, name: str = "tree") -> Rollout:
    return Rollout(name=name, candidate="m", exposure=exposure, split=split)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["user_id"]))
def test_other_languages_find_the_same_bucket(vector):
    assert bucket(vector["salt"], vector["user_id"]) == vector["bucket"]


def test_groups_are_as_large_as_they_should_be():
    counts = Counter(rollout(0.4, 0.25).variant(user) for user in USERS)

    assert counts["champion"] / len(USERS) == pytest.approx(0.6, abs=0.01)
    assert counts["candidate"] / len(USERS) == pytest.approx(0.1, abs=0.01)


@given(shares, shares, st.text(min_size=1))
def test_more_exposure_moves_nobody_who_is_in(less, more, user):
    less, more = sorted((less, more))
    before, after = rollout(less).variant(user), rollout(more).variant(user)

    assert before in ("champion", after)


def test_who_is_in_says_nothing_about_the_variant():
    few = [user for user in USERS if rollout(0.1).variant(user) != "champion"]

    assert fmean(rollout().variant(user) == "candidate" for user in few) == pytest.approx(
        0.5, abs=0.05
    )


def test_another_name_shuffles_anew():
    both = [user for user in USERS if rollout(1).variant(user) == "candidate"]
    again = fmean(rollout(1, name="forest").variant(user) == "candidate" for user in both)

    assert again == pytest.approx(0.5, abs=0.02)


def test_the_ends_of_exposure():
    assert {rollout(0).variant(user) for user in USERS} == {"champion"}
    assert {rollout(1).variant(user) for user in USERS} == {"control", "candidate"}
    assert BUCKETS > max(bucket("s", user) for user in USERS) > BUCKETS - 10


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"exposure": 1.1}, "exposure"), ({"split": 0}, "split"), ({"name": ""}, "name")],
)
def test_a_rollout_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(InvalidDeclaration, match=said):
        rollout(**wrong)


def looks(chance, n_users=3_000, lift=0.0, every=100):
    """An experiment that somebody looks at again and again."""
    groups: dict[bool, tuple[list[float], list[int]]] = {True: ([], []), False: ([], [])}
    for n in range(n_users):
        is_candidate = chance.random() < 0.5
        sums, counts = groups[is_candidate]
        # Users differ, and have several outcomes that resemble each other.
        count, rate = chance.randint(1, 9), chance.betavariate(1, 3) + lift * is_candidate
        sums.append(sum(chance.random() < rate for _ in range(count)))
        counts.append(count)
        if n % every == every - 1:
            yield effect(Group(*groups[False]), Group(*groups[True]))


def test_looking_again_and_again_finds_nothing_where_nothing_is():
    n_wrong = sum(any(each.is_sure for each in looks(random.Random(seed))) for seed in range(100))

    assert n_wrong <= 5


def test_a_difference_is_found_and_is_in_the_interval():
    last = [[*looks(random.Random(seed), lift=0.1)][-1] for seed in range(20)]

    assert all(each.is_sure for each in last)
    assert sum(each.low <= 0.1 <= each.high for each in last) >= 19


def test_outcomes_of_one_user_are_no_evidence_of_many():
    """A user with a thousand outcomes weighs in the mean, and in its uncertainty."""
    chance = random.Random(3)
    sums, counts = [], []
    for _ in range(200):
        count = chance.choice([1, 1_000])
        counts.append(count)
        sums.append(count * (chance.random() < 0.3))
    found = effect(Group(sums, counts), Group(sums[::-1], counts[::-1]))

    assert found.high - found.low > 0.2
    assert found.difference == pytest.approx(0)


def test_few_users_say_nothing():
    few = Group([1] * (MIN_USERS - 1), [1] * (MIN_USERS - 1))
    none = Group([0] * 100, [1] * 100)

    assert not effect(few, none).is_sure
    assert not effect(none, Group([], [])).is_sure


def test_a_ratio_as_planned_is_never_suspected_and_a_wrong_one_soon_is():
    n_wrong = 0
    found_after = []
    for seed in range(200):
        chance = random.Random(seed)
        for share in (0.5, 0.6):
            counts = [0, 0]
            for n in range(3_000):
                counts[chance.random() < share] += 1
                if n % 10 == 0 and evidence(counts, [0.5, 0.5]) >= 3:
                    if share == 0.5:
                        n_wrong += 1
                    else:
                        found_after.append(n)
                    break

    assert n_wrong <= 2  # of 200 experiments, at one in a thousand
    assert len(found_after) == 200
    assert fmean(found_after) < 1_500


def about_a_rollout(kind: str, by: str, expects: int = -1, **fields: object) -> Deployment:
    known = {"use_case": "intent", "model": "tree", "at": 0, "rollout": "tree-2026"}
    return msgspec.convert(
        {**known, "kind": kind, "by": by, "expects": expects, **fields}, Deployment
    )


@pytest.mark.parametrize(
    "faster",
    [about_a_rollout("stopped", "ada", 6), about_a_rollout("stepped", "ada", 6, exposure=0.0)],
)
def test_who_was_told_that_a_rollout_is_over_is_not_overruled_by_a_gate(faster):
    """The gate had read the log up to the step that somebody took back."""
    registry = Registry("intent").fold(about_a_rollout("stepped", "learn", exposure=0.5), 6)
    registry = registry.fold(faster, 7)
    promoted = about_a_rollout("promoted", "learn", 6, replaces="logistic")

    refusal = registry.refusal(promoted)
    assert refusal is not None
    assert "ada" in refusal.reason
    assert registry.fold(promoted, 8).champion != "tree"


def test_a_name_belongs_to_one_candidate():
    """What was decided about one says nothing of another."""
    declared = Rollout(name="tree-2026", candidate="tree", exposure=0.0, steps=(0.5,))
    registry = Registry("intent").fold(about_a_rollout("stepped", "learn", exposure=0.5), 6)

    now = registry.rollouts.now(declared, champion="logistic")
    assert now is not None
    assert now.exposure == 0.5
    other = replace(declared, candidate="ftrl")
    assert registry.rollouts.now(other, champion="logistic") is None
