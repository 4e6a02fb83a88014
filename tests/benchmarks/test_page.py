"""How far a page is behind, against counting event by event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.page.behind import ages_ms, delays_ms

published = st.lists(st.integers(0, 10_000), max_size=40).map(sorted)
looks = st.lists(st.integers(0, 12_000), min_size=1, max_size=20, unique=True).map(sorted)


@given(published, looks)
def test_a_page_that_counts_what_is_there_is_behind_until_its_next_look(
    published_ms: list[int], looked_ms: list[int]
) -> None:
    shown = [(float(at), float(sum(event <= at for event in published_ms))) for at in looked_ms]
    events = [float(at) for at in published_ms]

    expected = [
        next(look for look in looked_ms if look >= event) - event
        for event in published_ms
        if looked_ms[0] < event <= looked_ms[-1]
    ]
    assert delays_ms(events, shown) == pytest.approx(expected)
    ages = list(ages_ms(events, shown))
    assert all(age >= 0 for age in ages)
    assert len(ages) == len({count for _, count in shown}) - 1
