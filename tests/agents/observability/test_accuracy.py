"""Accuracy levels: real drops are told, chance and flapping are not."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.observability.accuracy import (
    DROPS,
    LEVELS,
    MIN_PER_LABEL,
    AccuracyWatch,
    LevelChange,
    Reading,
    roc_auc_error,
)
from schemas.alerts import Level

Outcomes = tuple[NDArray[np.bool_], NDArray[np.float64]]
"""Labels and scores."""

WINDOW = 1_000
STEP = 100


def roc_auc(label: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The share of pairs in the right order, by the rank sum."""
    ranks = np.empty(score.size)
    ranks[score.argsort()] = np.arange(1, score.size + 1)
    positives = int(label.sum())
    pairs = positives * (score.size - positives)
    return float(ranks[label].sum() - positives * (positives + 1) / 2) / pairs


def feed(watch: AccuracyWatch, values: list[float], start: int = WINDOW) -> list[LevelChange]:
    readings = [
        Reading(value, WINDOW // 2, WINDOW // 2, start + STEP * step)
        for step, value in enumerate(values, 1)
    ]
    return [change for reading in readings if (change := watch.update(reading)) is not None]


@given(values=st.lists(st.floats(0.3, 1.0), max_size=60))
def test_the_best_is_the_highest_minimum_over_a_whole_window(values: list[float]) -> None:
    watch = AccuracyWatch(design_effect=1.0)
    feed(watch, values)

    per_window = WINDOW // STEP
    minima = [min(values[i - per_window + 1 : i + 1]) for i in range(per_window, len(values))]
    assert watch.best == (max(minima) if minima else None)


@given(values=st.lists(st.floats(0.3, 1.0), max_size=60))
def test_changes_form_a_chain_and_only_tell_what_the_bound_allows(values: list[float]) -> None:
    changes = feed(AccuracyWatch(design_effect=1.0), values)

    assert all(one.level == two.before for one, two in pairwise(changes))
    for change in changes:
        assert change.level != change.before
        if LEVELS.index(change.level) > LEVELS.index(change.before):
            assert change.upper < change.threshold < change.best
        else:
            assert change.roc_auc >= change.threshold


def test_a_deep_drop_goes_to_critical_and_a_recovery_back_to_normal() -> None:
    changes = feed(
        AccuracyWatch(design_effect=1.0), [0.9] * 20 + [0.83] * 5 + [0.7] * 5 + [0.9] * 5
    )

    assert [change.level for change in changes] == ["critical", "normal"]


def test_a_moderate_drop_is_a_warning() -> None:
    changes = feed(AccuracyWatch(design_effect=1.0), [0.9] * 20 + [0.81] * 5)

    assert [change.level for change in changes] == ["warning"]


def test_a_value_around_the_line_does_not_flap() -> None:
    line = 0.9 * (1 - DROPS["warning"])
    changes = feed(
        AccuracyWatch(design_effect=1.0), [0.9] * 20 + [0.8] + [line - 0.02, line + 0.02] * 20
    )

    assert [change.level for change in changes] == ["warning"]


def test_a_drop_on_few_labels_is_noise() -> None:
    watch = AccuracyWatch(design_effect=1.0)
    feed(watch, [0.8] * 20)

    assert watch.update(Reading(0.70, 33, 33, 10_000)) is None
    assert watch.update(Reading(0.10, MIN_PER_LABEL - 1, 900, 10_100)) is None
    assert watch.update(Reading(0.70, 500, 500, 10_200)) is not None


def test_a_model_that_begins_anew_is_held_against_its_own_best() -> None:
    watch = AccuracyWatch(design_effect=1.0)
    feed(watch, [0.9] * 20)
    assert watch.update(Reading(0.5, 500, 500, 10)) is None
    assert watch.best is None

    changes = feed(watch, [0.7] * 20 + [0.5] * 20)
    assert watch.best == pytest.approx(0.7)
    assert changes[-1].level == "critical"


def test_a_reading_without_a_new_outcome_changes_nothing() -> None:
    watch = AccuracyWatch(design_effect=1.0)
    feed(watch, [0.8] * 20)
    evaluated = WINDOW + 20 * STEP

    assert watch.update(Reading(0.5, 500, 500, evaluated)) is None
    assert watch.level == "normal"


def test_the_standard_error_is_what_repetition_shows() -> None:
    """Exponential scores are what Hanley and McNeil derived the formula for."""
    rng = np.random.default_rng(7)
    positives, negatives, rate = 60, 240, 3.0
    truth = np.array([True] * positives + [False] * negatives)
    aucs = [
        roc_auc(
            truth,
            np.concatenate([rng.exponential(rate, positives), rng.exponential(1.0, negatives)]),
        )
        for _ in range(2_000)
    ]

    expected = roc_auc_error(rate / (1 + rate), positives, negatives)
    assert np.std(aucs) == pytest.approx(expected, rel=0.1)


def visits(rng: np.random.Generator, n_outcomes: int, roc_auc_shift: float) -> Outcomes:
    """Outcomes of visits of five events each, which share their label and half of their score."""
    n_visits = n_outcomes // 5
    label = rng.random(n_visits) < 0.1
    visit = rng.normal(size=n_visits) + roc_auc_shift * label
    score = np.repeat(visit, 5) + rng.normal(size=5 * n_visits)
    return np.repeat(label, 5), score


def levels(outcomes: Outcomes) -> set[Level]:
    label, score = outcomes
    watch = AccuracyWatch()
    seen: set[Level] = set()
    for end in range(WINDOW, label.size + 1, STEP):
        window = slice(end - WINDOW, end)
        positives = int(label[window].sum())
        auc = roc_auc(label[window], score[window])
        watch.update(Reading(auc, positives, WINDOW - positives, end))
        seen.add(watch.level)
    return seen


def test_a_model_that_holds_still_is_hardly_ever_called_worse() -> None:
    """40 streams of 50 windows each: less than one alarm in 250 windows."""
    rng = np.random.default_rng(11)
    alarmed = [levels(visits(rng, 50 * WINDOW, 1.5)) != {"normal"} for _ in range(40)]

    assert sum(alarmed) <= 8


def test_a_model_that_stops_to_know_anything_is_nearly_always_called_worse() -> None:
    rng = np.random.default_rng(12)
    noticed = []
    for _ in range(40):
        before, after = visits(rng, 20 * WINDOW, 1.5), visits(rng, 5 * WINDOW, 0.0)
        label, score = (np.concatenate(both) for both in zip(before, after, strict=True))
        noticed.append(levels((label, score)) != {"normal"})

    assert sum(noticed) >= 36
