"""One error class per decision its catcher can take.

::

    ThalwegError
    ├── InvalidRecord        set the record aside in `dead-letters`, go on
    ├── InvalidTraceparent   count it, and take the record as one of no trace
    ├── InvalidDeclaration   the pipeline is wrong: stop before the first event
    ├── InvalidSetting       a setting is wrong: stop, name it in one line
    ├── SnapshotRefused      keep serving the last good model, say why
    ├── TooManyDeadLetters   end the worker: a person must look at what it reads or runs
    └── DeliveryFailed       end the worker; its successor resumes from what is committed
        └── Fenced           another worker owns this identity now
"""

from typing import Final

import msgspec

from schemas.reasons import Reason

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises on the bytes of strangers: what is malformed, text that is no UTF-8, and
what is nested deeper than the stack."""


class ThalwegError(Exception):
    """Base of every error of ours that has a meaning to a caller."""


class InvalidRecord(ThalwegError, ValueError):
    """The record can never be processed: set it aside, do not retry.

    >>> raise InvalidRecord(Reason.MISSING_FIELD, "event lacks the field `user_id`")
    Traceback (most recent call last):
    schemas.errors.InvalidRecord: missing_field: event lacks the field `user_id`
    """

    def __init__(self, reason: Reason, detail: str, *, field: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.field = field
        """The declared field to blame, if it is one."""


class InvalidTraceparent(ThalwegError, ValueError):
    """A record says which trace it belongs to, but not in the standard's words."""


class InvalidDeclaration(ThalwegError, ValueError):
    """A pipeline declares what cannot be built; the message names the declaration."""


class InvalidSetting(ThalwegError, ValueError):
    """A setting has a value that cannot work; the message names the setting."""


class SnapshotRefused(ThalwegError):
    """A model snapshot is not one of ours, not intact, or not for this pipeline."""


class TooManyDeadLetters(ThalwegError):
    """More was set aside than is allowed; nothing of the last batch may become visible."""


class DeliveryFailed(ThalwegError):
    """Kafka will not take what this worker did; nothing of it may become visible."""


class Fenced(DeliveryFailed):
    """Another worker took over this worker's transactional identity."""
