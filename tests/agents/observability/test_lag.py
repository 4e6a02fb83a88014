"""Lag in one partition, against a reference that remembers everything."""

from hypothesis import given
from hypothesis import strategies as st

from agents.observability.lag import HISTORY, Lag, PartitionLag

SECOND = 1_000

# Steps of (records published, records committed), one a second.
steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=60)


@given(steps=steps)
def test_lag_is_the_time_since_the_end_first_passed_the_committed_offset(
    steps: list[tuple[int, int]],
) -> None:
    lag, end, committed = PartitionLag(), 0, 0
    ends: list[int] = []
    for second, (published, consumed) in enumerate(steps):
        end += published
        committed = min(end, committed + consumed)
        ends.append(end)

        told = lag.observe(second * SECOND, committed, end)

        since = next((s for s, seen in enumerate(ends) if seen > committed), second)
        assert told == Lag(end - committed, second - since)


@given(steps=steps)
def test_a_group_that_has_committed_everything_has_no_lag(steps: list[tuple[int, int]]) -> None:
    lag, end = PartitionLag(), 0
    for second, (published, _) in enumerate(steps):
        end += published

        assert lag.observe(second * SECOND, end, end) == Lag(0, 0.0)
        assert not lag.wants_look


def test_only_a_lag_that_stands_still_is_looked_at_and_only_once() -> None:
    lag = PartitionLag()
    wanted = []
    for second, (committed, end) in enumerate([(3, 5), (4, 6), (4, 6), (4, 6), (4, 6), (5, 6)]):
        lag.observe(second * SECOND, committed, end)
        wanted.append(lag.wants_look)
        if lag.wants_look:
            lag.found(published_ms=0)

    assert wanted == [False, False, True, False, False, False]


def test_markers_count_no_longer_once_a_look_found_nothing_but_what_comes_after_them_does() -> None:
    lag = PartitionLag()
    lag.observe(0, 10, 12)
    lag.observe(1 * SECOND, 10, 12)
    lag.found_nothing_before(12)

    assert lag.observe(2 * SECOND, 10, 12) == Lag(0, 0.0)
    assert lag.observe(3 * SECOND, 10, 14) == Lag(2, 0.0)
    assert lag.observe(9 * SECOND, 10, 14) == Lag(2, 6.0)


def test_a_look_finds_out_how_long_a_record_waited_before_anybody_watched() -> None:
    lag = PartitionLag()
    lag.observe(60 * SECOND, 10, 12)
    lag.observe(61 * SECOND, 10, 12)
    lag.found(published_ms=5 * SECOND)

    assert lag.observe(62 * SECOND, 10, 12) == Lag(2, 57.0)


def test_a_topic_made_anew_starts_without_lag() -> None:
    lag = PartitionLag()
    lag.observe(0, 10, 12)
    lag.observe(1 * SECOND, 10, 12)
    lag.found_nothing_before(12)

    assert lag.observe(2 * SECOND, 0, 0) == Lag(0, 0.0)
    assert lag.observe(3 * SECOND, 0, 1) == Lag(1, 0.0)


def test_a_group_that_stands_still_for_ever_costs_bounded_memory_and_its_age_stays_exact() -> None:
    lag = PartitionLag()
    for second in range(10 * HISTORY):
        told = lag.observe(second * SECOND, 0, 1 + second)

    assert told == Lag(10 * HISTORY, 10 * HISTORY - 1)
    assert len(lag._growth) <= HISTORY
