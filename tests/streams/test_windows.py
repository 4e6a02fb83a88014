"""Laws of tiled windows, held against a list of everything that happened."""

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streams.windows import Tiling, covered_from, tile_width_ms

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SPANS = st.integers(1, 100 * DAY) | st.sampled_from(
    [10 * MINUTE, HOUR, 12 * HOUR, 7 * DAY, 12 * DAY]
)
TIMES = st.integers(0, 2_000_000_000_000)


@pytest.mark.parametrize(
    ("span", "width"),
    [
        (timedelta(seconds=5), timedelta(seconds=1)),
        (timedelta(minutes=5), timedelta(seconds=15)),
        (timedelta(hours=1), timedelta(minutes=5)),
        (timedelta(hours=12) - timedelta(milliseconds=1), timedelta(minutes=5)),
        (timedelta(hours=12), timedelta(hours=1)),
        (timedelta(days=12) - timedelta(milliseconds=1), timedelta(hours=1)),
        (timedelta(days=12), timedelta(days=1)),
    ],
)
def test_tiles_widen_with_the_span_and_from_an_hour_on_as_in_chronon(span, width):
    ms = timedelta(milliseconds=1)

    assert tile_width_ms(span // ms) == width // ms


@given(TIMES, SPANS)
def test_a_window_covers_its_span_and_less_than_a_tile_more(at_ms, span_ms):
    covered = at_ms - covered_from(at_ms, span_ms)

    assert span_ms <= covered < span_ms + tile_width_ms(span_ms)


@given(st.integers(0, 10_000), st.integers(12, 50))
def test_a_window_that_starts_on_a_tiles_edge_is_exact(tile, n_tiles):
    span_ms = n_tiles * 5 * MINUTE

    assert covered_from(tile * 5 * MINUTE, span_ms) == tile * 5 * MINUTE - span_ms


@st.composite
def arrivals(draw: st.DrawFn) -> list[int]:
    """Times at which something happened, crowded at the edges of tiles, a few of them late."""
    tile = 5 * MINUTE
    times = st.builds(
        lambda k, ms: k * tile + ms,
        st.integers(1, 24),
        st.sampled_from([-1, 0, 1, tile // 2]),
    )
    delayed = draw(st.lists(st.tuples(times, st.sampled_from([0, 0, tile, 12 * tile]))))
    return [at_ms for at_ms, _ in sorted(delayed, key=sum)]


@given(
    spans=st.sets(st.sampled_from([5, 10, 60])) | st.sets(st.sampled_from([1, 5, 7, 90])),
    times=arrivals(),
    data=st.data(),
)
def test_windows_count_what_they_cover_in_any_order_of_arrival(spans, times, data):
    assume(spans)
    amounts = st.tuples(st.integers(-3, 3), st.integers(0, 1))
    events = [(at_ms, *data.draw(amounts)) for at_ms in times]
    spans_ms = sorted(span * MINUTE for span in spans)
    tile_ms = 5 * MINUTE
    tiling = Tiling(tile_ms, spans_ms, counters=[2, 0])  # nobody asks for counter 1
    tiles, counts, last_ms = tiling.new(), [0, 0, 0], 0

    for n, (at_ms, a, b) in enumerate(events, start=1):
        before = counts.copy()
        if at_ms >= last_ms:
            if at_ms >= tiles.rolls_at_ms:
                tiling.roll(tiles, counts, last_ms, at_ms)
            last_ms = at_ms
        counts[0] += a
        counts[1] += 1
        counts[2] += b
        if at_ms < last_ms:
            tiling.add_late(tiles, before, counts, at_ms, last_ms)

        for behind, span_ms in zip(tiles.behind, spans_ms, strict=True):
            start_ms = (last_ms - span_ms) // tile_ms * tile_ms
            inside = [event for event in events[:n] if event[0] > start_ms]
            assert counts[2] - behind[0] == sum(event[2] for event in inside)
            assert counts[0] - behind[1] == sum(event[1] for event in inside)


@given(arrivals())
def test_no_more_tiles_are_kept_than_the_longest_window_covers(times):
    tiling = Tiling(5 * MINUTE, [10 * MINUTE, HOUR], counters=[0])
    tiles, counts, last_ms = tiling.new(), [0], 0

    for at_ms in times:
        before = counts.copy()
        if at_ms >= last_ms:
            tiling.roll(tiles, counts, last_ms, at_ms)
            last_ms = at_ms
        counts[0] += 1
        if at_ms < last_ms:
            tiling.add_late(tiles, before, counts, at_ms, last_ms)

        ends, _ = tiling.packing.tiles(tiles.packed, tiles.ends[-1])
        assert len(ends) <= 12
        assert ends == sorted(set(ends))
