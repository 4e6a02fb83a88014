"""A window of predictions, held against its latencies sorted."""

from math import ceil, sqrt

from hypothesis import given
from hypothesis import strategies as st

from agents.observability.slow_answers import MIN_PREDICTIONS, SlowAnswers

LINE_S, SPAN_MS = 5.0, 10_000
latencies = st.lists(
    st.one_of(st.floats(0.0, 0.2), st.floats(4.0, 20.0)), min_size=1, max_size=3 * MIN_PREDICTIONS
)


@given(latencies)
def test_a_window_says_what_its_sorted_latencies_say(late_by: list[float]) -> None:
    slow = SlowAnswers(LINE_S, span_ms=SPAN_MS)
    slow.update(late_by, 7)
    window = slow.closed(7 + SPAN_MS)

    if len(late_by) < MIN_PREDICTIONS:
        assert window is None
        return
    assert window is not None
    n, n_late = len(late_by), sum(each > LINE_S for each in late_by)
    rank = sorted(late_by, reverse=True)[n // 100]
    assert (window.since_ms, window.n, window.n_late) == (7, n, n_late)
    assert window.longest_s == max(late_by)
    assert window.p99_s == ceil(rank * 10) / 10
    assert window.is_beyond == (n_late / n > 0.01 + 3 * sqrt(0.01 * 0.99 / n))
    assert window.is_within == (100 * n_late <= n)
    assert not (window.is_beyond and window.is_within)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9_000)), max_size=60))
def test_windows_share_all_predictions_out_and_last_long_enough(
    steps: list[tuple[int, int]],
) -> None:
    slow, now_ms, windows, left = SlowAnswers(LINE_S, span_ms=SPAN_MS), 0, [], 0
    for n, ms in steps:
        now_ms += ms
        slow.update([0.1] * n, now_ms)
        left += n
        if (window := slow.closed(now_ms)) is not None:
            windows.append((window, now_ms))
            left -= window.n

    assert left == slow._n
    assert all(window.n >= MIN_PREDICTIONS for window, _ in windows)
    assert all(end - window.since_ms >= SPAN_MS for window, end in windows)
