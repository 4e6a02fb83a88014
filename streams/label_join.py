"""What came of a prediction: events and labels find the predictions that wait for them."""

from dataclasses import dataclass
from datetime import timedelta

from schemas.errors import InvalidDeclaration


@dataclass(frozen=True, slots=True)
class LabelRule:
    """A prediction comes true when its user acts in `(event_at, event_at + horizon]`.

    Examples
    --------
    >>> happens_within("purchase", timedelta(minutes=30)).action
    'purchase'
    """

    action: str
    horizon: timedelta

    def __post_init__(self) -> None:
        if not self.action or self.action != self.action.lower():
            raise InvalidDeclaration(
                f"a label rule needs an action in lower case, not {self.action!r}"
            )
        if self.horizon < timedelta(milliseconds=1):
            raise InvalidDeclaration(
                f"label rule `{self.action}` needs a horizon > 0, not {self.horizon}"
            )


def happens_within(action: str, horizon: timedelta) -> LabelRule:
    """Declare the label: the user of this event does `action` within `horizon` after it."""
    return LabelRule(action, horizon)
