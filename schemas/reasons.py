"""Why a record was set aside: the stable codes of the `reason` header of a dead letter."""

from enum import StrEnum


class Reason(StrEnum):
    """A short code that dashboards and retry commands can rely on.

    >>> str(Reason.NOT_JSON)
    'not_json'
    """

    EMPTY = "empty"
    NULL_KEY = "null_key"
    KEY_MISMATCH = "key_mismatch"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_DECODABLE = "not_decodable"
    MISSING_FIELD = "missing_field"
    INVALID_FIELD = "invalid_field"
    UNKNOWN_ACTION = "unknown_action"
    NEGATIVE_TS = "negative_ts"
    FUTURE_TS = "future_ts"
    TOO_LATE = "too_late"
    PROCESSING_FAILED = "processing_failed"
