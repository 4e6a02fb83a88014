"""Did the model move, or the world? A model that learns, its frozen twin, and planted changes."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models import catalogue, pickling
from online_models.drift import RunLength, TwinAlarm, TwinDrift
from online_models.drift.moments import Moments
from online_models.drift.segments import SegmentSums
from online_models.drift.twin_drift import N_RECENT
from online_models.scorer import Scorer

BUDGET = RunLength.scores(10_000)
STEADY, AFTER = 300, 450
N_SEEDS = 20


def new_drift() -> TwinDrift:
    return TwinDrift(BUDGET, warmup_scores=100)


class Shop:
    """Visits whose outcomes a model learns, before its twin was pinned and after."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.shift, self.is_flipped = 0.0, False
        self.model = catalogue.make("binary_ftrl_v1")
        self.learn(1_000)
        self.twin, self.champion = self.frozen(), self.frozen()

    def frozen(self) -> Scorer:
        return Scorer(pickling.copy(self.model), n_learned=1_000)

    def features(self) -> dict[str, float]:
        a, b, c = (self.rng.gauss(0, 1) for _ in range(3))
        return {"a": a + self.shift, "b": b, "c": c}

    def learn(self, n: int) -> None:
        for _ in range(n):
            x = self.features()
            p = 1 / (1 + math.exp(0.8 - x["a"] + 0.7 * x["b"] - 0.5 * x["c"]))
            self.model.learn_one(x, (self.rng.random() < p) != self.is_flipped)  # type: ignore[arg-type]

    def visits(self, drift: TwinDrift, n: int) -> list[TwinAlarm]:
        found = []
        for i in range(n):
            x = self.features()
            alarm = drift.update(self.twin.score(x), self.champion.score(x), at_ms=i)
            if alarm is not None:
                found.append(alarm)
            self.learn(2)
            if i % 10 == 0:
                self.champion = self.frozen()
        return found


def first_verdicts(*, shift: float = 0.0, is_flipped: bool = False) -> Counter[str]:
    """Count what the first alarm after a change says, and 'none' where there is none."""
    found: Counter[str] = Counter()
    for seed in range(N_SEEDS):
        shop, drift = Shop(seed), new_drift()
        shop.visits(drift, STEADY)
        shop.shift, shop.is_flipped = shift, is_flipped
        alarms = shop.visits(drift, AFTER)
        told = [alarm for alarm in alarms if alarm.is_of_twin or not shift]
        found[told[0].moved if told else "none"] += 1
    return found


def test_inputs_that_move_are_the_worlds_doing() -> None:
    """Though the model goes on learning, and follows them."""
    assert first_verdicts(shift=1.0)["world"] >= 0.95 * N_SEEDS


def test_labels_that_turn_round_while_inputs_stay_move_the_model() -> None:
    assert first_verdicts(is_flipped=True)["model"] >= 0.95 * N_SEEDS


def test_a_twin_keeps_its_promise_however_the_model_beside_it_moves() -> None:
    rng, drift, n = random.Random(3), new_drift(), 0
    for i in range(20_000):
        score = rng.betavariate(2, 5)
        alarm = drift.update(score, min(1.0, score * (1 + i / 10_000)), at_ms=i)
        n += alarm is not None and alarm.is_of_twin

    assert n <= 5  # 2 expected: more have a probability below 2 %


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), at=st.integers(0, 700), with_own=st.floats(0, 1))
def test_decoded_detectors_go_on_where_the_encoded_ones_were(seed, at, with_own):
    rng = random.Random(seed)
    visits = [
        (
            score := rng.betavariate(2, 5) ** (1 if n < 400 else 2),
            score + 0.1 * rng.random() * (n > 350) if rng.random() <= with_own else None,
            (rng.randrange(3),),
        )
        for n in range(700)
    ]

    def told(drift: TwinDrift, first: int, end: int) -> list[TwinAlarm | None]:
        return [
            drift.update(score, own, at_ms=n, segments=segments, names="abc")
            for n, (score, own, segments) in enumerate(visits[first:end], first)
        ]

    uninterrupted, first = new_drift(), new_drift()
    expected = told(uninterrupted, 0, 700)
    early = told(first, 0, at)
    second = TwinDrift.decode(*first.encode(), BUDGET, warmup_scores=100)

    assert early + told(second, at, 700) == expected
    assert second.encode() == uninterrupted.encode()


def test_what_is_stored_beside_a_detector_is_bounded() -> None:
    rng, drift, sizes = random.Random(1), TwinDrift(RunLength.scores(1e12), warmup_scores=100), []
    for n in range(3_000):
        score = rng.random()
        segments = (rng.randrange(4), 4 + rng.randrange(4), 8 + rng.randrange(6))
        drift.update(score, score / 2, at_ms=n, segments=segments)
        if n % 500 == 499:
            sizes.append(sum(map(len, drift.encode())))

    assert max(sizes) < 16_000


@pytest.mark.parametrize("what", ["score", "share"])
def test_the_segment_that_moved_is_named(what: str) -> None:
    """One of two fields has a value whose scores, or whose visits, are others."""
    rng, sums, visits = random.Random(7), SegmentSums(), []
    for n in range(1_060):
        is_after = n >= 1_000
        share = 0.8 if what == "share" and is_after else 0.3
        mobile = rng.random() < share
        score = rng.betavariate(2, 5)
        if what == "score" and is_after and mobile:
            score = rng.betavariate(5, 2)
        visits.append((score, (0 if mobile else 1, 2 + rng.randrange(3))))
        sums.add(*visits[-1])
    found = sums.moved(visits[-60:], ("p=mobile", "p=other", "c=x", "c=y", "c=other"))

    assert found is not None
    assert (found.segment in ("p=mobile", "p=other"), found.moved) == (True, what)
    if what == "score":
        assert found.segment == "p=mobile"
    assert abs(found.z) > 4


def test_no_segment_is_named_where_none_moved() -> None:
    n_named = 0
    for seed in range(100):
        rng, sums = random.Random(seed), SegmentSums()
        visits = [
            (rng.betavariate(2, 5), (rng.randrange(3), 3 + rng.randrange(3))) for _ in range(600)
        ]
        for visit in visits:
            sums.add(*visit)
        n_named += sums.moved(visits[-50:], "abcdef") is not None

    assert n_named <= 5


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=60), st.integers(1, 2))
def test_moments_without_the_latest_are_those_of_the_rest(numbers, n_latest):
    rest, latest = numbers[:-n_latest], numbers[-n_latest:]
    found, expected = Moments.of(numbers).without(latest), Moments.of(rest)

    assert (found.n, found.total, found.squares) == pytest.approx(
        (expected.n, expected.total, expected.squares), abs=1e-9
    )
    assert Moments.of(rest).moved(rest) == 0.0


def test_an_alarm_of_the_model_waits_until_its_twin_had_the_time_to_see() -> None:
    drift = new_drift()
    steady = [0.1 + 0.8 * (i * 0.618034 % 1.0) for i in range(800)]
    for n, score in enumerate(steady):
        assert drift.update(score, score, at_ms=n) is None
    told = [n for n, score in enumerate(steady) if drift.update(score, 1 - score, at_ms=n)]

    assert N_RECENT <= told[0] + 1 < N_RECENT + 10
