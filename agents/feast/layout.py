"""How Feast lays features out in Redis, byte by byte.

As Feast 0.67 does, with `entity_key_serialization_version: 3`:

- One hash for each entity of a project, whatever its feature views. Its key is the entity, as
  `feast/infra/key_encoding_utils.py::serialize_entity_key` writes it, and then the project.
- A feature is a field, named by the hash of view and name
  (`feast/infra/online_stores/helpers.py::_mmh3`). Its value is a `feast.types.Value`.
- `_ts:<view>` holds the event time, a `google.protobuf.Timestamp`
  (`feast/infra/online_stores/redis.py`).

Two messages of two fields need no protobuf: https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterable
from typing import Final

import mmh3

from schemas.errors import InvalidDeclaration

ENTITY: Final = "user_id"
STRING: Final = 2
"""`ValueType.STRING` of `feast/types/Value.proto`."""

_double: Final = struct.Struct("<Bd")
_DOUBLE_VAL: Final = 5 << 3 | 1
"""Tag of `Value.double_val`: field 5, eight bytes."""
_SECONDS, _NANOS = 1 << 3, 2 << 3
"""Tags of `Timestamp.seconds` and `nanos`: fields 1 and 2, varints."""
_NANOS_A_MS: Final = 1_000_000
_64_BITS: Final = (1 << 64) - 1


def view_name(use_case: str) -> str:
    """Name the feature view of a use case, as columns and files may be named.

    >>> view_name("purchase-intent")
    'purchase_intent'
    """
    return use_case.replace("-", "_")


def entity_key(project: str, user_id: str) -> bytes:
    """Name the hash of a user: how many join keys, each one's type, length and name, its value.

    >>> entity_key("shop", "ada").hex(" ", -4)
    '01000000 02000000 07000000 75736572 5f696402 00000003 00000061 64617368 6f70'
    """
    name, user = ENTITY.encode(), user_id.encode()
    return b"".join(
        (
            struct.pack("<3I", 1, STRING, len(name)),
            name,
            struct.pack("<2I", STRING, len(user)),
            user,
            project.encode(),
        )
    )


def field(view: str, feature: str) -> bytes:
    """Name the field of a feature.

    >>> field("purchase_intent", "event_count_1h").hex()
    'dc58acec'
    """
    return mmh3.hash(f"{view}:{feature}", signed=False).to_bytes(4, "little")


def check_fields(view: str, features: Iterable[str]) -> None:
    """Make sure that no two features of a view share a field.

    Raises
    ------
    InvalidDeclaration
        Names both: one of them needs another name, or version.
    """
    taken: dict[bytes, str] = {}
    for feature in features:
        other = taken.setdefault(field(view, feature), feature)
        if other != feature:
            raise InvalidDeclaration(f"Feast cannot tell `{other}` and `{feature}` apart in Redis")


def time_field(view: str) -> bytes:
    """Name the field of a view's event time.

    >>> time_field("purchase_intent")
    b'_ts:purchase_intent'
    """
    return b"_ts:" + view.encode()


def value(number: float) -> bytes:
    """Write a `Value` that holds a double.

    >>> value(-1.5).hex()
    '29000000000000f8bf'
    """
    return _double.pack(_DOUBLE_VAL, number)


def timestamp(at_ms: int) -> bytes:
    """Write a `Timestamp`; what is zero is left out.

    >>> timestamp(1_704_067_200_123).hex(), timestamp(0)
    ('088081c8ac0610c0a9d33a', b'')
    """
    seconds, ms = divmod(at_ms, 1_000)
    written = bytearray()
    for tag, number in ((_SECONDS, seconds), (_NANOS, ms * _NANOS_A_MS)):
        if number:
            written.append(tag)
            _varint(written, number & _64_BITS)
    return bytes(written)


def _varint(written: bytearray, number: int) -> None:
    """Append seven bits a byte, the lowest first; a high bit says that more come."""
    while rest := number >> 7:
        written.append(number & 0x7F | 0x80)
        number = rest
    written.append(number)
