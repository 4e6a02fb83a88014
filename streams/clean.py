"""Raw records in, typed records out; what cannot be one is refused with a reason.

Whatever bytes come in, the only exception that comes out is `InvalidRecord`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import inspect

from schemas.errors import UNREADABLE, InvalidDeclaration, InvalidRecord
from schemas.events import UserEvent
from schemas.labels import LARGEST_AMOUNT, MAX_CLASS_LENGTH, Label, LabelType, LabelValue
from schemas.reasons import Reason

MAX_ID_LENGTH: Final = 1024
"""In characters. Ids are remembered by the million: what is longer is no id."""

_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PATH: Final = re.compile(r" - at `\$\.(\w+)")
"""Where msgspec met what it could not read; a field of a record stands first."""
_INT64: Final = range(-(1 << 63), 1 << 63)
_AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]

E = TypeVar("E", bound=UserEvent)
"""The pipeline's type of events."""

R = TypeVar("R", bound=UserEvent | Label)
"""A type of records with `user_id` and `ts`."""


class _Reader(Generic[R]):
    """What events and labels share: their form, their user, their time."""

    def __init__(self, record: type[R], *, max_bytes: int, future_tolerance: timedelta) -> None:
        if record.__struct_config__.frozen:
            raise InvalidDeclaration(
                f"{record.__name__} is frozen, but cleaning writes the cleaned fields into it"
            )
        described = inspect.type_info(record)
        assert isinstance(described, inspect.StructType)  # noqa: S101 - for the type checker
        self._required = [f.encode_name for f in described.fields if f.required]
        self._names = {f.encode_name: f.name for f in described.fields}
        # A pipeline's own integer fields; most have none.
        self._integers = [
            f.name
            for f in described.fields
            if f.name not in ("user_id", "ts", "label")
            and inspect.IntType in map(type, getattr(f.type, "types", (f.type,)))
        ]
        self._decode = msgspec.json.Decoder(record).decode
        self._max_bytes = max_bytes
        self._tolerance_ms = future_tolerance // _MS

    def read(self, key: bytes | None, value: bytes | None, published_at_ms: int) -> R:
        """Decode a record and check what does not depend on its kind."""
        if not value:
            raise InvalidRecord(Reason.EMPTY, "the record has no value")
        if len(value) > self._max_bytes:
            raise InvalidRecord(
                Reason.TOO_LARGE, f"the value has {len(value)} bytes, not at most {self._max_bytes}"
            )
        if key is None:
            raise InvalidRecord(Reason.NULL_KEY, "the record has no key; it should be the user id")
        if not value.isascii():
            _check_utf8(value)
        try:
            record = self._decode(value)
        except UNREADABLE as error:
            raise self._refusal(value, error) from error
        _identify(record, key)
        self._place_in_time(record, published_at_ms)
        for name in self._integers:
            number = getattr(record, name)
            if number is not None and number not in _INT64:
                raise _invalid(name, "has more than 64 bits")
        return record

    def _place_in_time(self, record: R, published_at_ms: int) -> None:
        ts = record.ts
        if isinstance(ts, str):
            ts = record.ts = _milliseconds(ts)
        if ts < 0:
            raise InvalidRecord(
                Reason.NEGATIVE_TS, f"`ts` is {ts}, which is before 1970", field="ts"
            )
        if ts > published_at_ms + self._tolerance_ms:
            raise InvalidRecord(
                Reason.FUTURE_TS,
                f"`ts` is {ts}, but the record was published at {published_at_ms}",
                field="ts",
            )

    def _refusal(self, value: bytes, error: Exception) -> InvalidRecord:
        """Tell why a value could not be decoded; msgspec stops at the first thing it meets."""
        try:
            fields = msgspec.json.decode(value)
        except msgspec.ValidationError:  # a number that is none
            return self._invalid_somewhere(error)
        except UNREADABLE as json_error:
            return InvalidRecord(Reason.NOT_JSON, str(json_error))
        if isinstance(fields, dict):
            for name in self._required:
                if name not in fields:
                    return InvalidRecord(
                        Reason.MISSING_FIELD,
                        f"the record lacks `{name}`",
                        field=self._names[name],
                    )
        return self._invalid_somewhere(error)

    def _invalid_somewhere(self, error: Exception) -> InvalidRecord:
        """Blame the field in which msgspec met what it could not read."""
        found = _PATH.search(str(error))
        # What stands in fields that nobody declares has no end of names.
        field = None if found is None else self._names.get(found[1])
        return InvalidRecord(Reason.INVALID_FIELD, str(error), field=field)


class EventCleaner(Generic[E]):
    """Turns raw records of `user-events` into events that the rest can rely on.

    A cleaned event has a non-empty text `user_id` that is its key, a known `action` in lower case,
    and `ts` in milliseconds since the epoch, not ahead of the broker's clock by more than the
    tolerance.

    Parameters
    ----------
    record
        The pipeline's type of events.
    actions
        What users can do, in lower case.
    max_bytes
        Longest value.
    future_tolerance
        How far an event may be ahead of the time it was published at.

    Examples
    --------
    >>> cleaner = EventCleaner(UserEvent, actions=frozenset({"search"}), max_bytes=1000,
    ...                        future_tolerance=timedelta(minutes=5))
    >>> event = cleaner.clean(
    ...     b"7", b'{"user_id": 7, "action": "Search", "ts": "2024-01-01T00:00:00Z"}',
    ...     published_at_ms=1_704_067_200_500)
    >>> event.user_id, event.action, event.ts
    ('7', 'search', 1704067200000)
    >>> cleaner.clean(b"7", b'{"action": "search", "ts": 0}', published_at_ms=0)
    Traceback (most recent call last):
    schemas.errors.InvalidRecord: missing_field: the record lacks `user_id`
    """

    def __init__(
        self,
        record: type[E],
        *,
        actions: frozenset[str],
        max_bytes: int,
        future_tolerance: timedelta,
    ) -> None:
        if any(action != action.lower() for action in actions):
            raise InvalidDeclaration(f"actions must be in lower case, not {sorted(actions)}")
        self._actions = actions
        self._read = _Reader(record, max_bytes=max_bytes, future_tolerance=future_tolerance).read

    def clean(self, key: bytes | None, value: bytes | None, *, published_at_ms: int) -> E:
        """Return the event, or raise `InvalidRecord`."""
        event = self._read(key, value, published_at_ms)
        if event.action not in self._actions:
            event.action = event.action.lower()
            if event.action not in self._actions:
                raise InvalidRecord(
                    Reason.UNKNOWN_ACTION,
                    f"the pipeline knows no action {event.action[:64]!r}",
                    field="action",
                )
        _check_id("event_id", event.event_id)
        _check_id("session_id", event.session_id)
        return event


class LabelCleaner:
    """Turns raw records of `labels` into labels: `label` is as declared, one of the ids is there.

    Parameters
    ----------
    says
        What labels are: `bool`, `str` (a class) or `float` (an amount).

    Examples
    --------
    >>> cleaner = LabelCleaner(max_bytes=1000, future_tolerance=timedelta(minutes=5))
    >>> cleaner.clean(
    ...     b"u", b'{"event_id": "e1", "user_id": "u", "label": 1, "ts": 0}', published_at_ms=0)
    Label(user_id='u', label=True, ts=0, event_id='e1', prediction_id=None, by='', arm='')
    """

    def __init__(
        self, *, max_bytes: int, future_tolerance: timedelta, says: LabelType = bool
    ) -> None:
        self._value = _VALUES[says]
        self._read = _Reader(Label, max_bytes=max_bytes, future_tolerance=future_tolerance).read

    def clean(self, key: bytes | None, value: bytes | None, *, published_at_ms: int) -> Label:
        """Return the label, or raise `InvalidRecord`."""
        label = self._read(key, value, published_at_ms)
        if label.event_id is None and label.prediction_id is None:
            raise InvalidRecord(
                Reason.MISSING_FIELD, "the record lacks both `event_id` and `prediction_id`"
            )
        _check_id("event_id", label.event_id)
        # Of the use case and the event's id.
        _check_id("prediction_id", label.prediction_id, 2 * MAX_ID_LENGTH)
        label.label = self._value(label.label)
        return label


def _truth(value: LabelValue) -> bool:
    if value not in (0, 1):
        raise _invalid("label", f"is {str(value)[:64]}, not true, false, 1 or 0")
    return bool(value)


def _class(value: LabelValue) -> str:
    if not isinstance(value, str):
        raise _invalid("label", f"is {value}, not the name of a class")
    if not 0 < len(value) <= MAX_CLASS_LENGTH:
        raise _invalid("label", f"has {len(value)} characters, not 1 to {MAX_CLASS_LENGTH}")
    return value


def _amount(value: LabelValue) -> float:
    if isinstance(value, bool | str):
        raise _invalid("label", f"is {str(value)[:64]}, not a number")
    if not abs(value) <= LARGEST_AMOUNT:
        raise _invalid("label", f"is {value}, further than {LARGEST_AMOUNT:g} from 0")
    return float(value)


_VALUES: Final[Mapping[LabelType, Callable[[LabelValue], LabelValue]]] = {
    bool: _truth,
    str: _class,
    float: _amount,
}


def _identify(record: UserEvent | Label, key: bytes) -> None:
    user_id = record.user_id
    if isinstance(user_id, int):
        if user_id not in _INT64:
            raise _invalid("user_id", "has more than 64 bits")
        user_id = record.user_id = str(user_id)
    if not 0 < len(user_id) <= MAX_ID_LENGTH:
        raise _invalid("user_id", f"has {len(user_id)} characters, not 1 to {MAX_ID_LENGTH}")
    if user_id.encode() != key:
        raise InvalidRecord(
            Reason.KEY_MISMATCH, f"the key is {key[:64]!r}, but the user is {user_id[:64]!r}"
        )


def _invalid(field: str, problem: str) -> InvalidRecord:
    return InvalidRecord(Reason.INVALID_FIELD, f"`{field}` {problem}", field=field)


def _check_id(field: str, text: str | None, longest: int = MAX_ID_LENGTH) -> None:
    if text is not None and not 0 < len(text) <= longest:
        raise _invalid(field, f"has {len(text)} characters, not 1 to {longest}")


def _check_utf8(value: bytes) -> None:
    """Refuse what is not UTF-8 even in fields that nobody decodes."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRecord(Reason.NOT_UTF8, f"the value is not UTF-8: {error.reason}") from error


def _milliseconds(text: str) -> int:
    try:
        at = msgspec.convert(text, _AwareDatetime)
    except msgspec.ValidationError as error:
        raise _invalid("ts", f"is {text[:64]!r}, which is not RFC 3339 with an offset") from error
    return (at - _EPOCH) // _MS
