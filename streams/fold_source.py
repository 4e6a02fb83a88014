"""Write a fold's plan down as Python: an update function, and one that looks without an event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from streams.feature_kinds import LONGEST_AGO, SESSION_GAP, ActionFilter, DecayedCount, span_name
from streams.fold_plan import LARGEST, MICRO, Counted, Counter, FoldPlan, Mergeable, Merging
from streams.merging import MergeTiling

_MS: Final = timedelta(milliseconds=1)
_GAP_MS: Final = SESSION_GAP // _MS
_FORGOTTEN_MS: Final = LONGEST_AGO // _MS - 1
"""After longer a session has ended, whatever id goes on: the user may be forgotten by then."""


def write_update(plan: FoldPlan) -> str:
    """Write `update(state, event)`, in the order in which an event is worked off.

    Examples
    --------
    >>> from schemas.events import UserEvent
    >>> from streams.features import session_events
    >>> print(write_update(FoldPlan([session_events()], UserEvent)))
    def update(state, event):
        '''Add one event to its user's state; return the features as of it.'''
        ts = event.ts
        last = state.last_ms
        if ts >= last:
            now = ts
            if event.session_id != state.session_id or ts - last > (
                1800000 if event.session_id is None else 7775999999
            ):
                state.session_id = event.session_id
                state.session_start_ms = ts
                state.session_events = 1
            else:
                state.session_events += 1
            state.last_ms = ts
        else:
            now = last
            if event.session_id == state.session_id and (
                event.session_id is not None or state.session_start_ms - ts <= 1800000
            ):
                state.session_start_ms = min(state.session_start_ms, ts)
                state.session_events += 1
        features = no_features.copy()
        features['session_events'] = float(state.session_events)
        return features
    <BLANKLINE>
    """
    return "\n".join(("def update(state, event):", *_indented(_body(plan)), ""))


def write_view(plan: FoldPlan) -> str:
    """Write `view(state, served, now)`, which moves a state's windows on without an event.

    Examples
    --------
    >>> from schemas.events import UserEvent
    >>> from streams.features import hour_of_day, session_events
    >>> print(write_view(FoldPlan([hour_of_day(), session_events()], UserEvent)))
    def view(state, served, now):
        '''Return the features as of a later moment; of the last event, as they were served.'''
        last = state.last_ms
        features = no_features.copy()
        features['hour_sin'] = served['hour_sin']
        features['hour_cos'] = served['hour_cos']
        features['session_events'] = float(state.session_events)
        return features
    <BLANKLINE>
    """
    return "\n".join(("def view(state, served, now):", *_indented(_view_body(plan)), ""))


def _view_body(plan: FoldPlan) -> Iterator[str]:
    yield "'''Return the features as of a later moment; of the last event, as they were served.'''"
    yield "last = state.last_ms"
    if _has_windows(plan):
        yield "if now >= state.rolls_at_ms:"
        yield "    roll(state, now)"
    if plan.counters:
        yield "counts = state.counts"
    if plan.decays:
        yield "decays = ["
        for decayed, position in plan.decays.items():
            yield f"    state.decays[{position}] * {_decay('now - last', decayed)},"
        yield "]"
    if plan.previous:
        yield f"({_tuple(plan.previous.values())}) = state.latest"
    if plan.latest:
        yield "values, valued_at = state.values, state.valued_at"
    for merging, states in ((plan.lows, "lows"), (plan.sketches, "sketches"), (plan.tops, "tops")):
        if n := len(merging.tilings()):
            yield f"({_tuple(f'{states}_{i}' for i in range(n))}) = state.{states}"
    yield from _look_through_windows(plan)
    yield from _look_at_merged(plan)
    features = plan.features | {name: f"served[{name!r}]" for name in plan.of_event}
    yield from _return(plan, features)


def _return(plan: FoldPlan, features: Mapping[str, str]) -> Iterator[str]:
    for name, variable in plan.inputs.items():
        yield f"{variable} = {features[name]}"
    # To fill a copy takes a third less than a display that is too long for CPython's stack.
    yield "features = no_features.copy()"
    for name, expression in features.items():
        yield f"features[{name!r}] = {plan.inputs.get(name, expression)}"
    yield "return features"


def _body(plan: FoldPlan) -> Iterator[str]:
    yield "'''Add one event to its user's state; return the features as of it.'''"
    yield "ts = event.ts"
    yield "last = state.last_ms"
    for field, variable in plan.fields.items():
        yield f"{variable} = event.{field}"
    if plan.flags:
        yield f"({_tuple(plan.flags.values())}) = flags_of(event.action, no_flags)"
    for each, variable in plan.sketches.values.items():
        value = plan.fields[each.field]
        yield f"{variable} = sketch_of({value}) if {_counts(plan, each)} else {{}}"
    for top, variable in plan.tops.values.items():
        value = plan.fields[top.field]
        yield f"{variable} = summary_of({value}) if {_counts(plan, top)} else {{}}"
    if plan.counters:
        yield "counts = state.counts"
    if plan.decays:
        yield "decays = state.decays"
    if plan.latest:
        yield "values, valued_at = state.values, state.valued_at"
    yield "if ts >= last:"
    yield from _indented(_in_order(plan))
    yield "else:"
    yield from _indented(_out_of_order(plan))
    yield from _count(plan)
    for field in plan.fields:
        yield from _take_value(plan, field)
    if plan.counters:
        yield "if ts < last:"
        yield "    add_late(state, before, ts)"
    yield from _merge(plan)
    yield from _remember_when(plan)
    yield from _look_through_windows(plan)
    yield from _look_at_merged(plan)
    yield from _return(plan, plan.features)


def _in_order(plan: FoldPlan) -> Iterator[str]:
    yield "now = ts"
    if plan.has_sessions:
        yield "if event.session_id != state.session_id or ts - last > ("
        yield f"    {_GAP_MS} if event.session_id is None else {_FORGOTTEN_MS}"
        yield "):"
        yield from _indented(_close_session(plan))
        yield "    state.session_id = event.session_id"
        yield "    state.session_start_ms = ts"
        yield "    state.session_events = 1"
        yield "else:"
        yield "    state.session_events += 1"
    if _has_windows(plan):
        yield "if ts >= state.rolls_at_ms:"
        yield "    roll(state, ts)"
    for decayed, position in plan.decays.items():
        decay = _decay("ts - last", decayed)
        yield f"decays[{position}] = decays[{position}] * {decay} + {_flag(plan, decayed.only)}"
    yield "state.last_ms = ts"


def _close_session(plan: FoldPlan) -> Iterator[str]:
    """Count the session that ended, before time moves on: it ended at the last event."""
    sessions = plan.counters.get(Counter("sessions"))
    session_ms = plan.counters.get(Counter("session_ms"))
    if sessions is not None:
        yield "if state.session_events:"
        yield f"    counts[{sessions}] += 1"
        if session_ms is not None:
            yield f"    counts[{session_ms}] += last - state.session_start_ms"


def _out_of_order(plan: FoldPlan) -> Iterator[str]:
    yield "now = last"
    if plan.counters:
        yield "before = counts.copy()"
    for decayed, position in plan.decays.items():
        decay = _decay("last - ts", decayed)
        yield f"decays[{position}] += {_flag(plan, decayed.only)} * {decay}"
    if plan.has_sessions:
        yield "if event.session_id == state.session_id and ("
        yield (f"    event.session_id is not None or state.session_start_ms - ts <= {_GAP_MS}")
        yield "):"
        yield "    state.session_start_ms = min(state.session_start_ms, ts)"
        yield "    state.session_events += 1"


def _count(plan: FoldPlan) -> Iterator[str]:
    for (of, only, _), position in plan.counters.items():
        if of == "events":
            yield f"counts[{position}] += {_flag(plan, only)}"


def _take_value(plan: FoldPlan, field: str) -> Iterator[str]:
    """Count a field's value and remember it, where the event has one."""
    value, bounded = plan.fields[field], plan.bounded.get(field)
    with_value = [*_count_value(plan, field), *_remember_value(plan, field)]
    lows = {low: name for low, name in plan.lows.values.items() if low.field == field}
    for low, variable in lows.items():
        sign = "-" if low.statistic == "max" else ""
        passes = "" if low.only is None else f" if {plan.flags[low.only]} else NOTHING"
        with_value.append(f"{variable} = {sign}float({bounded}){passes}")
    if not with_value:
        return
    yield f"if {value} is not None:"
    if bounded is not None:
        is_within = f"{-LARGEST!r} <= {value} <= {LARGEST!r}"
        yield f"    {bounded} = {value} if {is_within} else clipped({value})"
    yield from _indented(with_value)
    if lows:
        yield "else:"
        yield f"    {' = '.join(lows.values())} = NOTHING"


def _count_value(plan: FoldPlan, field: str) -> Iterator[str]:
    for of, power in (("millionths", ""), ("squares", " ** 2")):
        amount = plan.amounts.get((of, field))
        if amount is not None:
            yield f"{amount} = round({plan.bounded[field]}{power} * {MICRO})"
    for (of, only, counted), position in plan.counters.items():
        if counted == field:
            n = _flag(plan, only)
            amount = plan.amounts.get((of, field))
            if amount is not None:
                n = amount if only is None else f"{n} * {amount}"
            yield f"counts[{position}] += {n}"


def _remember_value(plan: FoldPlan, field: str) -> Iterator[str]:
    """Keep the latest value; of two of one moment it is the larger one."""
    bounded = plan.bounded.get(field)
    for each, position in plan.latest.items():
        if each.field != field:
            continue
        passes = "" if each.only is None else f"{plan.flags[each.only]} and "
        yield f"if {passes}ts >= valued_at[{position}] and ("
        yield f"    ts > valued_at[{position}] or {bounded} > values[{position}]"
        yield "):"
        yield f"    valued_at[{position}], values[{position}] = ts, float({bounded})"


def _remember_when(plan: FoldPlan) -> Iterator[str]:
    if plan.previous:
        yield "latest = state.latest"
        yield f"({_tuple(plan.previous.values())}) = latest"
    for position, (only, previous) in enumerate(plan.previous.items()):
        yield f"if {plan.flags[only]} and ts > {previous}:"
        yield f"    latest[{position}] = ts"


def _look_through_windows(plan: FoldPlan) -> Iterator[str]:
    """Take what lies behind each window from all there ever was."""
    if not plan.counters:
        return
    yield f"({_tuple(f'count_{i}' for i in range(len(plan.counters)))}) = counts"
    behind: dict[tuple[Counted, int], str] = {}
    yield f"({_tuple(f'tiles_{i}' for i in range(len(plan.tilings)))}) = state.tiles"
    for i, tiling in enumerate(plan.tilings):
        names = [f"behind_{span_name(span_ms * _MS)}" for span_ms in tiling.spans_ms]
        yield f"({_tuple(names)}) = tiles_{i}.behind"
        columns = plan.columns[tiling.width_ms]
        for name, span_ms in zip(names, tiling.spans_ms, strict=True):
            for column, counted in enumerate(columns):
                behind[counted, span_ms] = f"{name}[{column}]"
    for (counted, span_ms), variable in plan.windows.items():
        position = plan.counters[counted[0]]
        yield f"{variable} = count_{position} - {behind[counted, span_ms]}"


def _counts(plan: FoldPlan, value: Mergeable) -> str:
    """Say when an event has a value that counts."""
    passes = "" if value.only is None else f"{plan.flags[value.only]} and "
    return f"{passes}{plan.fields[value.field]} is not None"


def _merge(plan: FoldPlan) -> Iterator[str]:
    """Let the open tiles know the values of this event, or those where it belongs."""
    if lows := list(plan.lows.values.values()):
        yield f"({_tuple(f'lows_{i}' for i in range(len(plan.low_tilings)))}) = state.lows"
        yield "if ts < last:"
        yield f"    add_late_lows(state, ({_tuple(lows)}), ts)"
        yield "else:"
        for i, low_tiling in enumerate(plan.low_tilings):
            yield f"    opened = lows_{i}.opened"
            for position, column in enumerate(low_tiling.columns):
                yield f"    if {lows[column]} < opened[{position}]:"
                yield f"        opened[{position}] = {lows[column]}"
    if sketches := list(plan.sketches.values.values()):
        names = _tuple(f"sketches_{i}" for i in range(len(plan.sketch_tilings)))
        yield f"({names}) = state.sketches"
        yield "if ts < last:"
        yield f"    add_late_sketches(state, ({_tuple(sketches)}), ts)"
        yield "else:"
        for i, sketch_tiling in enumerate(plan.sketch_tilings):
            yield f"    opened = sketches_{i}.opened"
            for position, column in enumerate(sketch_tiling.columns):
                yield f"    sketch = opened[{position}]"
                yield f"    for register, rank in {sketches[column]}.items():"
                yield "        if rank > sketch.get(register, 0):"
                yield "            sketch[register] = rank"

    if tops := list(plan.tops.values.values()):
        yield f"({_tuple(f'tops_{i}' for i in range(len(plan.top_tilings)))}) = state.tops"
        yield "if ts < last:"
        yield f"    add_late_tops(state, ({_tuple(tops)}), ts)"
        yield "else:"
        for i, top_tiling in enumerate(plan.top_tilings):
            yield f"    opened = tops_{i}.opened"
            for position, column in enumerate(top_tiling.columns):
                yield f"    opened[{position}] = combined(opened[{position}], {tops[column]})"


def _look_at_merged(plan: FoldPlan) -> Iterator[str]:
    """Merge the open tile with what is closed in each window."""
    all_merged: tuple[tuple[Merging[Any], Sequence[MergeTiling[Any]], str, str], ...] = (
        (plan.lows, plan.low_tilings, "lows", "low if (low := {0}) < {1} else {1}"),
        # The open tile last: it has less, and these two go through what is last.
        (plan.sketches, plan.sketch_tilings, "sketches", "cardinality_of_union({0}, {1})"),
        (plan.tops, plan.top_tilings, "tops", "most_frequent({0}, {1})"),
    )
    for merging, tilings, state, merged in all_merged:
        values = list(merging.values)
        for i, tiling in enumerate(tilings):
            for window, span_ms in enumerate(tiling.spans_ms):
                for position, column in enumerate(tiling.columns):
                    variable = merging.windows.get((values[column], span_ms))
                    if variable is not None:
                        closed = f"{state}_{i}.closed[{window}][{position}]"
                        opened = f"{state}_{i}.opened[{position}]"
                        yield f"{variable} = {merged.format(closed, opened)}"


def _has_windows(plan: FoldPlan) -> bool:
    return bool(plan.counters or plan.lows.values or plan.sketches.values or plan.tops.values)


def _decay(ms: str, decayed: DecayedCount) -> str:
    return f"0.5 ** (({ms}) / {decayed.half_life // _MS})"


def _flag(plan: FoldPlan, only: ActionFilter | None) -> str:
    return "1" if only is None else plan.flags[only]


def _tuple(names: Iterable[str]) -> str:
    return "".join(f"{name}, " for name in names).strip()


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)
