"""Levels of accuracy: real falls are told, chance and flapping are not."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.levels.streams import Stream, visits
from online_models.accuracy import BLOCK, DROPS, KEPT, MIN_KEPT, AccuracyWatch, LevelChange
from online_models.levels import LEVELS, is_worse

labelled = st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.0)), min_size=1, max_size=200)


def outcomes(stream: Stream) -> Iterator[tuple[bool, float]]:
    return zip(stream.labels.tolist(), stream.scores.tolist(), strict=True)


def changes(stream: Stream, watch: AccuracyWatch | None = None) -> list[LevelChange]:
    watch = watch or AccuracyWatch()
    found = []
    level = watch.level
    for at, (label, score) in enumerate(outcomes(stream)):
        watch.update(label, score, at)
        if watch.level != level and watch.changed is not None:
            level = watch.level
            found.append(watch.changed)
    return found


def fall(seed: int, *aucs: float, n: int = 12_000) -> Stream:
    rng = np.random.default_rng(seed)
    first, *others = (visits(rng, n, each) for each in aucs)
    for other in others:
        first = first.then(other)
    return first


def test_a_model_that_holds_still_is_hardly_ever_called_worse() -> None:
    false = [change for seed in range(10) for change in changes(fall(seed, 0.78, n=30_000))]

    assert len(false) <= 2  # in 300,000 outcomes


@pytest.mark.parametrize(("to", "within"), [(0.5, 4_000), (0.22, 1_500)])
def test_a_model_without_knowledge_is_soon_critical(to: float, within: int) -> None:
    for seed in range(4):
        entered = {each.level: each for each in changes(fall(seed, 0.78, to))}

        assert entered["critical"].value < entered["critical"].threshold
        assert 10_000 < entered["critical"].since < 12_500
        assert entered["critical"].n * 10 < within * 1.5  # one in ten is a positive


def test_a_model_that_was_hardly_better_than_chance_is_told_of_too() -> None:
    """Relative to the ROC AUC, noise is no 15 % below .62; relative to what it knew it is all."""
    levels = {each.level for each in changes(fall(1, 0.62, 0.5, n=30_000))}

    assert "critical" in levels


def test_it_goes_through_warning_to_critical_and_back() -> None:
    found = changes(fall(2, 0.8, 0.72, 0.5, 0.8, n=20_000))

    assert [each.level for each in found] == ["warning", "critical", "warning", "normal"]
    assert [each.before for each in found] == ["normal", *(each.level for each in found[:-1])]


@given(labelled)
def test_changes_form_a_chain_and_rest_on_what_they_say(drawn: list[tuple[bool, float]]) -> None:
    watch, found, level = AccuracyWatch(best=0.9), list[LevelChange](), "normal"
    for at, (label, score) in enumerate([*drawn, *[(False, 0.5)] * 30, *drawn] * 3):
        watch.update(label, score, at)
        if watch.level != level:
            assert watch.changed is not None
            found.append(watch.changed)
            level = watch.level

    assert all(one.level == two.before for one, two in pairwise(found))
    for change in found:
        if is_worse(change.level, than=change.before):
            assert change.value < change.threshold < change.best
        else:
            assert change.value > change.threshold


@given(labelled)
def test_a_positive_is_held_against_the_negatives_before_it(
    drawn: list[tuple[bool, float]],
) -> None:
    watch, negatives = AccuracyWatch(), list[float]()
    for at, (label, score) in enumerate([*drawn, *[(False, 0.5)] * KEPT, *drawn]):
        watch.update(label, score, at)
        latest = negatives[-KEPT:]
        if not label:
            negatives.append(score)
        elif len(latest) >= MIN_KEPT:
            below = sum(each < score for each in latest)
            alike = sum(each == score for each in latest)
            assert watch.latest == pytest.approx((below + alike / 2) / len(latest))


@settings(max_examples=10)
@given(st.integers(0, 6_000))
def test_one_that_is_read_back_goes_on_alike(at: int) -> None:
    stream = fall(5, 0.8, 0.4, n=3_000)
    watch = AccuracyWatch(best=0.8)
    read_back = watch
    for n, (label, score) in enumerate(outcomes(stream)):
        if n == at:
            encoded = msgspec.msgpack.encode(watch)
            read_back = msgspec.msgpack.decode(encoded, type=AccuracyWatch)
            assert len(encoded) < 4_000
        watch.update(label, score, n)
        if read_back is not watch:
            read_back.update(label, score, n)

    assert read_back == watch


def test_before_a_block_of_positives_no_model_is_called_worse() -> None:
    watch = AccuracyWatch()
    for at in range(BLOCK - 1):
        watch.update(False, 0.5, at)
        watch.update(True, 0.0, at)

    assert (watch.best, watch.level) == (None, "normal")


def test_of_classes_it_is_the_share_of_right_answers() -> None:
    watch = AccuracyWatch(chance=0.0)
    levels = []
    for at in range(3_000):
        watch.hold(float(at % (5 if at < 2_000 else 2) != 0), at)
        levels.append(watch.level)

    assert (levels[1_999], levels[-1]) == ("normal", "critical")
    assert watch.best == pytest.approx(0.8, abs=0.05)
    best = watch.best or 0.0
    assert watch.lines() == pytest.approx([best * (1 - drop) for drop in DROPS.values()])
    assert tuple(DROPS) == LEVELS[1:]
