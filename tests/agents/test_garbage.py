"""When full collections run: seldom, and while there is nothing else to do."""

import gc
from collections.abc import Iterator

import pytest

from agents import garbage
from agents.garbage import FULL_AT_LAST_S, FULL_EVERY_S, GarbagePolicy
from agents.observability import metric_list
from agents.observability.instruments import Histogram


class Collections:
    """Stands for `gc` and `time`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.n = 0

    def monotonic(self) -> float:
        return self.now

    def collect(self) -> None:
        self.n += 1


@pytest.fixture
def collections(monkeypatch: pytest.MonkeyPatch) -> Collections:
    fake = Collections()
    monkeypatch.setattr(garbage, "time", fake)
    monkeypatch.setattr(garbage, "gc", fake)
    return fake


@pytest.fixture
def collector() -> Iterator[None]:
    """Python's collector, put back as it was."""
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks


@pytest.mark.parametrize(
    ("waited_s", "idle", "collects"),
    [
        (FULL_EVERY_S, True, False),
        (FULL_EVERY_S + 1, True, True),
        (FULL_EVERY_S + 1, False, False),
        (FULL_AT_LAST_S, False, False),
        (FULL_AT_LAST_S + 1, False, True),
    ],
)
def test_a_full_collection_waits_for_a_quiet_time_but_not_for_ever(
    collections: Collections, waited_s: float, idle: bool, collects: bool
) -> None:
    policy = GarbagePolicy(Histogram(metric_list.GC_PAUSE_SECONDS))
    collections.now += waited_s
    policy.collect_if_due(idle=idle)
    assert collections.n == collects


def test_a_collection_starts_the_wait_for_the_next(collections: Collections) -> None:
    policy = GarbagePolicy(Histogram(metric_list.GC_PAUSE_SECONDS))
    for _ in range(10):
        collections.now += FULL_EVERY_S * 0.6
        policy.collect_if_due(idle=True)

    assert collections.n == 5


@pytest.mark.usefixtures("collector")
def test_what_the_start_made_is_frozen_and_every_pause_is_measured() -> None:
    pauses = Histogram(metric_list.GC_PAUSE_SECONDS)
    GarbagePolicy(pauses).begin()
    assert gc.get_freeze_count() > 1_000
    gc.collect()
    gc.collect(0)

    assert pauses.cumulative()[-1] == 2
    assert 0 < pauses.sum < 10
