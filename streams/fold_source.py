"""Write a fold's plan down as Python: an update function, and one that looks without an event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from streams.feature_kinds import SESSION_GAP, ActionFilter, DecayedCount, span_name
from streams.fold_plan import Counter, FoldPlan, Mergeable, Merging
from streams.merging import MergeTiling
from streams.windows import tile_width_ms

_MS: Final = timedelta(milliseconds=1)
_GAP_MS: Final = SESSION_GAP // _MS


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
            if event.session_id != state.session_id or (
                event.session_id is None and ts - last > 1800000
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
        return {
            'session_events': float(state.session_events),
        }
    <BLANKLINE>
    """
    return "\n".join(("def update(state, event):", *_indented(_body(plan)), ""))


def write_view(plan: FoldPlan) -> str:
    """Write `view(state, served, now)`, which moves a state's windows on without an event.

    Examples
    --------
    >>> from schemas.events import UserEvent
    >>> from streams.features import hour_of_day, session_events, time_since
    >>> print(write_view(FoldPlan([hour_of_day(), time_since(), session_events()], UserEvent)))
    def view(state, served, now):
        '''Return the features as of a later moment; of the last event, as they were served.'''
        last = state.last_ms
        return {
            'hour_sin': served['hour_sin'],
            'hour_cos': served['hour_cos'],
            'seconds_since_event': log1p(min(now - last, 7776000000) / 1000),
            'session_events': float(state.session_events),
        }
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
    yield "return {"
    for name, expression in features.items():
        yield f"    {name!r}: {plan.inputs.get(name, expression)},"
    yield "}"


def _body(plan: FoldPlan) -> Iterator[str]:
    yield "'''Add one event to its user's state; return the features as of it.'''"
    yield "ts = event.ts"
    yield "last = state.last_ms"
    for field, variable in plan.fields.items():
        yield f"{variable} = event.{field}"
    if plan.flags:
        yield f"({_tuple(plan.flags.values())}) = flags_of(event.action, no_flags)"
    for low, variable in plan.lows.values.items():
        sign = "-" if low.statistic == "max" else ""
        counts, value = _counts(plan, low), plan.fields[low.field]
        yield f"{variable} = {sign}bounded({value}) if {counts} else NOTHING"
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
    yield "if ts >= last:"
    yield from _indented(_in_order(plan))
    yield "else:"
    yield from _indented(_out_of_order(plan))
    yield from _count(plan)
    if plan.counters:
        yield "if ts < last:"
        yield "    add_late(state, before, ts)"
    yield from _merge(plan)
    yield from _remember_latest(plan)
    yield from _look_through_windows(plan)
    yield from _look_at_merged(plan)
    yield from _return(plan, plan.features)


def _in_order(plan: FoldPlan) -> Iterator[str]:
    yield "now = ts"
    if plan.has_sessions:
        yield "if event.session_id != state.session_id or ("
        yield f"    event.session_id is None and ts - last > {_GAP_MS}"
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
    for (of, only, field), position in plan.counters.items():
        if of in ("sessions", "session_ms"):
            continue
        flag = _flag(plan, only)
        if field is None:
            yield f"counts[{position}] += {flag}"
        else:
            value = plan.fields[field]
            amount = flag if of == "values" else f"{flag} * {of}({value})"
            yield f"if {value} is not None:"
            yield f"    counts[{position}] += {amount}"


def _remember_latest(plan: FoldPlan) -> Iterator[str]:
    if plan.previous:
        yield "latest = state.latest"
        yield f"({_tuple(plan.previous.values())}) = latest"
    for position, (only, previous) in enumerate(plan.previous.items()):
        yield f"if {plan.flags[only]} and ts > {previous}:"
        yield f"    latest[{position}] = ts"
    if plan.latest:
        yield "values, valued_at = state.values, state.valued_at"
    for each, position in plan.latest.items():
        value = plan.fields[each.field]
        passes = "" if each.only is None else f"{plan.flags[each.only]} and "
        yield f"if {passes}{value} is not None:"
        yield f"    if (ts, bounded({value})) > (valued_at[{position}], values[{position}]):"
        yield f"        valued_at[{position}], values[{position}] = ts, bounded({value})"


def _look_through_windows(plan: FoldPlan) -> Iterator[str]:
    """Take what lies behind each window from all there ever was."""
    if not plan.counters:
        return
    spans = [
        [f"behind_{span_name(span_ms * _MS)}" for span_ms in tiling.spans_ms]
        for tiling in plan.tilings
    ]
    yield f"({_tuple(f'tiles_{i}' for i in range(len(spans)))}) = state.tiles"
    for i, names in enumerate(spans):
        yield f"({_tuple(names)}) = tiles_{i}.behind"
    column = {
        (width_ms, counted): column
        for width_ms, columns in plan.columns.items()
        for column, counted in enumerate(columns)
    }
    for (counted, span_ms), variable in plan.windows.items():
        position = plan.counters[counted[0]]
        behind = f"behind_{span_name(span_ms * _MS)}[{column[tile_width_ms(span_ms), counted]}]"
        yield f"{variable} = counts[{position}] - {behind}"


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
            for position, column in enumerate(sketch_tiling.columns):
                opened = f"sketches_{i}.opened[{position}]"
                yield f"    {opened} = union({opened}, {sketches[column]})"

    if tops := list(plan.tops.values.values()):
        yield f"({_tuple(f'tops_{i}' for i in range(len(plan.top_tilings)))}) = state.tops"
        yield "if ts < last:"
        yield f"    add_late_tops(state, ({_tuple(tops)}), ts)"
        yield "else:"
        for i, top_tiling in enumerate(plan.top_tilings):
            for position, column in enumerate(top_tiling.columns):
                opened = f"tops_{i}.opened[{position}]"
                yield f"    {opened} = combined({opened}, {tops[column]})"


def _look_at_merged(plan: FoldPlan) -> Iterator[str]:
    """Merge the open tile with what is closed in each window."""
    all_merged: tuple[tuple[Merging[Any], Sequence[MergeTiling[Any]], str, str], ...] = (
        (plan.lows, plan.low_tilings, "lows", "min"),
        (plan.sketches, plan.sketch_tilings, "sketches", "union"),
        (plan.tops, plan.top_tilings, "tops", "most_frequent"),
    )
    for merging, tilings, state, merge in all_merged:
        values = list(merging.values)
        for i, tiling in enumerate(tilings):
            for window, span_ms in enumerate(tiling.spans_ms):
                for position, column in enumerate(tiling.columns):
                    variable = merging.windows.get((values[column], span_ms))
                    if variable is not None:
                        opened = f"{state}_{i}.opened[{position}]"
                        closed = f"{state}_{i}.closed[{window}][{position}]"
                        # The open tile last: it has less, and `union` goes through what is last.
                        yield f"{variable} = {merge}({closed}, {opened})"


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
