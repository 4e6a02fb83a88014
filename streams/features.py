"""Features are data: what to compute of a user's events, over which span.

`streams.fold.compile_features` turns declarations into one update function. Time is event time.
Let `t` be the largest event time seen of the user: windows are trailing and half-open,
`(t - span, t]`, with a tail that is exact to a tile (`streams.windows`). Every feature is a finite
number, whatever the user has done or not done so far.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta

from streams.feature_kinds import (
    ActionFilter,
    CurrentSession,
    DecayedCount,
    Derived,
    FieldValue,
    HourOfDay,
    IsAction,
    Latest,
    OneOf,
    RequestTime,
    Rolling,
    TimeSince,
    TopValue,
    several,
)


def action(actions: Iterable[str], *, name: str) -> ActionFilter:
    """Name a set of actions, for features that look at them alone.

    >>> action({"cart", "add_to_cart"}, name="basket")
    ActionFilter(name='basket', actions=('add_to_cart', 'cart'))
    """
    return ActionFilter(name, tuple(sorted(several(actions, f"filter `{name}`"))))


def count(only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Count events, this one included.

    >>> count(over=timedelta(hours=1)).names
    ('event_count_1h',)
    """
    return Rolling("count", over, only)


def rate(only: ActionFilter, *, over: timedelta) -> Rolling:
    """Divide the count of some events by the count of all.

    >>> rate(action({"view"}, name="click"), over=timedelta(days=7)).names
    ('click_rate_7d',)
    """
    return Rolling("rate", over, only)


def total(field: str, only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Add up a numeric field; an event without it adds nothing.

    >>> total("amount", over=timedelta(days=30)).names
    ('amount_total_30d',)
    """
    return Rolling("total", over, only, field)


def mean(field: str, only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Average a numeric field over the events that have it; 0 when none has.

    >>> mean("amount", action({"purchase"}, name="purchase"), over=timedelta(days=30)).names
    ('purchase_amount_mean_30d',)
    """
    return Rolling("mean", over, only, field)


def variance(field: str, only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Measure how far a numeric field scatters about its mean, squared: that of a population.

    0 for less than two values. Squares are rounded to millionths, so the variance is within a
    millionth of `1 + 2 * abs(mean)`; beyond 10^9 squares are floats, exact to a 10^15th.

    >>> variance("amount", over=timedelta(days=30)).names
    ('amount_variance_30d',)
    """
    return Rolling("variance", over, only, field)


def minimum(field: str, only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Find the smallest value of a numeric field; 0 when no event has it.

    >>> minimum("amount", over=timedelta(days=1)).names
    ('amount_min_1d',)
    """
    return Rolling("min", over, only, field)


def maximum(field: str, only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Find the largest value of a numeric field; 0 when no event has it.

    >>> maximum("amount", action({"purchase"}, name="purchase"), over=timedelta(days=90)).names
    ('purchase_amount_max_90d',)
    """
    return Rolling("max", over, only, field)


def distinct(field: str, only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Estimate how many different values a field had, text or number; 0 when no event has it.

    Within some 5 % (one standard error) for up to some hundred, 7 % for many; off by less than one
    for up to some twenty: see `streams.distinct`.

    >>> distinct("item_id", over=timedelta(days=7)).names
    ('item_id_distinct_7d',)
    """
    return Rolling("distinct", over, only, field)


def top_value(
    field: str, values: Iterable[str], only: ActionFilter | None = None, *, over: timedelta
) -> TopValue:
    """Tell for each value whether a text field had it most often: 1 or 0.

    Values that are not told of compete as well; of several that are equally frequent it is the
    first in alphabetical order. Sure while there are few values, and for whatever leads the next by
    more than `streams.frequent.WITHIN` of all events that have the field.

    >>> top_value("platform", ("mobile", "desktop"), over=timedelta(days=7)).names
    ('platform_top_7d_is_mobile', 'platform_top_7d_is_desktop')
    """
    return TopValue(field, several(values, f"`top_value` of `{field}`"), over, only)


def top_share(field: str, only: ActionFilter | None = None, *, over: timedelta) -> Rolling:
    """Divide how often a field had its most frequent value by how often it had any.

    Text or number; 0 when no event has it. Never too large, and too small by at most
    `streams.frequent.WITHIN`.

    >>> top_share("item_id", over=timedelta(days=7)).names
    ('item_id_top_share_7d',)
    """
    return Rolling("top_share", over, only, field)


def time_since(only: ActionFilter | None = None) -> TimeSince:
    """Tell how long ago the previous such event was, this one aside: `log1p` of the seconds.

    A linear model can use the logarithm: what separates a second from a minute matters more than
    what separates a day from a day and a minute. Longer than `LONGEST_AGO`, or never, is
    `LONGEST_AGO`: forgetting a user after that time changes nothing.

    >>> time_since(action({"purchase"}, name="purchase")).names
    ('seconds_since_purchase',)
    """
    return TimeSince(only)


def session_events() -> CurrentSession:
    """Count the events of the current session, that of the user's latest event.

    A session is what shares a `session_id`; events without one belong together when no
    `SESSION_GAP` lies between them, others when no `LONGEST_AGO` does. A session ends when a later
    event belongs to another one.

    >>> session_events().names
    ('session_events',)
    """
    return CurrentSession("events")


def session_duration() -> CurrentSession:
    """Measure the current session so far, from its first to its latest event, in seconds.

    >>> session_duration().names
    ('session_duration',)
    """
    return CurrentSession("duration")


def session_duration_mean(*, over: timedelta) -> Rolling:
    """Average the seconds of the sessions that ended in the window; 0 when none did.

    >>> session_duration_mean(over=timedelta(days=30)).names
    ('session_duration_mean_30d',)
    """
    return Rolling("session_duration_mean", over)


def session_count(*, over: timedelta) -> Rolling:
    """Count the sessions that ended in the window, and the current one.

    >>> session_count(over=timedelta(days=30)).names
    ('session_count_30d',)
    """
    return Rolling("session_count", over)


def is_action(actions: Iterable[str], *, name: str) -> IsAction:
    """Tell whether this very event has one of these actions: 1 or 0.

    >>> is_action({"cart"}, name="checkout").names
    ('is_checkout',)
    """
    return IsAction(action(actions, name=name))


def one_of(field: str, values: Iterable[str]) -> OneOf:
    """Tell for each value whether a text field of this very event has it: 1 or 0.

    >>> one_of("platform", ("mobile", "desktop")).names
    ('platform_is_mobile', 'platform_is_desktop')
    """
    return OneOf(field, several(values, f"`one_of` of `{field}`"))


def hour_of_day() -> HourOfDay:
    """Place this very event on the clock's circle (UTC), so that 23:59 is next to 0:00.

    >>> hour_of_day().names
    ('hour_sin', 'hour_cos')
    """
    return HourOfDay()


def decayed_count(only: ActionFilter | None = None, *, half_life: timedelta) -> DecayedCount:
    """Count events, each of them less the older it is: after a half-life, for a half.

    All that a user ever did is in it, in one number, without the steps of a window's tail.

    >>> decayed_count(action({"view"}, name="click"), half_life=timedelta(hours=6)).names
    ('click_decayed_count_6h',)
    """
    return DecayedCount(half_life, only)


def latest(field: str, only: ActionFilter | None = None) -> Latest:
    """Tell the latest value of a numeric field, that of this event included.

    Of two values of one moment it is the larger one; 0 after `LONGEST_AGO`, or if there was none.

    >>> latest("amount", action({"purchase"}, name="purchase")).names
    ('purchase_amount_latest',)
    """
    return Latest(field, only)


def field_value(field: str) -> FieldValue:
    """Tell the value of a numeric field of this very event, 0 if it has none.

    >>> field_value("amount").names
    ('event_amount',)
    """
    return FieldValue(field)


def request_time(
    name: str, function: Callable[..., float], *fields: str, version: int = 1
) -> RequestTime:
    """Compute a feature of this very event when it is predicted for; nothing of it is remembered.

    With `derived` it meets what is remembered: how this amount compares to the mean, say.

    Parameters
    ----------
    function
        Takes the values of the fields as cleaning left them, `None` where the event has none, and
        returns a finite number; the same for the same values, whenever and wherever it is called.
        An event that makes it raise is set aside.
    fields
        Names of the event's fields.
    version
        Raise it whenever `function` comes to mean something else; see `derived`.

    Examples
    --------
    >>> def is_weekend(ts: int) -> float:
    ...     return float((ts // 86_400_000 + 3) % 7 >= 5)
    >>> request_time("is_weekend", is_weekend, "ts").names
    ('is_weekend',)
    """
    return RequestTime(name, fields, version, function)


def derived(name: str, function: Callable[..., float], *of: str, version: int = 1) -> Derived:
    """Compute a feature from others that are declared before it.

    Parameters
    ----------
    function
        Takes their values and returns a finite number; the same for the same values, whenever and
        wherever it is called. An event that makes it raise is set aside.
    of
        Names of features.
    version
        Raise it whenever `function` comes to mean something else: models learn a new feature then,
        and not another meaning of the old one.

    Examples
    --------
    >>> def share(part: float, whole: float) -> float:
    ...     return part / whole if whole else 0.0
    >>> derived("spree", share, "amount_total_1h", "amount_total_30d", version=2).names
    ('spree_v2',)
    """
    return Derived(name, of, version, function)
