"""Expectations are data: what is held to be true of the fields of events.

An event that breaks one is served like any other, and counted: `streams.quality`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Final

from schemas.errors import InvalidDeclaration
from streams.feature_kinds import ActionFilter, several

TOLERANCE: Final = 0.01
"""Share of checks that may have a finding, where nothing else is declared."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """See `expect`."""

    field: str
    only: ActionFilter | None
    one_of: tuple[str, ...] | None
    between: tuple[float, float] | None
    required: bool
    tolerance: float

    def __post_init__(self) -> None:
        if self.one_of is not None and self.between is not None:
            raise self.wrong("is either `one_of` some values or `between` two numbers, not both")
        if self.one_of is not None:
            several(self.one_of, f"the expectation of `{self.field}`")
        if self.between is not None:
            low, high = self.between
            if not (isfinite(low) and isfinite(high) and low <= high):
                raise self.wrong(f"needs two ascending numbers for `between`, not {self.between}")
        if not 0 < self.tolerance < 1:
            raise self.wrong(f"needs a `tolerance` between 0 and 1, not {self.tolerance}")

    def wrong(self, problem: str) -> InvalidDeclaration:
        """Name this expectation in an error."""
        return InvalidDeclaration(f"the expectation of `{self.field}` {problem}")


def expect(
    field: str,
    only: ActionFilter | None = None,
    *,
    one_of: Iterable[str] | None = None,
    between: tuple[float, float] | None = None,
    required: bool = False,
    tolerance: float = TOLERANCE,
) -> Expectation:
    """Say what the values of a field are, in the events that pass the filter, or in all.

    How often the field is null is told in any case.

    Parameters
    ----------
    one_of
        The categories of a text field.
    between
        The smallest and the largest value of a numeric field.
    required
        Null is a finding, too.
    tolerance
        Share of the checked events that may have one kind of finding before an alert is raised.

    Examples
    --------
    >>> expect("platform", one_of={"mobile", "desktop"}, required=True).one_of
    ('desktop', 'mobile')
    >>> expect("amount", between=(10, 0))
    Traceback (most recent call last):
    schemas.errors.InvalidDeclaration: the expectation of `amount` needs two ascending numbers \
for `between`, not (10, 0)
    """
    of = f"the expectation of `{field}`"
    categories = None if one_of is None else tuple(sorted(set(several(one_of, of))))
    return Expectation(field, only, categories, between, required, tolerance)
