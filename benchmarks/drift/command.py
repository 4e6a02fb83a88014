"""`python -m benchmarks drift`: how often detectors cry wolf, and how soon they tell of one.

Seeds are fixed: figures repeat. `--quick` takes a minute or two, all of it some ten.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from benchmarks import shop
from benchmarks.drift import injected_tables, plots, shop_scores
from benchmarks.drift.datasets import Dataset, bundled
from benchmarks.drift.detectors import CANDIDATES, Candidate, ours
from benchmarks.drift.injected import measure
from benchmarks.drift.measures import Effort, alarms_by_incident, delays, false_alarms
from benchmarks.drift.streams import CHANGES, STABLE, Scored, Stream, in_blocks
from benchmarks.peers.report import table
from online_models.drift import RunLength

QUICK: Final = Effort(n_seeds=5, n_stable=20_000, n_episodes=2)
FULL: Final = Effort(n_seeds=30, n_stable=100_000, n_episodes=20)

DECLARED: Final = Candidate(
    "bets, as declared: 1 per 6,700", lambda: ours(shop.declared().drift.run_length())
)

_Row = Mapping[str, str]


def run(argv: Sequence[str]) -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer seeds, shorter streams")
    parser.add_argument("--only", choices=("drawn", "injected"))
    parser.add_argument(
        "--plots", type=Path, metavar="DIRECTORY", help="draw injected drifts there; `make plots`"
    )
    options = parser.parse_args(argv)
    effort = QUICK if options.quick else FULL
    if options.plots:
        plots.available()
    _tell("shop")
    visits = shop_scores.watched()
    if options.only != "injected":
        _drawn(visits, effort)
    if options.only != "drawn":
        _injected([*bundled(), visits.outcomes], effort, options.plots)
    return 0


def _drawn(visits: shop_scores.Visits, effort: Effort) -> None:
    blocks = {
        f"{whose}, blocks of {n} d": in_blocks(shop_scores.quiet_days(scores), n)
        for whose, scores in (("shop's twin", visits.twin), ("shop's champion", visits.champion))
        for n in (1, 7)
    }
    print(f"## Run length: scores to a false alarm, of {effort.n_stable:,}\n")
    print(_run_lengths({**STABLE, **blocks}, effort))
    print(f"\n## Delay: median of {effort.n_seeds} seeds, in scores\n")
    print(_delays(effort))
    for whose, scores in (("twin", visits.twin), ("champion", visits.champion)):
        print(f"\n## The shop's history: alarms of {len(scores):,} visits, scores of the {whose}\n")
        print(_shop(scores))


def _injected(datasets: Sequence[Dataset], effort: Effort, directory: Path | None) -> None:
    measured = measure(datasets, effort.n_episodes, _tell)
    for told, some in measured.items():
        print(f"\n## Injected drifts, {told}: detectors as they come\n")
        print(injected_tables.as_they_come(some))
        print(f"\n## Injected drifts, {told}: {injected_tables.setting(some)}\n")
        print(injected_tables.at_equal_rate(some))
        print(f"\n{injected_tables.verdict(some)}")
    if directory:
        _tell(f"drawn: {plots.draw(measured, directory)}")


def _run_lengths(streams: Mapping[str, Stream], effort: Effort) -> str:
    rows = []
    for candidate in CANDIDATES:
        _tell(f"run length: {candidate.name}")
        row = {"detector": candidate.name, "promise": f"{candidate.promise or 0:,.0f}"}
        for name, stream in streams.items():
            n_alarms = false_alarms(candidate, stream, effort)
            n = effort.n_stable
            row[name] = f"{n / n_alarms:,.0f}" if n_alarms else f"> {n:,}"
        rows.append(row | ({} if candidate.promise else {"promise": "none"}))
    return _table(rows)


def _delays(effort: Effort) -> str:
    rows = []
    for candidate in CANDIDATES:
        _tell(f"delay: {candidate.name}")
        row = {"detector": candidate.name}
        for name, after in CHANGES.items():
            row[name] = str(delays(candidate, after, effort))
        rows.append(row)
    return _table(rows)


def _shop(scores: Sequence[Scored]) -> str:
    incidents = [each.name for each in shop.declared().incidents]
    rows = []
    for candidate in (DECLARED, *_in_time(), *CANDIDATES):
        counted = alarms_by_incident(candidate, scores)
        row = {"detector": candidate.name}
        row |= {name: str(counted[name]) for name in incidents}
        rows.append(row | {"no known incident": str(counted[""])})
    return _table(rows)


def _in_time() -> list[Candidate]:
    """Make ours with budgets in time, shared by the partitions."""
    return [
        Candidate(
            f"bets, 1 per {days} days",
            lambda days=days: ours(  # type: ignore[misc]
                RunLength.time(timedelta(days=days) * shop_scores.PARTITIONS)
            ),
        )
        for days in (30, 365)
    ]


def _table(rows: Sequence[_Row]) -> str:
    return table({name: name for name in rows[0]}, rows)


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")
