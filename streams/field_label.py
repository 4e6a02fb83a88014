"""A label that is read from an event: the amount of the next order, the kind of the next item."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import fsum
from operator import attrgetter
from types import MappingProxyType
from typing import Final, Literal, get_args

from msgspec import inspect

from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from schemas.labels import LARGEST_AMOUNT, MAX_CLASS_LENGTH, LabelType, LabelValue

Take = Literal["first", "last", "sum", "max"]
"""What of several events within the horizon is the label."""
_OF_CLASSES: Final[tuple[Take, ...]] = ("first", "last")
_TEXT: Final = (inspect.StrType, inspect.LiteralType)
_NUMBER: Final = (inspect.IntType, inspect.FloatType)
Told = tuple[int, LabelValue]
"""The event time of an event in ms, and what it says."""
ReadField = Callable[[UserEvent], object]


@dataclass(frozen=True, slots=True)
class FieldLabel:
    """Which field of its events says what came of a prediction, and which of them counts.

    Examples
    --------
    >>> orders = [(3_000, 20.0), (1_000, 5.0), (2_000, 30.0)]
    >>> [FieldLabel("amount", take).of(orders) for take in ("first", "last", "sum", "max")]
    [5.0, 20.0, 55.0, 30.0]
    >>> FieldLabel("amount", "sum", otherwise=0.0).of([])
    0.0
    """

    name: str
    """Of the field."""
    take: Take = "first"
    """In event time, whatever the order of arrival. Of two events of one time the one that says
    more, or what stands behind in the alphabet, is the later."""
    otherwise: str | float | None = None
    """What it is where no event came that says anything; `None`: nobody knows, and the outcome has
    no label."""

    def check(self, rule: str, says: LabelType) -> None:
        """Refuse what cannot be told.

        Raises
        ------
        InvalidDeclaration
            Names the rule.
        """
        of = f"label rule `{rule}` of the field `{self.name}`"
        if says is bool:
            raise InvalidDeclaration(
                f"{of} says bool: a field says which or how much, str or float"
            )
        takes = _OF_CLASSES if says is str else get_args(Take)
        if self.take not in takes:
            raise InvalidDeclaration(
                f"{of} has take={self.take!r}, which is not one of {', '.join(takes)}"
            )
        if self.otherwise is not None and label_in(self.otherwise, says) != self.otherwise:
            raise InvalidDeclaration(
                f"{of} has otherwise={self.otherwise!r}, which is no {says.__name__} that a label"
                " can be"
            )

    def reader(self, rule: str, says: LabelType, record: type[UserEvent]) -> ReadField:
        """Make what reads the field of an event.

        Raises
        ------
        InvalidDeclaration
            Events have no such field, or it is of another type.
        """
        described = inspect.type_info(record)
        types = {each.name: each.type for each in described.fields}  # type: ignore[attr-defined]  # a struct
        found = types.get(self.name)
        kinds, words = (_TEXT, "text") if says is str else (_NUMBER, "a number")
        options = getattr(found, "types", (found,))
        if not all(isinstance(option, (*kinds, inspect.NoneType)) for option in options):
            problem = "is no field" if found is None else f"is not {words}"
            raise InvalidDeclaration(
                f"label rule `{rule}`: `{self.name}` {problem} of {record.__name__}"
            )
        return attrgetter(self.name)

    def of(self, told: Iterable[Told]) -> LabelValue | None:
        """Tell the label, given what the events within the horizon say, in any order."""
        values = [value for _, value in sorted(told)]  # all are of one type
        return _TAKEN[self.take](values) if values else self.otherwise


def label_in(value: object, says: LabelType) -> LabelValue | None:
    """Tell the label that the value of a field is; `None`: it is none.

    As on `labels`, a class has 1 to 256 characters, and an amount lies within 1e12 of 0.

    >>> label_in(3, float), label_in("books", str), label_in("", str), label_in(1e300, float)
    (3.0, 'books', None, None)
    """
    if says is str:
        return value if isinstance(value, str) and 0 < len(value) <= MAX_CLASS_LENGTH else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) <= LARGEST_AMOUNT else None  # false for NaN
    return None


# `fsum` rounds once: a sum that rounds on the way depends on the order.
_TAKEN: Final[Mapping[Take, Callable[[list[LabelValue]], LabelValue]]] = MappingProxyType(
    {
        "first": lambda values: values[0],
        "last": lambda values: values[-1],
        "sum": fsum,  # type: ignore[dict-item]  # amounts, as was checked
        "max": max,
    }
)
