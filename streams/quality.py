"""How good the data is that comes in: what of it breaks which expectation, counted by batch.

For each event there is one check of each expected field, if the expectation is about events of its
action, one of whether it is new, and one of whether it is in time. The **score** is the share of
checks without a finding. An event that is set aside fails all of its checks: nothing of it can be
used. So a score of 0.95 says that one in twenty things that were held to be true was not, however
many fields there are and wherever the findings lie.

What follows from declarations is decided once; a batch is gone through field by field.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, TypeVar

from msgspec import inspect

from schemas.errors import InvalidRecord
from schemas.events import UserEvent
from streams.expectations import Expectation
from streams.feature_kinds import Derived, Feature, FieldValue, OneOf
from streams.frequent import Summary, examples

RECORD: Final = "*"
"""Stands for a field where a finding is about a whole record."""
RECORD_CHECKS: Final = 2
"""Whether an event is new, and whether it is in time."""
EXEMPLAR_LENGTH: Final = 120
"""In characters."""

_TEXT: Final = (inspect.StrType, inspect.LiteralType, inspect.NoneType)
_NUMBER: Final = (inspect.IntType, inspect.FloatType, inspect.NoneType)


class Finding(StrEnum):
    """What an event can be served with; why one is set aside is a `schemas.reasons.Reason`."""

    NULL = "null"
    """A required field has no value."""
    UNKNOWN_CATEGORY = "unknown_category"
    OUT_OF_RANGE = "out_of_range"
    DUPLICATE = "duplicate"
    LATE = "late"


OF_FIELDS: Final = frozenset({Finding.NULL, Finding.UNKNOWN_CATEGORY, Finding.OUT_OF_RANGE})
"""Findings in the fields of events that are served."""

Where = tuple[str, str]
"""Field and finding, or reason; `RECORD` for a field if none is to blame."""


@dataclass(slots=True)
class Tally:
    """What was found in some events. Tallies of batches, partitions and processes add up.

    >>> bad = Tally(served=8, duplicates=1, found={("*", "not_json"): 1})
    >>> bad.events, bad.score(n_fields=0)
    (10, 0.85)
    >>> (bad + bad).events
    20
    """

    served: int = 0
    duplicates: int = 0
    late: int = 0
    """Of those served."""
    checks: dict[str, int] = field(default_factory=dict)
    """Expected field -> events whose value was looked at."""
    nulls: dict[str, int] = field(default_factory=dict)
    """Expected field -> how many had none, be it a finding or not."""
    found: dict[Where, int] = field(default_factory=dict)
    """Findings in fields of events that were served, and reasons of those that were set aside."""
    missing: dict[str, int] = field(default_factory=dict)
    """Feature -> how often it stood at its default, since what it reads of the event was null."""
    exemplars: dict[Where, Summary] = field(default_factory=dict)
    """What the findings are about, the most frequent."""

    def __add__(self, other: "Tally") -> "Tally":
        exemplars = dict(self.exemplars)
        for where, summary in other.exemplars.items():
            exemplars[where] = examples(exemplars.get(where, {}), summary)
        return Tally(
            self.served + other.served,
            self.duplicates + other.duplicates,
            self.late + other.late,
            _sums(self.checks, other.checks),
            _sums(self.nulls, other.nulls),
            _sums(self.found, other.found),
            _sums(self.missing, other.missing),
            exemplars,
        )

    @property
    def refused(self) -> int:
        """Events that were set aside."""
        return sum(n for (_, finding), n in self.found.items() if finding not in OF_FIELDS)

    @property
    def events(self) -> int:
        """All that came in."""
        return self.served + self.duplicates + self.refused

    def n_checks(self, n_fields: int) -> int:
        """Tell how much was held to be true."""
        refused = self.refused
        return RECORD_CHECKS * self.events + sum(self.checks.values()) + n_fields * refused

    def n_failed(self, n_fields: int) -> int:
        """Tell how much of it was not."""
        refused = self.refused
        in_fields = sum(self.found.values()) - refused
        return self.duplicates + self.late + in_fields + (n_fields + RECORD_CHECKS) * refused

    def score(self, n_fields: int) -> float:
        """Tell the share of checks without a finding; of nothing it is 1.

        Parameters
        ----------
        n_fields
            How many fields there are expectations of.
        """
        n_checks = self.n_checks(n_fields)
        return 1 - self.n_failed(n_fields) / n_checks if n_checks else 1.0


K = TypeVar("K")
Values = list[Any]
_FindIn = Callable[[Values], Mapping[Any, int]]
"""From a field's values to those that are not as expected, and how often they came."""


class QualityJudge:
    """Counts what batches of events have of findings.

    Parameters
    ----------
    expectations
        At most one for each field.
    record
        The type of the events.
    features
        What is served; those that read a field of the very event are missing without it.

    Raises
    ------
    InvalidDeclaration
        An expectation is of no field, or of one of another type; or there are two of one field.

    Examples
    --------
    >>> from streams.expectations import expect
    >>> judge = QualityJudge([expect("amount", between=(0, 1_000))], UserEvent)
    >>> tally = judge.judge([UserEvent("ada", "buy", 0, amount=9.5), UserEvent("bob", "buy", 0),
    ...                      UserEvent("eve", "buy", 0, amount=-3.0)])
    >>> dict(tally.nulls), dict(tally.found), tally.exemplars
    ({'amount': 1}, {('amount', <Finding.OUT_OF_RANGE: 'out_of_range'>): 1}, \
{('amount', <Finding.OUT_OF_RANGE: 'out_of_range'>): {'-3.0': 1}})
    >>> round(tally.score(n_fields=1), 3)
    0.889
    """

    def __init__(
        self,
        expectations: Sequence[Expectation],
        record: type[UserEvent],
        features: Sequence[Feature] = (),
    ) -> None:
        self.expectations: Final = {each.field: each for each in expectations}
        for each in expectations:
            _check(each, record)
            if self.expectations[each.field] is not each:
                raise each.wrong("is declared twice")
        self._parts = [(each, attrgetter(each.field), _find_in(each)) for each in expectations]
        self._nothing = dict.fromkeys(self.expectations, 0)
        grouped = features_by_fields(features)
        self.features: Final = tuple(name for names in grouped.values() for name in names)
        """Those that can be missing."""
        in_all = {each.field for each in expectations if each.only is None}
        self._readers = [
            (fields & in_all if len(fields) == 1 else (), attrgetter(*sorted(fields)), names)
            for fields, names in grouped.items()
        ]

    def judge(
        self,
        served: Sequence[UserEvent],
        refused: Iterable[InvalidRecord] = (),
        *,
        duplicates: int = 0,
        late: int = 0,
    ) -> Tally:
        """Count what a batch has of findings.

        Parameters
        ----------
        served
            Events that were predicted.
        refused
            Why others were set aside.
        duplicates
            How many were dropped.
        late
            How many of those served came behind the watermark.
        """
        tally = Tally(len(served), duplicates, late, dict(self._nothing), dict(self._nothing))
        for expectation, value_of, find in self._parts:
            only = expectation.only
            events = served if only is None else [e for e in served if e.action in only.actions]
            values: Values = list(map(value_of, events))
            name = expectation.field
            tally.checks[name] = len(values)
            if n_null := values.count(None):
                tally.nulls[name] = n_null
                if expectation.required:
                    tally.found[name, Finding.NULL] = n_null
            if unexpected := find(values):
                is_text = expectation.one_of is not None
                kind = Finding.UNKNOWN_CATEGORY if is_text else Finding.OUT_OF_RANGE
                tally.found[name, kind] = sum(unexpected.values())
                tally.exemplars[name, kind] = _summary(unexpected)
        for counted, values_of, names in self._readers:
            if counted:
                (name,) = counted
                n_missing = tally.nulls[name]
            else:
                rows: Values = list(map(values_of, served))
                n_missing = rows.count(None) + sum(
                    type(row) is tuple and None in row for row in rows
                )
            if n_missing:
                tally.missing |= dict.fromkeys(names, n_missing)
        self._count_refused(tally, refused)
        return tally

    @staticmethod
    def _count_refused(tally: Tally, refused: Iterable[InvalidRecord]) -> None:
        details: dict[Where, Counter[str]] = {}
        for each in refused:
            where = (each.field or RECORD, each.reason.value)
            tally.found[where] = tally.found.get(where, 0) + 1
            details.setdefault(where, Counter())[each.detail] += 1
        for where, counts in details.items():
            tally.exemplars[where] = _summary(counts)


def features_by_fields(features: Sequence[Feature]) -> dict[frozenset[str], tuple[str, ...]]:
    """Group the features that read fields of the very event by the fields they read.

    A function of such features is missing when one of them is. A window is not: that an event has
    nothing to add to it is no fault.

    >>> from streams.features import derived, field_value, one_of
    >>> features_by_fields([one_of("platform", ["tv"]), field_value("amount"),
    ...                     derived("cents", lambda amount: 100 * amount, "event_amount")])
    {frozenset({'platform'}): ('platform_is_tv',), frozenset({'amount'}): ('event_amount', 'cents')}
    """
    fields_of: dict[str, frozenset[str]] = {}
    for feature in features:
        match feature:
            case OneOf(field=name) | FieldValue(field=name):
                fields = frozenset({name})
            case Derived(of=of):
                fields = frozenset().union(*(fields_of.get(each, frozenset()) for each in of))
            case _:
                continue
        fields_of |= dict.fromkeys(feature.names, fields)
    grouped: dict[frozenset[str], tuple[str, ...]] = {}
    for name, fields in fields_of.items():
        if fields:
            grouped[fields] = (*grouped.get(fields, ()), name)
    return grouped


def _check(expectation: Expectation, record: type[UserEvent]) -> None:
    described = inspect.type_info(record)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - for the type checker
    types = {f.name: f.type for f in described.fields}
    name = expectation.field
    if name not in types:
        raise expectation.wrong(f"is of no field that {record.__name__} has")
    options = getattr(types[name], "types", (types[name],))
    for declared, kinds, words in (
        (expectation.one_of, _TEXT, "`one_of`, but the field is not text"),
        (expectation.between, _NUMBER, "`between`, but the field is not a number"),
    ):
        if declared is not None and not all(isinstance(option, kinds) for option in options):
            raise expectation.wrong(f"has {words} in {record.__name__}")


def _find_in(expectation: Expectation) -> _FindIn:
    """Choose how values are looked at: in C, as far as nothing is wrong with them."""
    if expectation.one_of is not None:
        known = {None, *expectation.one_of}

        def find_unknown(values: Values) -> Mapping[Any, int]:
            unknown = set(values) - known
            return Counter(value for value in values if value in unknown) if unknown else {}

        return find_unknown

    if expectation.between is not None:
        low, high = expectation.between

        def find_outside(values: Values) -> Mapping[Any, int]:
            numbers = [value for value in values if value is not None]
            if not numbers or low <= min(numbers) <= max(numbers) <= high:
                return {}
            return Counter(value for value in numbers if not low <= value <= high)

        return find_outside

    return lambda _: {}


def _sums(one: Mapping[K, int], other: Mapping[K, int]) -> dict[K, int]:
    sums = dict(one)
    for key, n in other.items():
        sums[key] = sums.get(key, 0) + n
    return sums


def _summary(counts: Mapping[Any, int]) -> Summary:
    shortened: Counter[str] = Counter()
    for value, n in counts.items():
        shortened[str(value)[:EXEMPLAR_LENGTH]] += n
    return examples({}, shortened)
