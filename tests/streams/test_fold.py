"""Laws of the compiled fold, held against a naive recomputation over all events."""

import math
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from functools import reduce
from statistics import pvariance
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.shop.pipeline import PIPELINE
from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from streams.distinct import cardinality, sketch_of, union
from streams.feature_kinds import LONGEST_AGO, SESSION_GAP, Feature, span_name
from streams.features import (
    action,
    count,
    decayed_count,
    derived,
    distinct,
    field_value,
    hour_of_day,
    is_action,
    latest,
    maximum,
    mean,
    minimum,
    one_of,
    rate,
    request_time,
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
from streams.fold import HALF_LIVES, compile_features
from streams.windows import covered_from

UNTIMED = settings(deadline=None)  # milliseconds each, but a busy machine interrupts them
MS = timedelta(milliseconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Sale(UserEvent, gc=False):
    ts: int  # as cleaning leaves it
    platform: str | None = None
    quantity: int | None = None


BUY = action({"buy"}, name="buy")
SPANS = (timedelta(seconds=20), 7 * MINUTE, HOUR, 12 * HOUR, DAY, 12 * DAY, 30 * DAY)
FEATURES: tuple[Feature, ...] = (
    *(count(over=span) for span in SPANS),
    *(count(BUY, over=span) for span in SPANS),
    *(rate(BUY, over=span) for span in SPANS),
    *(total("amount", over=span) for span in SPANS),
    *(mean("amount", BUY, over=span) for span in SPANS),
    *(variance("amount", over=span) for span in SPANS),
    *(minimum("amount", over=span) for span in SPANS),
    *(maximum("amount", BUY, over=span) for span in SPANS),
    *(distinct("platform", over=span) for span in SPANS),
    *(distinct("amount", BUY, over=span) for span in SPANS),
    *(top_value("platform", ("web", "app's"), BUY, over=span) for span in SPANS),
    *(top_share("quantity", over=span) for span in SPANS),
    *(session_count(over=span) for span in SPANS),
    *(session_duration_mean(over=span) for span in SPANS),
    total("quantity", BUY, over=DAY),
    mean("quantity", over=DAY),
    time_since(),
    time_since(BUY),
    session_events(),
    session_duration(),
    is_action({"buy", "view"}, name="either"),
    one_of("platform", ("web", "app's")),
    hour_of_day(),
    decayed_count(half_life=HOUR),
    decayed_count(BUY, half_life=3 * DAY),
    latest("amount"),
    latest("quantity", BUY),
    field_value("amount"),
    request_time(
        "dear",
        lambda amount, kind: float(kind == "buy" and (amount or 0) > 10),
        "amount",
        "action",
        version=2,
    ),
    derived("haste", lambda n, seconds: n / (1 + seconds), "event_count_1h", "session_duration"),
    derived("twice", lambda haste: 2 * haste, "haste", version=3),
)
FOLD = compile_features(FEATURES, Sale)


class NaiveUser:
    """Remembers everything and computes each feature from its definition."""

    def __init__(self) -> None:
        self.events: list[Sale] = []
        self.closed: list[tuple[int, int]] = []
        self.session: list[Sale] = []

    def update(self, event: Sale) -> dict[str, float]:
        earlier, now = self.events, max(e.ts for e in [*self.events, event])
        self.add_to_sessions(event, now)
        self.events = [*earlier, event]
        angle = event.ts / (DAY / MS) * math.tau
        return self.as_of(now, earlier) | {
            "is_either": float(event.action in ("buy", "view")),
            "platform_is_web": float(event.platform == "web"),
            "platform_is_app's": float(event.platform == "app's"),
            "hour_sin": math.sin(angle),
            "hour_cos": math.cos(angle),
            "event_amount": event.amount or 0,
            "dear_v2": float(event.action == "buy" and (event.amount or 0) > 10),
        }

    def as_of(self, now: int, earlier: list[Sale]) -> dict[str, float]:
        """Compute what is remembered; `time_since` looks at what came earlier."""
        features: dict[str, float] = {}
        for span in SPANS:
            features |= self.rolling(span, now)
        day = self.inside(DAY, now)
        quantities = [e.quantity for e in day if e.quantity is not None]
        starts, last = min(e.ts for e in self.session), max(e.ts for e in self.events)
        return features | {
            "buy_quantity_total_1d": sum(e.quantity or 0 for e in day if e.action == "buy"),
            "quantity_mean_1d": sum(quantities) / len(quantities) if quantities else 0,
            "seconds_since_event": log_seconds(now, earlier),
            "seconds_since_buy": log_seconds(now, [e for e in earlier if e.action == "buy"]),
            "session_events": len(self.session),
            "session_duration": (last - starts) / 1000,
            "event_decayed_count_1h": sum(0.5 ** ((now - e.ts) * MS / HOUR) for e in self.events),
            "buy_decayed_count_3d": sum(
                0.5 ** ((now - e.ts) * MS / (3 * DAY)) for e in self.events if e.action == "buy"
            ),
            "amount_latest": self.latest("amount", now, {"buy", "view", "other"}),
            "buy_quantity_latest": self.latest("quantity", now, {"buy"}),
            "haste": (haste := features["event_count_1h"] / (1 + (last - starts) / 1000)),
            "twice_v3": 2 * haste,
        }

    def latest(self, field: str, now: int, actions: set[str]) -> float:
        values = [
            (e.ts, value)
            for e in self.events
            if e.action in actions
            and (value := getattr(e, field)) is not None
            and now - e.ts < LONGEST_AGO / MS
        ]
        return float(max(values, default=(0, 0))[1])

    def inside(self, span: timedelta, now: int) -> list[Sale]:
        return [e for e in self.events if e.ts > covered_from(now, span // MS)]

    def rolling(self, span: timedelta, now: int) -> dict[str, float]:
        name = span_name(span)
        inside = self.inside(span, now)
        buys = [e for e in inside if e.action == "buy"]
        amounts = [e.amount for e in buys if e.amount is not None]
        scattered = [e.amount for e in inside if e.amount is not None]
        platforms = [e.platform for e in buys if e.platform is not None]
        quantities = [e.quantity for e in inside if e.quantity is not None]
        ended = [ms for end, ms in self.closed if end > covered_from(now, span // MS)]
        return {
            f"event_count_{name}": len(inside),
            f"buy_count_{name}": len(buys),
            f"buy_rate_{name}": len(buys) / len(inside) if inside else 0,
            f"amount_total_{name}": sum(e.amount or 0 for e in inside),
            f"buy_amount_mean_{name}": sum(amounts) / len(amounts) if amounts else 0,
            f"amount_variance_{name}": pvariance(scattered) if scattered else 0,
            f"amount_min_{name}": min(scattered, default=0),
            f"buy_amount_max_{name}": max(amounts, default=0),
            f"platform_distinct_{name}": cardinality_of(
                e.platform for e in inside if e.platform is not None
            ),
            f"buy_amount_distinct_{name}": cardinality_of(amounts),
            **{
                f"buy_platform_top_{name}_is_{each}": float(top_of(platforms)[0] == each)
                for each in ("web", "app's")
            },
            f"quantity_top_share_{name}": (
                top_of(quantities)[1] / len(quantities) if quantities else 0
            ),
            f"session_count_{name}": len(ended) + 1,
            f"session_duration_mean_{name}": sum(ended) / len(ended) / 1000 if ended else 0,
        }

    def add_to_sessions(self, event: Sale, now: int) -> None:
        same = bool(self.session) and event.session_id == self.session[0].session_id
        times = [e.ts for e in self.session]
        same = same and event.ts - max(times) < LONGEST_AGO / MS
        if event.session_id is None and same:
            same = min(times) - SESSION_GAP / MS <= event.ts <= max(times) + SESSION_GAP / MS
        if same:
            self.session.append(event)
        elif event.ts == now:
            if self.session:
                self.closed.append((max(times), max(times) - min(times)))
            self.session = [event]


def cardinality_of(values: Iterable[object]) -> float:
    return cardinality(reduce(union, map(sketch_of, values), {}))


def top_of(values: Iterable[object]) -> tuple[str, int]:
    """Few values: no summary loses any."""
    counts = Counter(map(str, values))
    return min(counts.items(), key=lambda each: (-each[1], each[0]), default=("", 0))


def log_seconds(now: int, earlier: list[Sale]) -> float:
    ago = min([LONGEST_AGO / MS, *(now - e.ts for e in earlier)])
    return math.log1p(ago / 1000)


START = 1_704_067_200_000
OFFSETS = st.one_of(
    st.integers(0, 50 * DAY // MS),
    *(
        st.builds(
            lambda k, ms, width=width: k * width + ms, st.integers(0, 40), st.sampled_from([0, 1])
        )
        for width in (1_000, 15_000, 5 * MINUTE // MS, HOUR // MS, DAY // MS)
    ),
)
SALES = st.builds(
    Sale,
    user_id=st.just("u"),
    action=st.sampled_from(["buy", "view", "other"]),
    ts=OFFSETS.map(START.__add__),
    session_id=st.sampled_from([None, "s1", "s2"]),
    amount=st.none() | st.integers(-1_000_000, 1_000_000).map(lambda cents: cents / 100),
    platform=st.sampled_from([None, "web", "app's"]),
    quantity=st.none() | st.integers(-5, 5),
)


@UNTIMED
@given(st.lists(SALES, max_size=25))
def test_features_equal_a_naive_recomputation_in_any_order_of_arrival(sales):
    state, naive = FOLD.new(), NaiveUser()
    for sale in sales:
        assert FOLD.update(state, sale) == pytest.approx(naive.update(sale), rel=1e-9, abs=1e-9)


@UNTIMED
@given(st.lists(SALES, max_size=25))
def test_features_equal_a_naive_recomputation_in_order(sales):
    state, naive = FOLD.new(), NaiveUser()
    for sale in sorted(sales, key=lambda sale: sale.ts):
        assert FOLD.update(state, sale) == pytest.approx(naive.update(sale), rel=1e-9, abs=1e-9)


IDLE = st.integers(1, 100 * DAY // MS) | st.builds(
    lambda span, ms: max(span // MS + ms, 1),
    st.sampled_from([*SPANS, 5 * MINUTE, LONGEST_AGO]),
    st.sampled_from([-1, 0, 1]),
)


@UNTIMED
@given(st.lists(SALES, min_size=1, max_size=25), st.lists(IDLE, min_size=1, max_size=5))
def test_a_look_at_any_later_moment_equals_a_naive_recomputation_as_of_it(sales, idle):
    state, naive = FOLD.new(), NaiveUser()
    served = [(FOLD.update(state, sale), naive.update(sale)) for sale in sales][-1][0]
    raw, of_event = FOLD.encode(state), ("is_", "platform_is_", "hour_", "event_amount", "dear_")

    for ms in idle:
        now = state.last_ms + ms
        expected = naive.as_of(now, naive.events)
        expected |= {name: served[name] for name in FOLD.names if name.startswith(of_event)}
        assert FOLD.view(raw, served, now) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@UNTIMED
@given(st.lists(SALES, min_size=1, max_size=25), IDLE)
def test_a_look_without_time_passing_is_what_was_served(sales, ms):
    state = FOLD.new()
    served = [FOLD.update(state, sale) for sale in sales][-1]

    for at_ms in (state.last_ms, state.last_ms - ms):
        assert FOLD.view(FOLD.encode(state), served, at_ms) == served


@UNTIMED
@given(st.lists(SALES, min_size=1, max_size=25))
def test_after_the_retention_a_look_sees_empty_windows(sales):
    state = FOLD.new()
    served = [FOLD.update(state, sale) for sale in sales][-1]
    seen = FOLD.view(FOLD.encode(state), served, state.last_ms + FOLD.retention // MS)

    assert {seen[name] for f in FEATURES[:72] for name in f.names} == {0.0}
    assert {seen[name] for name in seen if name.startswith("session_count")} == {1.0}


def test_a_look_with_the_features_of_other_declarations_names_what_lacks():
    state = FOLD.new()
    FOLD.update(state, Sale("u", "buy", START))

    with pytest.raises(KeyError, match="is_either"):
        FOLD.view(FOLD.encode(state), {}, START + 1)


@UNTIMED
@given(st.lists(SALES, min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_what_windows_hold(sales, random):
    order = sales[:-1].copy()
    random.shuffle(order)
    last = msgspec.structs.replace(sales[-1], ts=START + 60 * DAY // MS)
    windows = [name for f in FEATURES[:72] for name in f.names]

    def served(arrivals: list[Sale]) -> list[float]:
        state = FOLD.new()
        features = [FOLD.update(state, sale) for sale in [*arrivals, last]][-1]
        return [features[name] for name in windows]

    assert served(order) == served(sales[:-1])


@pytest.mark.parametrize(("gap", "n_sessions"), [(SESSION_GAP, 1), (SESSION_GAP + MS, 2)])
@pytest.mark.parametrize("arrival", [1, -1])
def test_a_session_without_an_id_ends_after_the_gap(gap, n_sessions, arrival):
    state = FOLD.new()
    sales = [Sale("u", "view", START), Sale("u", "view", START + gap // MS)]
    first, last = (FOLD.update(state, sale) for sale in sales[::arrival])

    assert first["session_events"] == 1
    assert last["session_events"] == 3 - n_sessions
    assert last["session_duration"] == (gap / MS / 1000 if n_sessions == 1 else 0)


@UNTIMED
@given(st.lists(SALES, max_size=25), st.integers(0, 25))
def test_a_state_that_was_encoded_goes_on_as_if_nothing_had_happened(sales, position):
    kept, restored = FOLD.new(), FOLD.new()
    for sale in sales[:position]:
        FOLD.update(kept, sale)
        FOLD.update(restored, sale)

    restored = FOLD.decode(FOLD.encode(restored))

    assert restored == kept
    for sale in sales[position:]:
        assert FOLD.update(restored, sale) == FOLD.update(kept, sale)


@UNTIMED
@given(st.lists(SALES, min_size=1))
def test_expiry_reads_the_last_event_time_without_decoding(sales):
    state = FOLD.new()
    for sale in sales:
        FOLD.update(state, sale)

    assert FOLD.last_event_ms(FOLD.encode(state)) == max(sale.ts for sale in sales)


@UNTIMED
@given(st.lists(SALES, max_size=10), SALES)
def test_forgetting_a_user_after_the_retention_changes_no_window(sales, comeback):
    remembered = FOLD.new()
    for sale in sales:
        FOLD.update(remembered, sale)
    comeback = msgspec.structs.replace(
        comeback, ts=max([START, *(s.ts for s in sales)]) + FOLD.retention // MS
    )

    features, expected = (FOLD.update(user, comeback) for user in (remembered, FOLD.new()))

    for name in ("event_decayed_count_1h", "buy_decayed_count_3d"):
        left = features.pop(name) - expected.pop(name)
        assert 0 <= left <= len(sales) * 0.5**HALF_LIVES
    assert features == expected


@UNTIMED
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_any_finite_amount_can_be_counted_and_kept(amounts):
    state = FOLD.new()
    for amount in [*amounts, 1e300, 1e300]:
        FOLD.update(state, Sale("u", "buy", START, amount=amount))
        assert FOLD.decode(FOLD.encode(state)) == state


def test_totals_are_exact_where_floats_are_not():
    state = FOLD.new()
    FOLD.update(state, Sale("u", "buy", START, amount=1e9))
    FOLD.update(state, Sale("u", "buy", START + HOUR // MS, amount=0.1))
    features = FOLD.update(state, Sale("u", "buy", START + 2 * HOUR // MS, amount=0.2))

    assert features["amount_total_1h"] == 0.2
    assert features["amount_total_12h"] == 1_000_000_000.3


def test_features_come_in_the_order_of_their_names():
    features = FOLD.update(FOLD.new(), Sale("u", "buy", START))

    assert tuple(features) == FOLD.names
    assert all(type(value) is float for value in features.values())


def test_the_shop_pipeline_compiles_to_readable_source():
    fold = compile_features(PIPELINE.features, PIPELINE.event)

    assert len(fold.names) == len(set(fold.names)) == 36
    assert fold.retention == 91 * DAY
    assert "features['click_count_7d'] = float(click_events_in_7d)" in fold.source


def test_a_traceback_shows_the_generated_line():
    broken: Any = object()
    with pytest.raises(AttributeError) as caught:
        FOLD.update(FOLD.new(), broken)

    assert "ts = event.ts" in str(caught.traceback[-1])


def test_the_schema_changes_with_the_meaning_and_only_then():
    def schema(*features: Feature) -> str:
        return compile_features(features, Sale).schema

    click = action({"a", "b"}, name="click")
    same = action(["b", "a"], name="click")
    other = action({"a"}, name="click")

    assert schema(count(click, over=DAY)) == schema(count(same, over=24 * HOUR))
    assert schema(count(click, over=DAY)) != schema(count(other, over=DAY))
    assert schema(count(click, over=DAY)) != schema(count(click, over=HOUR))
    assert schema(time_since(), session_events()) != schema(session_events(), time_since())

    def ratio(version: int) -> Feature:
        return derived("ratio", lambda n, ago: n / (1 + ago), *NAMES, version=version)

    counted = (count(over=DAY), time_since())
    assert schema(*counted, ratio(1)) == schema(*counted, ratio(1))  # two functions, one meaning
    assert schema(*counted, ratio(1)) != schema(*counted, ratio(2))


NAMES = ("event_count_1d", "seconds_since_event")


def test_what_is_computed_at_request_time_leaves_no_trace_in_the_state():
    with_it = compile_features(
        [count(over=DAY), request_time("cents", lambda amount: amount % 1, "amount")], Sale
    )
    without = compile_features([count(over=DAY)], Sale)
    states = with_it.new(), without.new()
    for fold, state in zip((with_it, without), states, strict=True):
        features = fold.update(state, Sale("u", "buy", START, amount=1.25))
        assert features.get("cents", 0.25) == 0.25

    assert states[0] == states[1]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_derived_feature_that_is_no_finite_number_raises_and_says_which(value):
    fold = compile_features([count(over=DAY), derived("odd", lambda n: n * value, NAMES[0])], Sale)

    with pytest.raises(ValueError, match=r"feature `odd` would be \w+ for \(1.0,\)"):
        fold.update(fold.new(), Sale("u", "buy", START))


def test_a_state_of_other_declarations_comes_back_new():
    other = compile_features([count(over=HOUR)], Sale)
    state = other.new()
    other.update(state, Sale("u", "buy", START))

    assert FOLD.decode(other.encode(state)) == FOLD.new()


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        ([count(over=DAY), count(over=24 * HOUR)], "`event_count_1d` is declared twice"),
        ([total("price", over=DAY)], "`price_total_1d`: Sale has no field `price`"),
        ([mean("platform", over=DAY)], "`platform_mean_1d`: field `platform` .* not a number"),
        ([one_of("quantity", ["1"])], "`quantity_is_1`: field `quantity` of Sale is not text"),
        ([latest("platform")], "`platform_latest`: field `platform` of Sale is not a number"),
        ([top_value("amount", ["1"], over=DAY)], "`amount_top_1d_is_1`: .* is not text"),
        ([request_time("odd", float, "price")], "`odd`: Sale has no field `price`"),
        (["event_count_1d"], "'event_count_1d' is no feature"),
        ([request_time("_offset", float, "quantity")], "`_offset`: names that begin with `_`"),
        ([field_value("user_id")], "`event_user_id`: field `user_id` of Sale is not a number"),
        (
            [derived("early", float, "event_count_1d"), count(over=DAY)],
            "`early` is derived of `event_count_1d`, which is not declared before it",
        ),
        (
            [count(BUY, over=DAY), is_action({"sell"}, name="buy")],
            r"`is_buy`: `buy` means \('sell',\) here",
        ),
    ],
)
def test_a_declaration_that_cannot_be_built_names_the_feature(features, complaint):
    with pytest.raises(InvalidDeclaration, match=complaint):
        compile_features(features, Sale)
