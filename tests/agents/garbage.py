"""What strangers send: by what is wrong with it, a key, a value, and the reason it deserves."""

import msgspec

from tests.agents.partition_run import NOON_MS
from tests.agents.record import PUBLISHED_MS


def _event(**changes: object) -> bytes:
    fields = {"user_id": "u", "action": "home", "ts": NOON_MS, **changes}
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


GARBAGE: dict[str, tuple[bytes | None, bytes | None, str]] = {
    "no value": (b"u", None, "empty"),
    "empty value": (b"u", b"", "empty"),
    "null key": (None, _event(), "null_key"),
    "key of another": (b"another", _event(), "key_mismatch"),
    "not UTF-8": (b"u", b'{"user_id": "u\xff"}', "not_utf8"),
    "truncated": (b"u", _event()[:-9], "not_json"),
    "nested too deep": (b"u", b"[" * 100_000, "not_json"),
    "not an object": (b"u", b"[1, 2]", "invalid_field"),
    "no user": (b"u", _event(user_id=None), "missing_field"),
    "empty user": (b"", _event(user_id=""), "invalid_field"),
    "unknown action": (b"u", _event(action="teleport"), "unknown_action"),
    "far future": (b"u", _event(ts=PUBLISHED_MS + 301_000), "future_ts"),
    "before 1970": (b"u", _event(ts=-1), "negative_ts"),
    "no time": (b"u", _event(ts="yesterday"), "invalid_field"),
    "1 MB": (b"u", _event(item_id="x" * (1 << 20)), "too_large"),
}
