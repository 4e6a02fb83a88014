"""Laws of the watermark."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from streams.watermark import Watermark

TIMES = st.lists(st.integers(1_000, 10_000), min_size=1)
LATENESS_MS = st.integers(0, 1_000)


@given(TIMES, LATENESS_MS)
def test_the_watermark_is_the_largest_time_seen_minus_the_lateness_and_never_goes_back(
    times, lateness_ms
):
    watermark, before = Watermark(timedelta(milliseconds=lateness_ms)), 0
    for n, at_ms in enumerate(times, start=1):
        watermark.advance(at_ms)

        assert watermark.at_ms == max(0, max(times[:n]) - lateness_ms) >= before
        before = watermark.at_ms


@given(TIMES, LATENESS_MS)
def test_no_event_within_the_lateness_is_late(times, lateness_ms):
    watermark = Watermark(timedelta(milliseconds=lateness_ms))
    for at_ms in times:
        watermark.advance(at_ms)

    assert not watermark.is_late(max(times) - lateness_ms)
    assert watermark.is_late(max(times) - lateness_ms - 1)
