"""What a feature is without events is what the fold gives of who did nothing for long."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.feature_defaults import DefaultCounter, default_of
from tests.streams.test_fold import FEATURES, FOLD, SALES, UNTIMED, Sale

MS = timedelta(milliseconds=1)


@UNTIMED
@given(st.lists(SALES, min_size=1, max_size=10))
def test_a_default_is_what_is_left_of_a_user_after_the_retention(sales: list[Sale]) -> None:
    state = FOLD.new()
    served = [FOLD.update(state, sale) for sale in sales][-1]
    seen = FOLD.view(FOLD.encode(state), served, state.last_ms + FOLD.retention // MS)

    defaults = {
        name: default
        for feature in FEATURES
        for name in feature.names
        if (default := default_of(feature)) is not None
    }
    left = {name: seen[name] for name in defaults}
    assert left == pytest.approx(defaults, abs=1e-4)  # of a decayed count, a millionth an event
    assert tuple(defaults) == DefaultCounter(FEATURES).names


def test_nothing_served_is_nothing_counted() -> None:
    assert DefaultCounter(FEATURES).count([]) == {}
