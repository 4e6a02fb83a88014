"""An open loop: the schedule never waits for anyone."""

from hypothesis import given
from hypothesis import strategies as st

from agents.history.pacing import Schedule

rates = st.floats(0.1, 1e6)
sizes = st.integers(1, 10_000)
times = st.floats(0, 1e5)


@given(rate=rates, n=sizes, elapsed_s=times)
def test_exactly_the_events_whose_time_has_come_are_due(rate, n, elapsed_s):
    schedule = Schedule(rate, n)
    due = schedule.due(elapsed_s)

    slack_s = 1e-9 * max(elapsed_s, 1)  # of the two ways to round
    assert all(schedule.due_at_s(index) <= elapsed_s + slack_s for index in range(due)[-3:])
    assert due == n or schedule.due_at_s(due) >= elapsed_s - slack_s


@given(rate=rates, n=sizes, earlier_s=times, later_s=times)
def test_what_is_due_stays_due(rate, n, earlier_s, later_s):
    earlier_s, later_s = sorted((earlier_s, later_s))

    assert Schedule(rate, n).due(earlier_s) <= Schedule(rate, n).due(later_s)


@given(rate=rates, n=sizes)
def test_the_first_event_is_due_at_once_and_the_last_after_the_whole_time(rate, n):
    schedule = Schedule(rate, n)

    assert schedule.due(0.0) >= 1
    assert schedule.due(schedule.due_at_s(n)) == n


@given(n=sizes, elapsed_s=times)
def test_a_rate_of_zero_is_as_fast_as_possible(n, elapsed_s):
    assert Schedule(0, n).due(elapsed_s) == n
