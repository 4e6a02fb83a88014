"""Evidence keeps its promise on false alarms, for numbers that come in groups too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.change_evidence import ChangeEvidence

numbers = st.lists(st.floats(-1.0, 1.0), max_size=80)


@pytest.mark.parametrize("group", [1, 5, 25])
def test_it_is_reached_by_chance_no_more_often_than_promised(group: int) -> None:
    """Of n numbers without a mean, with a probability of at most n / threshold."""
    rng, n, threshold, n_runs = np.random.default_rng(3), 50, 200.0, 400
    reached = 0
    for _ in range(n_runs):
        evidence = ChangeEvidence()
        drawn = np.repeat(rng.choice([-0.25, 1.0], p=[0.8, 0.2], size=n // group), group)
        for at, x in enumerate(drawn.tolist()):
            evidence.update(x, at, share=1 / group)
            if evidence.reaches(threshold):
                reached += 1
                break

    assert reached / n_runs <= n / threshold


def test_what_is_not_counted_in_part_is_believed_too_soon() -> None:
    """The plant to the law above: groups taken for single numbers break the promise."""
    rng, reached = np.random.default_rng(3), 0
    for _ in range(400):
        evidence = ChangeEvidence()
        drawn = np.repeat(rng.choice([-0.25, 1.0], p=[0.8, 0.2], size=2), 25)
        for at, x in enumerate(drawn.tolist()):
            evidence.update(x, at)
            if evidence.reaches(200.0):
                reached += 1
                break

    assert reached / 400 > 50 / 200.0


@given(numbers)
def test_what_it_rests_on_is_the_mean_since_the_onset(drawn: list[float]) -> None:
    evidence = ChangeEvidence()
    for at, x in enumerate(drawn):
        evidence.update(x, at)

    since = drawn[len(drawn) - evidence.n :]
    assert evidence.log >= 0.0 or evidence.n == 0
    assert evidence.mean == pytest.approx(sum(since) / len(since) if since else 0.0)
    assert evidence.since == (len(drawn) - evidence.n if since else -1)


@given(numbers)
def test_enough_evidence_is_of_numbers_above_0(drawn: list[float]) -> None:
    evidence = ChangeEvidence()
    for at, x in enumerate([*drawn, *[0.5] * 40]):
        evidence.update(x, at)
        if evidence.reaches(100.0):
            assert evidence.mean > 0.0 or evidence.n > len(drawn)

    assert evidence.reaches(100.0)


def test_what_was_sure_is_given_up_as_soon_as_it_is_not_so_any_more() -> None:
    evidence = ChangeEvidence()
    for at in range(10_000):
        evidence.update(0.5, at)
    for at in range(100):
        evidence.update(-0.5, at)

    assert not evidence.reaches(100.0)
