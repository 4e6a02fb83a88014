"""Laws of a change of declarations: what both remember goes on as if it had always been so."""

import math
from collections.abc import Iterable
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from schemas.events import UserEvent
from streams.feature_kinds import Feature
from streams.features import (
    action,
    count,
    decayed_count,
    distinct,
    latest,
    maximum,
    mean,
    minimum,
    rate,
    session_count,
    session_duration,
    session_duration_mean,
    session_events,
    time_since,
    top_share,
    top_value,
    total,
    variance,
)
from streams.fold import FeatureFold, compile_features

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HOUR_MS = 3_600_000
START = 1_704_067_200_000
BUY = action({"buy"}, name="buy")
POOL: tuple[Feature, ...] = (
    count(over=HOUR),
    count(over=90 * MINUTE + 7 * timedelta(seconds=1)),
    rate(BUY, over=2 * HOUR),
    mean("amount", BUY, over=DAY),
    variance("amount", over=3 * DAY),
    minimum("amount", over=HOUR),
    maximum("amount", BUY, over=2 * HOUR),
    distinct("amount", over=DAY),
    distinct("amount", BUY, over=2 * DAY),
    top_share("amount", over=DAY),
    top_value("session_id", ("s1", "s2"), BUY, over=2 * HOUR),
    session_count(over=DAY),
    session_duration_mean(over=2 * DAY),
    session_events(),
    session_duration(),
    time_since(),
    time_since(BUY),
    decayed_count(BUY, half_life=HOUR),
    latest("amount"),
    count(BUY, over=2 * HOUR),
    total("amount", over=3 * DAY),
    total("amount", BUY, over=DAY),
)
DIVIDED = {name for feature in (*POOL[2:5], POOL[9]) for name in feature.names}


class Sale(UserEvent, gc=False):
    ts: int  # as cleaning leaves it


@cache
def compiled(declared: frozenset[int]) -> FeatureFold:
    """Compile some of the pool; in an order that depends on which they are."""
    order = sorted(declared, key=lambda i: (i * (1 + len(declared))) % len(POOL))
    return compile_features([POOL[i] for i in order], Sale)


def compiled_of(*features: Feature) -> FeatureFold:
    return compile_features(features, Sale)


def knowing(fold: FeatureFold, others: Iterable[FeatureFold]) -> FeatureFold:
    for other in others:
        assert fold.adopt(other.schema, other.layout.encode())
    return fold


COUNTED = compiled_of(count(over=HOUR))


def in_order(sales: list[Sale], since_ms: int) -> list[Sale]:
    """Let the sales happen so much later, one after the other."""
    later = [structs.replace(each, ts=each.ts + since_ms) for each in sales]
    return sorted(later, key=lambda each: each.ts)


def sale(
    ms: int, action: str = "buy", amount: float | None = None, session: str | None = None
) -> Sale:
    return Sale("u", action, START + ms, session_id=session, amount=amount)


SALES = st.lists(
    st.builds(
        sale,
        st.integers(0, 5 * 24 * 12).map(lambda tile: tile * 300_000)
        | st.integers(0, 3 * 3_600_000),
        st.sampled_from(["buy", "view"]),
        st.none() | st.integers(-5, 5).map(float),
        st.sampled_from([None, "s1", "s2"]),
    ),
    max_size=12,
)
INDICES = st.integers(0, len(POOL) - 1)
DECLARED = st.frozensets(INDICES, max_size=4)


@settings(deadline=None, max_examples=200)  # each example may compile some folds
@given(
    st.frozensets(INDICES, min_size=1, max_size=5),
    st.lists(st.tuples(DECLARED, SALES), min_size=2, max_size=3),
)
def test_what_stays_declared_is_served_as_if_nothing_else_had_ever_been(
    kept: frozenset[int], stages: list[tuple[frozenset[int], list[Sale]]]
) -> None:
    """In any order of arrival; a user without events at a stage misses its declarations."""
    always, known = compiled(kept), list[FeatureFold]()
    expected, raw = always.new(), b""
    served: list[dict[str, float]] = []
    served_always: list[dict[str, float]] = []
    for more, sales in stages:
        fold = knowing(compiled(kept | more), known)
        known.append(fold)
        for each in sales:
            state = fold.decode(raw) if raw else fold.new()
            served.append(fold.update(state, each))
            served_always.append(always.update(expected, each))
            raw = fold.encode(state)

    assert [{name: each[name] for name in always.names} for each in served] == served_always


@settings(deadline=None, max_examples=100)  # each example may compile some folds
@given(st.frozensets(INDICES, min_size=1, max_size=6), DECLARED, SALES, SALES)
def test_what_divides_counts_divides_what_was_counted_together(
    before: frozenset[int], more: frozenset[int], sales: list[Sale], later: list[Sale]
) -> None:
    """A mean where there was a total, a rate where there was a count: they begin as a whole."""
    old, new = compiled(before), knowing(compiled(before | more), [compiled(before)])
    names = (DIVIDED & set(new.names)) - set(old.names)
    state, fresh = old.new(), new.new()
    now_ms = 0
    for each in in_order(sales, 0):
        old.update(state, each)
        now_ms = each.ts - START
    state = new.decode(old.encode(state)) if sales else new.new()
    served = []
    for each in in_order(later, now_ms):
        features, expected = new.update(state, each), new.update(fresh, each)
        served += [(features[name], expected[name]) for name in names]

    assert [features for features, _ in served] == [expected for _, expected in served]


def test_a_mean_is_not_of_what_was_added_up_before_it_was_declared() -> None:
    before = compiled_of(total("amount", over=DAY), count(BUY, over=DAY))
    after = knowing(
        compiled_of(
            *(total("amount", over=DAY), count(BUY, over=DAY)),
            *(mean("amount", over=DAY), rate(BUY, over=DAY), top_share("amount", over=DAY)),
        ),
        [before],
    )
    state = before.new()
    for amount in (10.0, 20.0):
        before.update(state, sale(0, amount=amount))
    features = after.update(after.decode(before.encode(state)), sale(1, amount=5.0))

    assert features == {
        "amount_total_1d": 35,
        "buy_count_1d": 3,
        "amount_mean_1d": 5,
        "buy_rate_1d": 1,
        "amount_top_share_1d": 1,
    }


DENSE = st.lists(
    st.builds(
        sale,
        st.integers(0, 11 * 12).map(lambda tile: tile * 300_000),
        amount=st.sampled_from([1.0, 2.0]),
    ),
    min_size=1,
    max_size=12,
)
"""Within what is still counted when the shorter window has left it behind."""


@settings(deadline=None)
@given(DENSE, DENSE)
@example([sale(0, amount=1.0), sale(5 * HOUR_MS, amount=2.0)], [sale(1, amount=2.0)])
def test_a_share_over_a_longer_span_is_of_what_was_kept_for_the_shorter_one(
    sales: list[Sale], later: list[Sale]
) -> None:
    """However long counts over tiles of the same width are kept beside it."""
    before = compiled_of(top_share("amount", over=HOUR), count(over=11 * HOUR))
    after = knowing(
        compiled_of(
            *(top_share("amount", over=10 * HOUR), count(over=11 * HOUR)),
            *(mean("amount", over=10 * HOUR), rate(BUY, over=10 * HOUR)),
        ),
        [before],
    )
    happened = in_order(sales, 0)
    now_ms = happened[-1].ts - START
    state = before.new()
    for each in happened:
        before.update(state, each)
    # Who had only those events that the shorter window still holds knows as much.
    reaches = now_ms - HOUR_MS
    begins_ms = START + reaches // 300_000 * 300_000
    fresh = compiled_of(top_share("amount", over=10 * HOUR))
    expected = fresh.new()
    for each in happened:
        if each.ts > begins_ms:
            fresh.update(expected, each)
    moved = after.decode(before.encode(state))
    for each in in_order(later, now_ms):
        name = "amount_top_share_10h"
        assert after.update(moved, each)[name] == fresh.update(expected, each)[name]


def test_a_shorter_window_is_exact_at_once_and_a_longer_one_fills_up() -> None:
    before = compiled_of(count(over=4 * HOUR))
    after = knowing(compiled_of(count(over=HOUR), count(over=11 * HOUR)), [before])
    state = before.new()
    for hour in (0, 5, 8):
        before.update(state, sale(hour * HOUR_MS))
    features = after.update(after.decode(before.encode(state)), sale(9 * HOUR_MS - 1))

    # The first event was behind the longest window: it is forgotten.
    assert features == {"event_count_1h": 2, "event_count_11h": 3}


def test_what_was_not_remembered_begins_with_nothing() -> None:
    before = compiled_of(count(over=HOUR), count(over=DAY))
    added = (
        total("amount", over=HOUR),
        count(BUY, over=DAY),
        count(over=30 * DAY),
        minimum("amount", over=HOUR),
        distinct("amount", over=DAY),
        top_value("session_id", ("s1",), over=DAY),
        time_since(BUY),
        decayed_count(half_life=HOUR),
        latest("amount"),
        session_events(),
        session_count(over=HOUR),
    )
    after = knowing(compiled_of(count(over=HOUR), *added), [before])
    state = before.new()
    for minute in range(3):
        before.update(state, sale(minute * 60_000, amount=7.0, session="s1"))
    features = after.update(after.decode(before.encode(state)), sale(4 * 60_000, "view"))
    fresh = after.update(after.new(), sale(4 * 60_000, "view"))

    assert features.pop("event_count_1h") == 4
    assert features == {name: fresh[name] for name in features}


def test_a_session_that_nobody_watched_began_no_later_than_its_latest_event() -> None:
    before = compiled_of(count(over=HOUR))
    after = knowing(compiled_of(session_events(), session_duration()), [before])
    state = before.new()
    before.update(state, sale(0))
    features = after.update(after.decode(before.encode(state)), sale(60_000))

    assert features == {"session_events": 1, "session_duration": 60}


def test_a_filter_of_another_name_and_the_same_actions_remembers_the_same() -> None:
    before = compiled_of(count(BUY, over=HOUR), time_since(BUY))
    order = action({"buy"}, name="order")
    after = knowing(compiled_of(count(order, over=HOUR), time_since(order)), [before])
    state = before.new()
    before.update(state, sale(0))
    features = after.update(after.decode(before.encode(state)), sale(60_000, "view"))

    assert features["order_count_1h"] == 1
    assert features["seconds_since_order"] == pytest.approx(math.log1p(60))


def test_a_total_beyond_64_bits_moves_too() -> None:
    before = compiled_of(total("amount", over=HOUR))
    after = knowing(compiled_of(total("amount", over=2 * HOUR)), [before])
    state = before.new()
    for _ in range(20):
        before.update(state, sale(0, amount=1e15))
    features = after.update(after.decode(before.encode(state)), sale(1))

    assert features == {"amount_total_2h": 2e16}


def test_a_state_whose_layout_is_not_known_comes_back_new() -> None:
    before, after = compiled_of(count(over=HOUR)), compiled_of(count(over=HOUR), session_events())
    state = before.new()
    before.update(state, sale(0))
    raw = before.encode(state)

    assert not after.can_read(raw)
    assert after.decode(raw) == after.new()


@pytest.mark.parametrize(
    "layout", [b"", b"{}", structs.replace(COUNTED.layout, meaning=(0, 0, 0)).encode()]
)
def test_a_layout_of_another_meaning_or_none_at_all_is_not_adopted(layout: bytes) -> None:
    after = compiled_of(session_events())

    assert not after.adopt(COUNTED.schema, layout)
    assert not after.can_read(COUNTED.encode(COUNTED.new()))
