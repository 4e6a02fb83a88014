"""What makes a prediction come true: declarations, as data."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final, Literal, get_args

from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from schemas.labels import LABEL_TYPES, LabelType
from streams.field_label import FieldLabel, ReadField, Take, label_in

Positive = Literal["at_once", "at_maturity"]
"""When a positive label is known: when it comes, or when the horizon ends, as a negative one is."""

Silence = Literal["negative", "unknown", "zero"]
"""What it means that nothing is said of a prediction until its horizon ends."""

_SMALLEST_SHARE: Final = 1e-6
_REPORTED: Final = "REPORTED"
"""In the place of an action in what a target is the hash of: actions are in lower case."""
_AT_MATURITY: Final = ", AT MATURITY"


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
    positive: Positive = "at_once"
    """With `at_once`, the first that is known stands. With `at_maturity` nothing is settled before
    the horizon ends: the last label by its time stands, and where there is none, whether the user
    has acted."""
    keep_negatives: float = 1.0
    """Share of the negatives that become outcomes; each weighs as much as those it stands for."""
    revisable_for: timedelta = timedelta(0)
    """How long after the horizon a label that says otherwise becomes another outcome, which revises
    the first. A prediction stays in memory that long."""
    fake_negatives: bool = False
    """Whether each prediction teaches as a negative at once, and again if it turns out positive,
    both weighed by its score so that they add up to what is true (Ktena et al. 2019)."""

    says: LabelType = bool
    """What records on `labels` say: `bool`: whether it came true; `str`: which class it was;
    `float`: how much it was."""
    silence: Silence = "negative"
    """With `unknown`, what nothing is said of becomes an outcome without a label, which only models
    learn that need none. Classes have no other silence; with `zero` an amount was 0."""
    field: FieldLabel | None = None
    """Which field of an event with the action says which class it was, or how much; `None`: that
    there was one is all that counts."""

    @property
    def target(self) -> str:
        """Hash of what defines the label: what learned one rule knows nothing of another.

        Weights do not: they change how much is learned, not what.

        >>> happens_within("purchase", timedelta(minutes=30)).target
        'd351d2a0'
        """
        action = _REPORTED if self.action is None else self.action
        definition = f"{action} within {self.horizon // timedelta(milliseconds=1)} ms"
        if self.positive == "at_maturity":
            definition += _AT_MATURITY
        if self.says is not bool:
            definition += f", SAYS {self.says.__name__}"
            if self.silence == "zero":
                definition += ", OR 0"
        elif self.silence == "unknown":
            definition += ", OR NOTHING"
        if self.field is not None:
            name, take, otherwise = self.field.name, self.field.take, self.field.otherwise
            definition += f", {take.upper()} {name}, ELSE {otherwise!r}"
        return blake2b(definition.encode(), digest_size=4).hexdigest()

    def __post_init__(self) -> None:
        action = self.action
        if action is not None and (not action or action != action.lower()):
            raise InvalidDeclaration(f"a label rule needs an action in lower case, not {action!r}")
        if self.horizon < timedelta(milliseconds=1):
            raise InvalidDeclaration(
                f"label rule `{self._name}` needs a horizon > 0, not {self.horizon}"
            )
        if self.positive not in get_args(Positive):
            raise InvalidDeclaration(
                f"label rule `{self._name}` has positive={self.positive!r}, not one of"
                f" {', '.join(get_args(Positive))}"
            )
        if not _SMALLEST_SHARE <= self.keep_negatives <= 1.0:
            raise InvalidDeclaration(
                f"label rule `{self._name}` has keep_negatives={self.keep_negatives}, which is no"
                f" share from {_SMALLEST_SHARE} to 1"
            )

        if self.revisable_for < timedelta(0):
            raise InvalidDeclaration(
                f"label rule `{self._name}` has revisable_for={self.revisable_for}, which is less"
                " than no time"
            )

        if self.fake_negatives:
            self._check_alone("fake_negatives, which do")
        self._check_silence()

    def _check_silence(self) -> None:
        if self.says not in LABEL_TYPES:
            raise InvalidDeclaration(
                f"label rule `{self._name}` has says={self.says!r}, not one of"
                f" {', '.join(each.__name__ for each in LABEL_TYPES)}"
            )
        if self.silence not in get_args(Silence):
            raise InvalidDeclaration(
                f"label rule `{self._name}` has silence={self.silence!r}, not one of"
                f" {', '.join(get_args(Silence))}"
            )
        if self.field is not None:
            self._check_field(self.field)
        elif self.says is not bool and (self.silence == "negative" or self.action is not None):
            what = "silence='negative'" if self.silence == "negative" else "an action"
            raise InvalidDeclaration(
                f"label rule `{self._name}` says {self.says.__name__}: {what} tells none"
            )
        if self.silence == "zero" and self.says is not float:
            raise InvalidDeclaration(
                f"label rule `{self._name}` says {self.says.__name__}: silence='zero' tells none"
            )
        if self.silence != "negative":
            named = f"silence={self.silence!r}"
            if self.fake_negatives:
                raise InvalidDeclaration(
                    f"label rule `{self._name}` has {named}, which does not go with fake_negatives"
                )
            self._check_alone(f"{named}, which does", but=("positive='at_maturity'",))

    def _check_field(self, field: FieldLabel) -> None:
        field.check(self._name, self.says)
        if self.action is None or self.positive != "at_maturity" or self.silence != "unknown":
            raise InvalidDeclaration(
                f"label rule `{self._name}` of the field `{field.name}` needs an action,"
                " positive='at_maturity' and silence='unknown': declare it by `field_within`"
            )

    def _check_alone(self, name: str, *, but: tuple[str, ...] = ()) -> None:
        for other, is_chosen in (
            ("positive='at_maturity'", self.positive == "at_maturity"),
            ("keep_negatives", self.keep_negatives < 1.0),
            ("revisable_for", self.is_revisable),
        ):
            if is_chosen and other not in but:
                raise InvalidDeclaration(
                    f"label rule `{self._name}` has {name} not go with {other}"
                )

    def reader(self, record: type[UserEvent]) -> ReadField:
        """Make what reads the field of an event that is the label; of no field, it reads nothing.

        Raises
        ------
        InvalidDeclaration
            Events have no such field, or it is of another type.
        """
        if self.field is None:
            return _nothing
        return self.field.reader(self._name, self.says, record)

    @property
    def is_revisable(self) -> bool:
        """Whether what is settled may be revised at all."""
        return self.revisable_for > timedelta(0)

    @property
    def weighs(self) -> str:
        """Name the choice that gives outcomes other weights than 1; empty if none does.

        >>> reported_within(timedelta(days=14), keep_negatives=0.1).weighs
        'keep_negatives'
        """
        if self.keep_negatives < 1.0:
            return "keep_negatives"
        if self.fake_negatives:
            return "fake_negatives"
        return "revisable_for" if self.is_revisable else ""

    @property
    def _name(self) -> str:
        return "reported" if self.action is None else self.action


def _nothing(_event: UserEvent) -> None:
    pass


def happens_within(
    action: str,
    horizon: timedelta,
    *,
    positive: Positive = "at_once",
    keep_negatives: float = 1.0,
    revisable_for: timedelta = timedelta(0),
    fake_negatives: bool = False,
) -> LabelRule:
    """Declare the label: the user of this event does `action` within `horizon` after it.

    A record on `labels` may say it, too. See `LabelRule` for the choices.
    """
    return LabelRule(action, horizon, positive, keep_negatives, revisable_for, fake_negatives)


def reported_within(
    horizon: timedelta,
    *,
    positive: Positive = "at_once",
    keep_negatives: float = 1.0,
    revisable_for: timedelta = timedelta(0),
    fake_negatives: bool = False,
    says: LabelType = bool,
    silence: Silence | None = None,
) -> LabelRule:
    """Declare the label: what a record on `labels` says of this event within `horizon` after it.

    No event makes it come true. What nothing is reported of is false when the watermark passes the
    horizon, or has no label if labels are classes or amounts; with `silence="zero"` an amount is 0.
    See `LabelRule` for the choices.

    Examples
    --------
    >>> reported_within(timedelta(days=14), says=str).silence
    'unknown'
    """
    if silence is None:
        silence = "negative" if says is bool else "unknown"
    return LabelRule(
        *(None, horizon, positive, keep_negatives, revisable_for, fake_negatives, says, silence)
    )


def field_within(
    action: str,
    field: str,
    horizon: timedelta,
    *,
    says: LabelType,
    take: Take = "first",
    otherwise: str | float | None = None,
) -> LabelRule:
    """Declare the label: what a field says of the `action` that the user does within `horizon`.

    It is known when the watermark has passed the horizon. A record on `labels` may say it, too, and
    outranks what events say.

    Parameters
    ----------
    field
        Of the pipeline's event. An event in which it is empty, or no label, says nothing.
    says
        `str`: the field says which class it was; `float`: how much.
    take
        Which of several events counts, in event time: the `first` or the `last`; of amounts also
        their `sum` or their `max`.
    otherwise
        What it is where no event says anything. By default nobody knows: the outcome has no label,
        and teaches nothing.

    Examples
    --------
    >>> week = timedelta(days=7)
    >>> spent = field_within("purchase", "amount", week, says=float, take="sum", otherwise=0.0)
    >>> spent.positive, spent.field.take
    ('at_maturity', 'sum')
    """
    exact: Any = label_in(otherwise, says)  # 0 and 0.0 are one rule
    return LabelRule(
        *(action, horizon, "at_maturity"),
        says=says,
        silence="unknown",
        field=FieldLabel(field, take, otherwise if exact is None else exact),
    )
