"""What makes a prediction come true: declarations, as data."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Final

from schemas.errors import InvalidDeclaration

_REPORTED: Final = "REPORTED"
"""In the place of an action in what a target is the hash of: actions are in lower case."""


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What comes true: its user acts in `(event_at, event_at + horizon]`, or a label says so.

    Examples
    --------
    >>> happens_within("purchase", timedelta(minutes=30)).action
    'purchase'
    >>> reported_within(timedelta(days=14)).action is None
    True
    """

    action: str | None
    """What users do that makes it come true; `None`: nothing that an event tells."""
    horizon: timedelta
    """How long after its event a prediction waits for its label."""

    @property
    def target(self) -> str:
        """Hash of what defines the label: what learned one rule knows nothing of another.

        >>> happens_within("purchase", timedelta(minutes=30)).target
        'd351d2a0'
        """
        action = _REPORTED if self.action is None else self.action
        definition = f"{action} within {self.horizon // timedelta(milliseconds=1)} ms"
        return blake2b(definition.encode(), digest_size=4).hexdigest()

    def __post_init__(self) -> None:
        action = self.action
        if action is not None and (not action or action != action.lower()):
            raise InvalidDeclaration(f"a label rule needs an action in lower case, not {action!r}")
        if self.horizon < timedelta(milliseconds=1):
            raise InvalidDeclaration(
                f"label rule `{action or 'reported'}` needs a horizon > 0, not {self.horizon}"
            )


def happens_within(action: str, horizon: timedelta) -> LabelRule:
    """Declare the label: the user of this event does `action` within `horizon` after it.

    A record on `labels` may say it, too.
    """
    return LabelRule(action, horizon)


def reported_within(horizon: timedelta) -> LabelRule:
    """Declare the label: what a record on `labels` says of this event within `horizon` after it.

    No event makes it come true. What nothing is reported of is false when the watermark passes the
    horizon.
    """
    return LabelRule(None, horizon)
