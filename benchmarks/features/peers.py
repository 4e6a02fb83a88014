"""The same statistics in River's time windows, and in a hopping table of Faust's."""

import operator
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import faust
from faust.tables.table import Table
from river import stats, utils

from benchmarks.features.declared import SPANS, of_span
from benchmarks.features.folds import AWAY, HISTORY, Effort, beside
from benchmarks.features.load import Click, clicks
from benchmarks.features.stopwatch import fastest
from streams.feature_kinds import span_name
from streams.windows import tile_width_ms

STATISTICS: Final = ("total", "mean", "variance")
"""What River's windows can take back, and Faust's can add up."""
MS: Final = timedelta(milliseconds=1)
Worker = Callable[[Click], Any]
"""Works off an event of one user; gives the features as of it."""


def compared(effort: Effort, faust_effort: Effort) -> dict[str, dict[str, float]]:
    """Tell µs a feature and event, by span, of the compiled fold and of both peers."""
    folds = {span_name(span): of_span(STATISTICS, span) for span in SPANS}
    ours = beside(folds, effort)
    return {
        "Thalweg": {span: us / len(STATISTICS) for span, us in ours.items()},
        "River, TimeRolling": {
            span_name(span): _measured(river_windows, span, effort) / len(STATISTICS)
            for span in SPANS
        },
        "Faust, hopping table": {
            span_name(span): _measured(faust_windows, span, faust_effort) for span in SPANS
        },
    }


def river_windows(span: timedelta) -> Worker:
    """Make one user's windows of River: it keeps every event that they hold."""
    rolling: list[Any] = [
        utils.TimeRolling(statistic, period=span) for statistic in (stats.Sum, stats.Mean)
    ]
    rolling.append(utils.TimeRolling(stats.Var, period=span, ddof=0))

    def work(click: Click) -> list[float]:
        # Not aware: that is what its windows can compare.
        at = datetime.fromtimestamp(click.ts / 1_000, UTC).replace(tzinfo=None)
        for window in rolling:
            window.update(click.amount, t=at)
        return [window.get() for window in rolling]

    return work


class UnloggedTable(Table):  # type: ignore[type-arg]
    """A table that logs no change and expires no window: its arithmetic alone."""

    def on_key_get(self, key: object) -> None:
        """Tell no sensor."""

    def on_key_set(self, key: object, value: object) -> None:
        """Send nothing."""


class FaustWindows:
    """Totals by user in a hopping table; a step is as wide as a tile of that span is here."""

    def __init__(self, span: timedelta) -> None:
        app = faust.App(f"features-{span_name(span)}", broker="memory://", Table=UnloggedTable)
        table: Any = app.Table("totals", default=float, partitions=1)
        step_s = tile_width_ms(span // MS) / 1_000
        self._now_s = 0.0
        hopping = table.hopping(span.total_seconds(), step_s)
        self._totals: Any = hopping.relative_to(lambda _: self._now_s)

    def add(self, click: Click) -> float:
        """Add an amount to all windows that it belongs to, and read one of them."""
        self._now_s = click.ts / 1_000
        windows = self._totals[click.user_id]
        windows.apply(operator.add, click.amount)
        return float(windows.value())


def faust_windows(span: timedelta) -> Worker:
    """Make a hopping table: every window that an event belongs to is changed."""
    return FaustWindows(span).add


def _measured(make: Callable[[timedelta], Worker], span: timedelta, effort: Effort) -> float:
    """Tell µs an event, when windows of this span are full."""
    workers = []
    for number in range(effort.users):
        work, coming = make(span), clicks(number, away=AWAY)
        first = click = next(coming)
        while click.ts - first.ts < min(span + timedelta(days=1), HISTORY) // MS:
            work(click)
            click = next(coming)
        workers.append((work, coming))

    def prepared() -> Callable[[], int]:
        n = effort.events // effort.users
        pairs = [(work, click) for work, coming in workers for click in islice(coming, n)]

        def loop() -> int:
            for work, click in pairs:
                work(click)
            return len(pairs)

        return loop

    return fastest(_each(prepared, effort.rounds))


def _each(prepare: Callable[[], Callable[[], int]], rounds: int) -> Iterable[Callable[[], int]]:
    for _ in range(rounds):
        yield prepare()
