"""Laws of cleaning: a record is what it says it is, or it is refused with a reason."""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import InvalidDeclaration, InvalidRecord
from schemas.events import UserEvent
from schemas.labels import Label, LabelType
from schemas.reasons import Reason
from streams.clean import MAX_ID_LENGTH, EventCleaner, LabelCleaner

NOW = 1_704_067_200_000
MINUTE = 60_000


class Sale(UserEvent, gc=False):
    quantity: int | None = None


EVENTS = EventCleaner(
    Sale,
    actions=frozenset({"buy", "view"}),
    max_bytes=10_000,
    future_tolerance=timedelta(minutes=5),
)
LABELS = LabelCleaner(max_bytes=10_000, future_tolerance=timedelta(minutes=5))
GOOD: dict[str, Any] = {"user_id": "u", "action": "buy", "ts": NOW}
GOOD_LABEL: dict[str, Any] = {"user_id": "u", "event_id": "e", "label": True, "ts": NOW}


def clean(value: bytes | None, key: bytes | None = b"u") -> Sale:
    return EVENTS.clean(key, value, published_at_ms=NOW)


def clean_fields(key: bytes = b"u", **fields: Any) -> Sale:
    return clean(json.dumps(GOOD | fields).encode(), key)


def clean_label(key: bytes = b"u", **fields: Any) -> Label:
    return LABELS.clean(key, json.dumps(GOOD_LABEL | fields).encode(), published_at_ms=NOW)


def raw(**fields: str) -> bytes:
    """Write a good event, some of whose fields are given as raw JSON."""
    texts = {name: json.dumps(value) for name, value in GOOD.items()} | fields
    return ("{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}").encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY),
        (b"", Reason.EMPTY),
        (b" " * 10_001, Reason.TOO_LARGE),
        (b'{"user_id": "\xff"}', Reason.NOT_UTF8),
        (raw(unknown='"@"').replace(b"@", b"\xff"), Reason.NOT_UTF8),
        (raw(user_id='"@"').replace(b"@", b"\xed\xa0\x80"), Reason.NOT_UTF8),
        (b"not json", Reason.NOT_JSON),
        (raw()[:-1], Reason.NOT_JSON),
        (raw(user_id="true")[:-1], Reason.NOT_JSON),
        (raw() + b"}", Reason.NOT_JSON),
        (b"\xef\xbb\xbf" + raw(), Reason.NOT_JSON),
        (raw(amount="NaN"), Reason.NOT_JSON),
        (raw(amount="-Infinity"), Reason.NOT_JSON),
        (raw(unknown="[" * 4_000 + "]" * 4_000), Reason.NOT_JSON),
        (raw(user_id=r'"\ud800"'), Reason.NOT_JSON),
        (raw(user_id='"\0"'), Reason.NOT_JSON),
        (b"\x80\x04K*.", Reason.NOT_UTF8),
        (b"null", Reason.INVALID_FIELD),
        (b"[]", Reason.INVALID_FIELD),
        (b'"text"', Reason.INVALID_FIELD),
        (b"{}", Reason.MISSING_FIELD),
        (b'{"user_id": "u", "ts": 0}', Reason.MISSING_FIELD),
        (b'{"user_id": true, "ts": 0}', Reason.MISSING_FIELD),
        (raw(user_id="null"), Reason.INVALID_FIELD),
        (raw(user_id='""'), Reason.INVALID_FIELD),
        (raw(user_id="true"), Reason.INVALID_FIELD),
        (raw(user_id="1.5"), Reason.INVALID_FIELD),
        (raw(user_id="9" * 20), Reason.INVALID_FIELD),
        (raw(user_id="9" * 5_000), Reason.INVALID_FIELD),
        (raw(ts="true"), Reason.INVALID_FIELD),
        (raw(ts="1.0"), Reason.INVALID_FIELD),
        (raw(ts="9" * 5_000), Reason.INVALID_FIELD),
        (raw(ts='"2024-01-01T00:00:00"'), Reason.INVALID_FIELD),
        (raw(ts='"2024-01-01"'), Reason.INVALID_FIELD),
        (raw(ts='"1704067200000"'), Reason.INVALID_FIELD),
        (raw(ts="-1"), Reason.NEGATIVE_TS),
        (raw(ts='"1969-12-31T23:59:59.999Z"'), Reason.NEGATIVE_TS),
        (raw(ts='"0001-01-01T00:00:00+23:59"'), Reason.NEGATIVE_TS),
        (raw(ts='"9999-12-31T23:59:59-23:59"'), Reason.FUTURE_TS),
        (raw(ts=str(NOW * 1_000)), Reason.FUTURE_TS),
        (raw(ts="9" * 30), Reason.FUTURE_TS),
        (raw(amount="1e400"), Reason.INVALID_FIELD),
        (raw(unknown="1e400", amount="true"), Reason.INVALID_FIELD),
        (raw(amount="true"), Reason.INVALID_FIELD),
        (raw(quantity=str(1 << 63)), Reason.INVALID_FIELD),
        (raw(action="7"), Reason.INVALID_FIELD),
        (raw(action='"sell"'), Reason.UNKNOWN_ACTION),
        (raw(action='""'), Reason.UNKNOWN_ACTION),
        (raw(event_id='""'), Reason.INVALID_FIELD),
        (raw(session_id='"' + "x" * (MAX_ID_LENGTH + 1) + '"'), Reason.INVALID_FIELD),
    ],
)
def test_what_is_no_event_is_refused_for_its_reason(value, reason):
    with pytest.raises(InvalidRecord) as caught:
        clean(value)

    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, Reason.NULL_KEY),
        (b"", Reason.KEY_MISMATCH),
        (b"v", Reason.KEY_MISMATCH),
        (b"u\xff", Reason.KEY_MISMATCH),
        (b"u" * 65_536, Reason.KEY_MISMATCH),
    ],
)
def test_the_key_must_be_the_user(key, reason):
    with pytest.raises(InvalidRecord) as caught:
        clean(raw(), key)

    assert caught.value.reason is reason
    assert len(caught.value.detail) < 300


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_number_as_user_becomes_its_text(number):
    assert clean_fields(str(number).encode(), user_id=number).user_id == str(number)


@given(st.text(min_size=1, max_size=MAX_ID_LENGTH))
def test_a_text_as_user_stays_as_it_is(user_id):
    assert clean_fields(user_id.encode(), user_id=user_id).user_id == user_id


@pytest.mark.parametrize("action", ["buy", "Buy", "BUY"])
def test_actions_are_lower_cased(action):
    assert clean_fields(action=action).action == "buy"


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(2023, 12, 31),  # noqa: DTZ001
        timezones=st.builds(
            timezone, st.integers(-1439, 1439).map(lambda minutes: timedelta(minutes=minutes))
        ),
    )
)
def test_a_time_in_rfc_3339_means_the_same_milliseconds(at):
    since_1970 = at - datetime(1970, 1, 1, tzinfo=UTC)

    assert clean_fields(ts=at.isoformat()).ts == since_1970 // timedelta(milliseconds=1)


@pytest.mark.parametrize("ts", [0, NOW, NOW + 5 * MINUTE])
def test_times_from_1970_to_the_tolerance_are_taken(ts):
    assert clean_fields(ts=ts).ts == ts


def test_a_time_beyond_the_tolerance_is_in_the_future():
    with pytest.raises(InvalidRecord) as caught:
        clean_fields(ts=NOW + 5 * MINUTE + 1)

    assert caught.value.reason is Reason.FUTURE_TS


def test_unknown_fields_are_ignored_and_declared_ones_kept():
    event = clean_fields(unknown={"deep": [1]}, quantity=3, amount=2)

    assert (event.quantity, event.amount) == (3, 2.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.just(GOOD.get(name))
        for name in ("user_id", "action", "ts", "event_id", "session_id", "amount", "quantity")
    },
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good event in which some bytes were replaced, inserted or cut off."""
    value = raw(amount="12.5", event_id='"ü\\u00fc\\ud83d\\ude00"')
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, len(value)))
    return value[:start] + draw(st.binary(max_size=6)) + value[end:]


@given(
    key=st.just(b"u") | st.none() | st.binary(max_size=4),
    value=st.binary(max_size=50)
    | damaged()
    | FIELDS.map(lambda fields: json.dumps(fields).encode())
    | FIELDS.map(lambda fields: json.dumps(fields, ensure_ascii=False).encode(errors="replace")),
)
@example(key=b"u", value=b'{"user_id":"u","action":"buy","ts":"\xf0\x9f\x98\x80"}')
def test_any_bytes_are_an_event_or_an_invalid_record(key, value):
    for cleaner in (EVENTS, LABELS):
        with contextlib.suppress(InvalidRecord):
            record = cleaner.clean(key, value, published_at_ms=NOW)
            assert str(record.user_id).encode() == key
            assert 0 <= int(record.ts) <= NOW + 5 * MINUTE
            msgspec.json.encode(record)


@pytest.mark.parametrize(
    ("label", "meaning"), [(True, True), (False, False), (1, True), (0, False)]
)
def test_a_label_is_true_or_false_by_name_or_number(label, meaning):
    assert clean_label(label=label).label is meaning


@pytest.mark.parametrize(
    ("says", "label", "meaning"),
    [(str, "rose", "rose"), (str, "r" * 256, "r" * 256), (float, 3, 3.0), (float, -0.5, -0.5)],
)
def test_a_label_may_be_a_class_or_an_amount_where_that_is_declared(says, label, meaning):
    cleaned = label_cleaner(says).clean(b"u", label_record(label), published_at_ms=NOW)

    assert cleaned.label == meaning
    assert type(cleaned.label) is says


@pytest.mark.parametrize(
    ("says", "label"),
    [
        *((str, True), (str, 7), (str, ""), (str, "r" * 257), (str, None)),
        *((float, "7"), (float, True), (float, 1e13), (float, -1e300), (float, [1])),
    ],
)
def test_what_is_no_class_or_no_amount_is_refused(says, label):
    with pytest.raises(InvalidRecord) as refusal:
        label_cleaner(says).clean(b"u", label_record(label), published_at_ms=NOW)

    assert refusal.value.reason == Reason.INVALID_FIELD


def label_cleaner(says: LabelType) -> LabelCleaner:
    return LabelCleaner(max_bytes=1_000, future_tolerance=timedelta(0), says=says)


def label_record(label: object) -> bytes:
    return json.dumps(GOOD_LABEL | {"label": label}).encode()


def test_a_label_may_name_its_prediction_instead_of_the_event():
    assert clean_label(event_id=None, prediction_id="p").prediction_id == "p"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"label": 2}, Reason.INVALID_FIELD),
        ({"label": 0.5}, Reason.INVALID_FIELD),
        ({"label": "yes"}, Reason.INVALID_FIELD),
        ({"label": None}, Reason.INVALID_FIELD),
        ({"event_id": None}, Reason.MISSING_FIELD),
        ({"event_id": ""}, Reason.INVALID_FIELD),
        ({"prediction_id": "x" * (2 * MAX_ID_LENGTH + 1)}, Reason.INVALID_FIELD),
        ({"ts": NOW + 5 * MINUTE + 1}, Reason.FUTURE_TS),
    ],
)
def test_what_is_no_label_is_refused_for_its_reason(fields, reason):
    with pytest.raises(InvalidRecord) as caught:
        clean_label(**fields)

    assert caught.value.reason is reason


def test_actions_are_declared_in_lower_case():
    with pytest.raises(InvalidDeclaration, match="lower case"):
        EventCleaner(Sale, actions=frozenset({"Buy"}), max_bytes=1, future_tolerance=timedelta())


def test_a_frozen_record_cannot_be_cleaned():
    class Frozen(UserEvent, frozen=True, gc=False):  # type: ignore[misc]  # at run time it can
        pass

    with pytest.raises(InvalidDeclaration, match="Frozen is frozen"):
        EventCleaner(Frozen, actions=frozenset(), max_bytes=1, future_tolerance=timedelta())


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (raw(amount='"12"'), "amount"),
        (raw(amount="1e400"), "amount"),
        (raw(quantity="1.5"), "quantity"),
        (raw(quantity=str(1 << 63)), "quantity"),
        (raw(session_id="7"), "session_id"),
        (raw(event_id='""'), "event_id"),
        (raw(user_id='""'), "user_id"),
        (raw(ts='"yesterday"'), "ts"),
        (raw(ts="-1"), "ts"),
        (raw(ts=str(NOW * 1_000)), "ts"),
        (raw(action='"sell"'), "action"),
        (b'{"user_id": "u", "ts": 0}', "action"),
        (raw(unknown="1e400", amount="true"), "amount"),
        (b"[]", None),
        (b"not json", None),
        (None, None),
    ],
)
def test_a_refusal_names_the_declared_field_that_is_to_blame(value, field):
    with pytest.raises(InvalidRecord) as caught:
        clean(value)

    assert caught.value.field == field
