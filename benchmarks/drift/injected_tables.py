"""Tables of what detectors did with injected drifts."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Final

from benchmarks.drift.episodes import MAX_DELAY, WIDTHS, Drift
from benchmarks.drift.equal_rate import RATE
from benchmarks.drift.families import NEVER, PERIODIC
from benchmarks.drift.injected import Measured, ahead, total
from benchmarks.drift.injection import INJECTIONS
from benchmarks.drift.kaplan_meier import run_lengths
from benchmarks.drift.replay import Counts
from benchmarks.peers.report import table

_BLIND: Final = (PERIODIC.name, NEVER.name)


def as_they_come(measured: Sequence[Measured]) -> str:
    """Write down what each does with its default, over all drifts."""
    rows = []
    for each in measured:
        every = [alarms for some in each.as_it_comes.values() for alarms in some]
        counts = total(each.counts().values())
        median = run_lengths(every).median
        longest = max(alarms.n_before for alarms in every)
        rows.append(
            {
                "detector": f"{each.family.name}, {each.family.default:g}",
                "false alarms per 1,000": f"{counts.false_per_1000:.2f}",
                "alarms per 1,000": f"{counts.per_1000:.2f}",
                "run length, median": f"{median:,.0f}" if median else f"> {longest:,}",
                "F1": _share(counts.f1),
                "F1 of alarms": _share(counts.f1_of_alarms),
                "found": _share(counts.recall),
                "mean delay": _rows(counts.mean_delay),
            }
        )
    return _table(rows)


def setting(measured: Sequence[Measured]) -> str:
    """Tell what all have in common, and what F1 depends on, whoever detects."""
    counts = _at_rate(measured[0])
    return f"all at {RATE} false alarms per 1,000; {counts.density:.2f} drifts per 1,000"


def at_equal_rate(measured: Sequence[Measured]) -> str:
    """Write down what all do at the same rate of false alarms, best first."""
    ours = measured[0]
    rows = []
    for each in sorted(measured, key=lambda each: -_at_rate(each).f1):
        counts = each.counts_at_rate()
        every = _at_rate(each)
        abrupt, gradual = (_over(counts, pace=pace) for pace in WIDTHS)
        by, error = ahead(ours, each)
        elsewhere = each.elsewhere_per_1000.values()
        rows.append(
            {
                "detector": each.family.name,
                "false alarms per 1,000": f"{every.false_per_1000:.2f}",
                "alarms per 1,000": f"{every.per_1000:.2f}",
                "F1": _share(every.f1),
                "bets ahead by": "" if each is ours else f"{by:+.3f} +- {error:.3f}",
                "F1 of alarms": _share(every.f1_of_alarms),
                "found, abrupt": _share(abrupt.recall),
                "gradual": _share(gradual.recall),
                "mean delay, abrupt": _rows(abrupt.mean_delay),
                "of the longest": _share(abrupt.mean_delay / MAX_DELAY),
            }
            | {kind: _share(_over(counts, kind=kind).recall) for kind in INJECTIONS}
            | {"rate if tuned elsewhere": f"{min(elsewhere):.2f} - {max(elsewhere):.2f}"}
        )
    return _table(rows)


def verdict(measured: Sequence[Measured]) -> str:
    """Say whether ours is ahead of all that look at anything."""
    ours, *others = (each for each in measured if each.family.name not in _BLIND)
    best = max(others, key=lambda each: _at_rate(each).f1)
    of_alarms = max(others, key=lambda each: _at_rate(each).f1_of_alarms)
    return (
        f"F1 {_share(_at_rate(ours).f1)}, the best other {_share(_at_rate(best).f1)} "
        f"({best.family.name}); F1 of alarms {_share(_at_rate(ours).f1_of_alarms)}, the best other "
        f"{_share(_at_rate(of_alarms).f1_of_alarms)} ({of_alarms.family.name})"
    )


def _at_rate(measured: Measured) -> Counts:
    return total(measured.counts_at_rate().values())


def _over(counts: Mapping[Drift, Counts], *, pace: str = "", kind: str = "") -> Counts:
    return total(
        each
        for drift, each in counts.items()
        if pace in ("", drift.pace) and kind in ("", drift.kind)
    )


def _share(share: float) -> str:
    return "-" if isnan(share) else f"{share:.3f}".removeprefix("0")


def _rows(n: float) -> str:
    return "-" if isnan(n) else f"{n:.0f}"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    return table({name: name for name in rows[0]}, rows)
