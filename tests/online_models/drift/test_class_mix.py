import random
from collections.abc import Sequence
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.drift import RunLength, TwinDrift
from online_models.drift.class_mix import MOST_CLASSES, ClassMix

NAMES = [f"c{n}" for n in range(200)]


@pytest.mark.parametrize(
    "shares",
    [
        *((1, 1, 1, 1), (0.6, 0.3, 0.08, 0.02), (0.9, *[0.01] * 10)),
        # Those that are told apart seem to come more often than they do: they were the luckiest.
        *([1] * 12, [1] * 100, [1 / n for n in range(1, 200)]),
    ],
)
def test_the_promise_holds_whatever_the_shares_are(shares: Sequence[float]) -> None:
    rng, mix = random.Random(3), ClassMix(RunLength.scores(1_000), warmup=100)
    named = rng.choices(NAMES[: len(shares)], shares, k=20_000)
    n_alarms = sum(mix.update(name, n) is not None for n, name in enumerate(named))

    assert n_alarms <= 28  # 20 are allowed: more have a probability below 4 %


def test_a_class_that_comes_more_often_is_named_with_its_shares_and_its_onset() -> None:
    found = []
    for seed in range(11):
        rng, mix = random.Random(seed), ClassMix(RunLength.scores(30_000), warmup=100)
        for n, name in enumerate(rng.choices("abc", (0.6, 0.3, 0.1), k=1_000)):
            assert mix.update(name, n) is None
        for n, name in enumerate(rng.choices("abc", (0.3, 0.3, 0.4), k=150), 1_000):
            if (moved := mix.update(name, n)) is not None:
                found.append(moved)
                break

    assert [name for name, _ in found] == ["c"] * 11
    assert abs(median(alarm.onset_ms for _, alarm in found) - 1_000) < 20
    assert all(alarm.reference == pytest.approx(0.1, abs=0.04) for _, alarm in found)
    assert median(alarm.value for _, alarm in found) > 0.3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), at=st.integers(0, 500))
def test_a_decoded_mix_goes_on_where_the_encoded_one_was(seed: int, at: int) -> None:
    rng, budget = random.Random(seed), RunLength.scores(500)
    named = [*rng.choices("abc", k=300), *rng.choices("abc", (8, 1, 1), k=200)]
    whole, first = (ClassMix(budget, warmup=50) for _ in range(2))
    expected = [whole.update(name, n) for n, name in enumerate(named)]
    early = [first.update(name, n) for n, name in enumerate(named[:at])]
    second = ClassMix.decode(first.encode(), budget, warmup=50)

    assert early + [second.update(name, n) for n, name in enumerate(named[at:], at)] == expected
    assert second.encode() == whole.encode()


def test_a_class_that_never_came_before_moved_far() -> None:
    mix = ClassMix(RunLength.scores(10_000), warmup=100)
    named = ["rose"] * 500 + ["iris"] * 100
    (name, alarm), *_ = (found for n, each in enumerate(named) if (found := mix.update(each, n)))

    assert (name, alarm.reference, alarm.value) == ("", 0.0, 1.0)
    assert alarm.severity > 10


def test_its_state_does_not_grow_with_the_classes() -> None:
    rng, mix = random.Random(1), ClassMix(RunLength.scores(1e12), warmup=100)
    for n in range(3_000):
        mix.update(f"class {rng.randrange(1_000)}", n)

    assert len(mix.encode()) < 100 * (MOST_CLASSES + 1)


def test_a_twin_that_tells_classes_apart_raises_the_alarm_as_the_worlds() -> None:
    rng, drift = (
        random.Random(5),
        TwinDrift(RunLength.scores(10_000), warmup_scores=100, of_classes=True),
    )
    alarms = []
    for n in range(1_400):
        score, often = 0.5 + 0.5 * rng.random(), 0.7 if n < 1_000 else 0.2
        of_class = "rose" if rng.random() < often else "iris"
        alarm = drift.update(score, None, at_ms=n, of_class=of_class)
        alarms += [] if alarm is None else [(n, alarm)]
        if n == 1_010:
            parts = drift.encode()
            drift = TwinDrift.decode(
                *parts, RunLength.scores(10_000), warmup_scores=100, of_classes=True
            )

    (n, alarm), *_ = alarms
    assert n >= 1_000
    assert (alarm.alarm.signal, alarm.moved, alarm.of_class) == ("class_mix", "world", "iris")
