"""Feature declarations as a table for people."""

from typing import NamedTuple

from streams.feature_kinds import (
    ActionFilter,
    CurrentSession,
    DecayedCount,
    Derived,
    Feature,
    FieldValue,
    HourOfDay,
    IsAction,
    Latest,
    OneOf,
    RequestTime,
    Rolling,
    TimeSince,
    TopValue,
    span_name,
)


class Declaration(NamedTuple):
    """What a feature computes, of what, over which span."""

    kind: str
    of: str = ""
    over: str = ""


def describe(feature: Feature) -> Declaration:  # noqa: PLR0911 - one for each kind
    """Say what a declaration declares.

    >>> from datetime import timedelta
    >>> from streams.features import action, hour_of_day, rate
    >>> describe(rate(action({"product_view", "cart"}, name="click"), over=timedelta(days=7)))
    Declaration(kind='rate', of='cart, product_view', over='7d')
    >>> describe(hour_of_day())
    Declaration(kind='hour of day', of='', over='')
    """
    match feature:
        case Rolling():
            subject = [feature.field] if feature.field else []
            subject += [_actions(feature.only)] if feature.only else []
            kind = feature.statistic.replace("_", " ")
            return Declaration(kind, ": ".join(subject), span_name(feature.over))
        case TopValue():
            of = f"{feature.field} of {_actions(feature.only)}" if feature.only else feature.field
            values = ", ".join(feature.values)
            return Declaration("top value", f"{of}: {values}", span_name(feature.over))
        case TimeSince():
            return Declaration("time since", _actions(feature.only) if feature.only else "")
        case CurrentSession():
            return Declaration(f"session {feature.statistic}")
        case IsAction():
            return Declaration("is action", _actions(feature.only))
        case OneOf():
            return Declaration("one of", f"{feature.field}: {', '.join(feature.values)}")
        case HourOfDay():
            return Declaration("hour of day")
        case DecayedCount():
            of = _actions(feature.only) if feature.only else ""
            return Declaration("decayed count", of, span_name(feature.half_life))
        case Latest():
            of = f": {_actions(feature.only)}" if feature.only else ""
            return Declaration("latest", feature.field + of)
        case FieldValue():
            return Declaration("field value", feature.field)
        case RequestTime():
            return Declaration("request time", ", ".join(feature.of))
        case Derived():
            return Declaration("derived", ", ".join(feature.of))


def _actions(only: ActionFilter) -> str:
    return ", ".join(only.actions)
